//! A real OCI registry for tests: one process, one directory, a port of its own.
//!
//! The program is Debian's `docker-registry`. It comes from Debian's mirror once, needs no root,
//! and stays in the user's cache. Pushing is plain HTTP without a password; a test that wants
//! either turns the registry into one with [`Registry::restart`] afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::certificates::Identity;
use crate::oci_tokens::{self, Tokens};
use crate::process::Process;
use crate::{guardian, paths};

/// The user of a registry with a password.
pub const USER: &str = "ada";
/// The password of that user.
pub const PASSWORD: &str = "the-right-password";
/// The bcrypt of it, all that the registry knows.
const PASSWORD_HASH: &str = "$2y$05$abcdefghijklmnopqrstuucXmmsagWCgxN5Othp.ygGp45WtRJKl2";

/// What `wkg oci push` writes.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The type of a component.
pub const WASM_LAYER: &str = "application/wasm";
/// The type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const PACKAGE: &str = "docker-registry";
const DEADLINE: Duration = Duration::from_secs(60);

/// A registry that is killed when dropped.
pub struct Registry {
    directory: tempfile::TempDir,
    address: String,
    process: Option<Process>,
}

/// Who may ask a registry, and how.
pub enum Access<'a> {
    /// Everybody, without TLS.
    Open,
    /// [`USER`] alone, without TLS.
    Password,
    /// Who has a token from this server, without TLS.
    Tokens(&'a Tokens),
    /// Everybody, with TLS and this certificate.
    Tls(&'a Identity),
}

impl Registry {
    /// An empty registry that is open to everybody.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("lockstep-oci-")
            .tempdir()
            .expect("a temporary directory can be made");
        guardian::remove_at_end(directory.path());
        let mut registry = Self { directory, address: String::new(), process: None };
        registry.restart(&Access::Open);
        registry
    }

    /// `host:port`, another one after each start.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `oci://`, the registry, and this.
    pub fn reference(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// Stops the registry; what was pushed stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(DEADLINE);
        }
    }

    /// Stops the registry and starts it with the same content for others.
    pub fn restart(&mut self, access: &Access<'_>) {
        self.stop();
        let file = self.configure(access);
        let mut command = Command::new(program());
        command.arg("serve").arg(file).env_clear().env("OTEL_TRACES_EXPORTER", "none");
        let process = Process::start("the OCI registry", &mut command);
        let listening = process.find_line(DEADLINE, |line| {
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        });
        self.address = listening
            .unwrap_or_else(|| panic!("the OCI registry did not start\n{}", process.output()));
        self.process = Some(process);
    }

    fn configure(&self, access: &Access<'_>) -> PathBuf {
        let folder = self.directory.path();
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "info", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.join("data") } },
            "http": { "addr": "127.0.0.1:0" },
        });
        match access {
            Access::Open => {}
            Access::Password => {
                let file = write(folder, "htpasswd", &format!("{USER}:{PASSWORD_HASH}\n"));
                config["auth"] = json!({ "htpasswd": { "realm": "test", "path": file } });
            }
            Access::Tokens(tokens) => {
                let bundle = write(folder, "tokens.pem", &tokens.authority());
                config["auth"] = json!({ "token": {
                    "realm": tokens.realm(),
                    "service": oci_tokens::SERVICE,
                    "issuer": oci_tokens::ISSUER,
                    "rootcertbundle": bundle,
                } });
            }
            Access::Tls(identity) => {
                let certificate = write(folder, "certificate.pem", &identity.certificate);
                let key = write(folder, "key.pem", &identity.key);
                config["http"]["tls"] = json!({ "certificate": certificate, "key": key });
            }
        }
        // YAML takes JSON.
        write(folder, "config.yml", &config.to_string())
    }

    /// Pushes a component as `wkg oci push` does, and gives the digest of its manifest.
    pub fn push_component(&self, repository: &str, tag: &str, component: &[u8]) -> String {
        let manifest = self.artifact(repository, WASM_CONFIG, &[(WASM_LAYER, component)]);
        self.push_manifest(repository, tag, MANIFEST, &manifest)
    }

    /// Pushes the content of an artifact, and gives the manifest that it needs.
    pub fn artifact(&self, repository: &str, config: &str, layers: &[(&str, &[u8])]) -> Value {
        let push = |(media_type, content): &(&str, &[u8])| {
            let digest = self.push_blob(repository, content);
            json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
        };
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": push(&(config, b"{}")),
            "layers": layers.iter().map(push).collect::<Vec<_>>(),
        })
    }

    /// Pushes a manifest or an index under a tag, and gives its digest.
    pub fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        manifest: &Value,
    ) -> String {
        let text = manifest.to_string();
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let answer = ureq::put(url).header("content-type", media_type).send(&text);
        answer.unwrap_or_else(|error| panic!("failed to push {text}: {error}"));
        digest(text.as_bytes())
    }

    /// Pushes a blob, and gives its digest.
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = digest(content);
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.address);
        let begun = ureq::post(url).send_empty().expect("an upload can be begun");
        let location = begun.headers().get("location").expect("an upload has a location");
        let location = location.to_str().expect("a location is text");
        ureq::put(location)
            .query("digest", &digest)
            .header("content-type", "application/octet-stream")
            .send(content)
            .unwrap_or_else(|error| panic!("failed to push a blob: {error}"));
        digest
    }

    /// Puts other bytes in the place of a blob or manifest, behind the registry's back.
    pub fn tamper(&self, digest: &str, content: &[u8]) {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.directory.path().join("data/docker/registry/v2/blobs/sha256");
        let file = blobs.join(&hex[..2]).join(hex).join("data");
        assert!(file.is_file(), "the registry keeps {digest} in {file:?}");
        fs::write(&file, content).expect("the registry's directory can be written");
    }
}

/// The digest of some content, as registries write it.
pub fn digest(content: &[u8]) -> String {
    let bytes = openssl::sha::sha256(content);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).expect("the registry's directory can be written");
    file
}

/// The registry's program, fetched at the first use on this machine.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cache = paths::user_cache().join("lockstep");
        let unpacked = cache.join(PACKAGE);
        if !unpacked.is_dir() {
            fetch(&cache, &unpacked);
        }
        unpacked.join("usr/bin/docker-registry")
    })
}

/// Complete or absent: other test runs may be doing the same at this moment.
fn fetch(cache: &Path, unpacked: &Path) {
    fs::create_dir_all(cache).unwrap_or_else(|e| panic!("failed to make {cache:?}: {e}"));
    let partial = tempfile::Builder::new()
        .prefix("docker-registry-partial-")
        .tempdir_in(cache)
        .expect("the cache directory can be written");
    let package = download(partial.path());
    let content = partial.path().join("content");
    run(Command::new("dpkg").arg("-x").arg(package).arg(&content))
        .unwrap_or_else(|why| panic!("failed to unpack Debian's package {PACKAGE}: {why}"));
    if let Err(error) = fs::rename(&content, unpacked) {
        assert!(unpacked.is_dir(), "failed to move {PACKAGE} to {unpacked:?}: {error}");
    }
}

/// Downloads the package into this folder. The lists of packages of a new machine may be missing
/// or old, and only root may renew them: then lists of our own are used.
fn download(folder: &Path) -> PathBuf {
    let apt = |args: &[String]| run(Command::new("apt-get").current_dir(folder).args(args));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let download = words(&format!("-q download {PACKAGE}"));
    let fetched = apt(&download).or_else(|first| {
        for needed in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(needed)).expect("the cache directory can be written");
        }
        let own = [
            format!("-oDir::State::lists={}", folder.join("lists").display()),
            format!("-oDir::Cache={}", folder.display()),
            // As root, apt would drop to a user that may not enter this folder.
            "-oAPT::Sandbox::User=".to_owned(),
        ];
        let with_own = |args: Vec<String>| apt(&[own.to_vec(), args].concat());
        with_own(words("-q update"))
            .and_then(|()| with_own(download))
            .map_err(|second| format!("{first}\nand with lists of our own: {second}"))
    });
    if let Err(why) = fetched {
        panic!(
            "the tests of OCI registries need Debian's package {PACKAGE}, which `apt-get download` \
             brings: {why}"
        );
    }
    let files = fs::read_dir(folder).expect("the folder was just made").flatten();
    let mut packages = files.map(|entry| entry.path());
    packages
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .expect("apt-get leaves what it downloads in the current folder")
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}
