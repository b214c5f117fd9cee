//! The name of an artifact in a registry: `oci://ghcr.io/acme/weather:1.2@sha256:…`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::digest::Digest;

/// Begins every reference, which tells it from a file or a folder.
pub const SCHEME: &str = "oci://";
/// What a reference without tag and digest means, as everywhere.
const LATEST: &str = "latest";
/// Longest name of a repository, its registry included, that all registries take.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;
/// The registry that people know by one name and clients by another.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// An artifact in a registry. With a digest it is always the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text is no reference.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no OCI reference: {reason}; write for example \
     oci://ghcr.io/acme/weather:1.2 or oci://ghcr.io/acme/weather@sha256:…"
)]
pub struct ReferenceError {
    text: String,
    reason: String,
}

impl Reference {
    /// `host` or `host:port`, as it was written.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry: `acme/weather`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The digest of the manifest, when the reference names one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag, when there is one or no digest says more.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some(LATEST),
            (None, Some(_)) => None,
        }
    }

    /// The same artifact, whatever the tag will name one day.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: self.tag().map(str::to_owned), digest: Some(digest), ..self.clone() }
    }

    /// What is asked of the registry: the digest before the tag.
    pub(super) fn version(&self) -> String {
        match self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().unwrap_or(LATEST).to_owned(),
        }
    }

    /// Where the registry's interface is.
    pub(super) fn api(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_API } else { &self.registry }
    }

    /// Whether the registry is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(host(&self.registry))
    }
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split(':').next().unwrap_or(registry),
    }
}

/// Whether this host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| ReferenceError { text: without_user(text), reason })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    let rest = text.strip_prefix(SCHEME).ok_or_else(|| format!("it begins without {SCHEME:?}"))?;
    let (registry, path) = rest.split_once('/').ok_or("it names no repository after the host")?;
    check_registry(registry)?;
    let (path, digest) = match path.split_once('@') {
        Some((path, digest)) => (path, Some(digest.parse::<Digest>().map_err(|e| e.to_string())?)),
        None => (path, None),
    };
    let (repository, tag) = match path.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    check_repository(registry, repository)?;
    tag.map_or(Ok(()), check_tag)?;
    let hub_library = registry == DOCKER_HUB && !repository.contains('/');
    let repository = if hub_library { format!("library/{repository}") } else { repository.into() };
    let tag = tag.map(str::to_owned);
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

fn check_registry(registry: &str) -> Result<(), String> {
    if registry.contains('@') {
        return Err("a user or password has no place in it; `docker login` and its file \
                    ~/.docker/config.json keep them"
            .to_owned());
    }
    let (host, rest) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let v6 = address.parse::<std::net::Ipv6Addr>();
            v6.map_err(|_| format!("{address:?} is no IPv6 address"))?;
            ("v6", rest)
        }
        None => registry.split_at(registry.find(':').unwrap_or(registry.len())),
    };
    let label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(allowed) && !label.starts_with('-')
    };
    if !host.split('.').all(label) {
        return Err(format!("{registry:?} is no host with an optional port"));
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok(()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(()),
        _ => Err(format!("{registry:?} ends with something that is no port")),
    }
}

/// Parts of lower-case letters and digits, with single separators within.
fn check_repository(registry: &str, repository: &str) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separates = |text: &str| {
        matches!(text, "." | "_" | "__") || !text.is_empty() && text.bytes().all(|b| b == b'-')
    };
    let fits = |part: &str| {
        let separators = part.split(is_word).filter(|text| !text.is_empty());
        let ends = part.starts_with(is_word) && part.ends_with(is_word);
        ends && separators.into_iter().all(separates)
    };
    if !repository.split('/').all(fits) {
        return Err(format!(
            "{repository:?} is no repository (parts of a-z and 0-9, with \".\", \"_\" or \"-\" \
             between them, separated by \"/\")"
        ));
    }
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(format!("host and repository are longer than {MAX_NAME} characters"));
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = (1..=MAX_TAG).contains(&tag.len())
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-');
    if fits {
        return Ok(());
    }
    Err(format!(
        "{tag:?} is no tag (1 to {MAX_TAG} letters, digits, \"_\", \".\" and \"-\", the first one \
         none of the last two)"
    ))
}

/// The text as messages may show it: a user may stand before the host, and even a password.
fn without_user(text: &str) -> String {
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |at| at + "://".len()));
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}***{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn refused(text: &str) -> String {
        text.parse::<Reference>().map(|r| r.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn a_reference_survives_its_text() {
        for text in [
            "oci://ghcr.io/acme/weather:1.2",
            &format!("oci://ghcr.io/acme/weather@{DIGEST}"),
            &format!("oci://ghcr.io/acme/weather:v1@{DIGEST}"),
            "oci://localhost:5000/a/b-c/d.e__f--g:_x",
            "oci://[::1]:5000/a:1",
            "oci://127.0.0.1:5000/weather:1",
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn without_tag_and_digest_the_latest_is_meant() {
        let reference: Reference = "oci://ghcr.io/acme/weather".parse().unwrap();
        assert_eq!(reference.tag(), Some("latest"));
        assert_eq!(reference.version(), "latest");
        assert_eq!(reference.to_string(), "oci://ghcr.io/acme/weather:latest");
        let pinned = reference.pinned(DIGEST.parse().unwrap());
        assert_eq!(pinned.to_string(), format!("oci://ghcr.io/acme/weather:latest@{DIGEST}"));
        assert_eq!(pinned.version(), DIGEST);
    }

    #[test]
    fn the_hub_is_known_by_its_name() {
        let reference: Reference = "oci://docker.io/weather:1".parse().unwrap();
        assert_eq!((reference.registry(), reference.api()), ("docker.io", "registry-1.docker.io"));
        assert_eq!(reference.repository(), "library/weather");
    }

    #[test]
    fn a_registry_on_this_machine_is_recognised() {
        let loopback =
            |host: &str| format!("oci://{host}/a").parse::<Reference>().unwrap().is_loopback();
        for host in ["localhost", "localhost:5000", "a.localhost", "127.1.2.3:1", "[::1]:5000"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["ghcr.io", "localhost.example.com", "128.0.0.1", "[::2]", "10.0.0.1:5000"] {
            assert!(!loopback(host), "{host}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        for (text, reason) in [
            ("ghcr.io/acme/weather", "begins without \"oci://\""),
            ("oci://weather", "no repository"),
            ("oci:///weather", "is no host"),
            ("oci://-a/weather", "is no host"),
            ("oci://a..b/weather", "is no host"),
            ("oci://a:0/weather", "no port"),
            ("oci://a:b/weather", "no port"),
            ("oci://[::1]5/weather", "no port"),
            ("oci://[x]/weather", "no IPv6 address"),
            ("oci://a/Weather", "\"Weather\" is no repository"),
            ("oci://a/", "\"\" is no repository"),
            ("oci://a/b//c", "is no repository"),
            ("oci://a/../c", "is no repository"),
            ("oci://a/b___c", "is no repository"),
            ("oci://a/b?x=y", "is no repository"),
            ("oci://a/b:", "\"\" is no tag"),
            ("oci://a/b:-x", "is no tag"),
            ("oci://a/b@sha256:12", "is no digest"),
            ("oci://a/b@sha512:12", "is no digest"),
        ] {
            let error = refused(text);
            assert!(error.contains(reason) && error.contains("for example"), "{text}: {error}");
        }
        assert!(refused(&format!("oci://a/{}", "b".repeat(300))).contains("longer than 255"));
        assert!(refused(&format!("oci://a/b:{}", "c".repeat(129))).contains("is no tag"));
    }

    #[test]
    fn a_password_in_a_reference_is_not_shown() {
        let error = refused("oci://ada:hunter2@ghcr.io/acme/weather");
        assert!(!error.contains("hunter2") && !error.contains("ada"), "{error}");
        assert!(error.contains("docker login"), "{error}");
    }
}
