//! Credentials that `docker login` keeps in a file, for one registry.
//!
//! Only what stands in the file itself is used: no credential helper is run.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::reference::Reference;

/// What people call the file, whatever the folder.
const FILE: &str = "config.json";
/// The name of Docker's own registry in the file.
const DOCKER_HUB_KEY: &str = "index.docker.io";

/// What the file has for a registry.
pub(super) enum Login {
    /// Nothing, and this is where it was looked for.
    None(PathBuf),
    /// A user and a password.
    Password(Password),
    /// Something that cannot be used, and why.
    Unusable(String),
}

/// A user and a password. Neither is shown by `Debug`, and the password by nothing.
pub(super) struct Password {
    pub(super) user: String,
    pub(super) password: String,
    /// The file that they are from.
    pub(super) file: PathBuf,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Password").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Password {
    /// The value of the header that carries them.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// `config.json` in `$DOCKER_CONFIG`, or in `~/.docker`.
pub(super) fn default_file() -> PathBuf {
    let set = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty());
    let home = || std::env::home_dir().unwrap_or_default().join(".docker");
    set.map_or_else(home, PathBuf::from).join(FILE)
}

/// Looks up the registry of a reference. A file that is not there has nothing.
pub(super) fn login(file: &Path, reference: &Reference) -> anyhow::Result<Login> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Login::None(file.to_owned()));
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {file:?}")),
    };
    // The causes of these errors may cite the text, which has passwords in it.
    let config: DockerConfig = serde_json::from_slice(&text).map_err(|error| {
        anyhow::anyhow!(
            "{file:?} is no configuration of Docker: its JSON is wrong in line {}",
            error.line()
        )
    })?;
    Ok(find(config, file, reference))
}

fn find(mut config: DockerConfig, file: &Path, reference: &Reference) -> Login {
    let registry = reference.registry();
    let of_registry = |key: &str| {
        let key = host(key);
        let hub = key.eq_ignore_ascii_case(DOCKER_HUB_KEY) && registry == "docker.io";
        hub || key.eq_ignore_ascii_case(registry)
    };
    let key = config.auths.keys().find(|key| of_registry(key)).cloned();
    let entry = key.and_then(|key| config.auths.remove(&key)).unwrap_or_default();
    match password(&entry) {
        Some(Ok((user, password))) => {
            return Login::Password(Password { user, password, file: file.to_owned() });
        }
        Some(Err(reason)) => {
            return Login::Unusable(format!("what {file:?} has for {registry:?} {reason}"));
        }
        None => {}
    }
    let helper = config.cred_helpers.iter().find(|(key, _)| of_registry(key));
    match helper.map(|(_, name)| name).or(config.creds_store.as_ref()) {
        Some(helper) => Login::Unusable(format!(
            "{file:?} leaves credentials to the helper \"docker-credential-{helper}\", and helpers \
             are not run; make another folder, name it in $DOCKER_CONFIG, and log in from there: \
             `docker login {registry}` then keeps them in the file"
        )),
        None => Login::None(file.to_owned()),
    }
}

/// The user and the password of an entry, when it has any.
fn password(entry: &Entry) -> Option<Result<(String, String), &'static str>> {
    if entry.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
        return Some(Err("is an identity token, and only a user with a password can be used"));
    }
    if let (Some(user), Some(password)) = (&entry.username, &entry.password) {
        return Some(Ok((user.clone(), password.clone())));
    }
    let auth = entry.auth.as_ref().filter(|auth| !auth.is_empty())?;
    let decode = || {
        let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
    };
    Some(decode().ok_or("is not the base64 of \"user:password\""))
}

/// `ghcr.io` of `https://ghcr.io/v1/`, as old versions wrote it.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(registry: &str, config: &str) -> String {
        let reference = format!("oci://{registry}/acme/weather").parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        fs::write(&file, config).unwrap();
        match login(&file, &reference) {
            Ok(Login::None(_)) => "nothing".to_owned(),
            Ok(Login::Password(found)) => format!("{}|{}", found.user, found.password),
            Ok(Login::Unusable(reason)) => reason,
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_password_is_found_however_the_registry_is_written() {
        // ada:pass:word
        let auth = r#"{"auth": "YWRhOnBhc3M6d29yZA=="}"#;
        for key in ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "GHCR.io/"] {
            let config = format!(r#"{{"auths": {{"{key}": {auth}, "other.io": {{}}}}}}"#);
            assert_eq!(look_up("ghcr.io", &config), "ada|pass:word", "{key}");
            assert_eq!(look_up("ghcr.io:443", &config), "nothing", "{key}");
        }
        let hub = format!(r#"{{"auths": {{"https://index.docker.io/v1/": {auth}}}}}"#);
        assert_eq!(look_up("docker.io", &hub), "ada|pass:word");
        let clear = r#"{"auths": {"a.io": {"username": "ada", "password": "x"}}, "more": 1}"#;
        assert_eq!(look_up("a.io", clear), "ada|x");
        assert_eq!(look_up("b.io", clear), "nothing");
    }

    #[test]
    fn a_missing_file_has_nothing() {
        let reference = "oci://a.io/b".parse().unwrap();
        let found = login(Path::new("/no/such/config.json"), &reference);
        assert!(matches!(found, Ok(Login::None(_))));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_secrets() {
        for (config, part) in [
            (r#"{"credsStore": "desktop", "auths": {"a.io": {}}}"#, "docker-credential-desktop"),
            (r#"{"credHelpers": {"a.io": "gcloud"}}"#, "docker-credential-gcloud"),
            (r#"{"auths": {"a.io": {"identitytoken": "hunter2"}}}"#, "identity token"),
            (r#"{"auths": {"a.io": {"auth": "hunter2"}}}"#, "base64"),
            (r#"{"auths": {"a.io": {"auth": ["hunter2"]}}}"#, "wrong in line 1"),
            (r#"{"auths": {"a.io": {"auth": "hunter2}}}"#, "wrong in line 1"),
        ] {
            let said = look_up("a.io", config);
            assert!(said.contains(part) && !said.contains("hunter2"), "{config}: {said}");
        }
        assert_eq!(look_up("a.io", r#"{"credHelpers": {"b.io": "gcloud"}}"#), "nothing");
    }
}
