//! Components from a real registry, as it is and when it lies.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lockstep::oci::{self, Options, Pulled, Transport};
use lockstep::signature::{ANNOTATION, PublicKey, Signature};
use lockstep_tests::certificates::Authority;
use lockstep_tests::oci_registry::{
    Access, INDEX, MANIFEST, PASSWORD, Registry, USER, WASM_CONFIG, WASM_LAYER, digest,
};
use lockstep_tests::oci_tokens::Tokens;
use lockstep_tests::{build, cli};
use serde_json::{Value, json};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 a component";
const OTHER: &[u8] = b"\0asm\x0d\0\x01\0 another component";

/// Pulls without a file of credentials but the given one.
fn pull_with(reference: &str, options: Options) -> Result<Pulled, String> {
    let file = options.docker_config.unwrap_or_else(|| PathBuf::from("/nobody/config.json"));
    let options = Options { docker_config: Some(file), ..options };
    let reference = reference.parse().map_err(|error| format!("{error}"))?;
    oci::pull(&reference, &options).map_err(|error| format!("{error:#}"))
}

fn pull(reference: &str) -> Result<Pulled, String> {
    pull_with(reference, Options::default())
}

#[track_caller]
fn pulls(reference: &str, component: &[u8]) -> Pulled {
    let pulled = pull(reference).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pulled.component, component);
    assert_eq!(pulled.digest.to_string(), digest(component));
    pulled
}

#[track_caller]
fn refuses(result: Result<Pulled, String>, parts: &[&str]) {
    let error = result.map(|pulled| pulled.digest).expect_err("it is refused");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not said: {error}");
    }
}

#[test]
fn a_component_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start();
    let manifest = registry.push_component("acme/weather", "1.2", COMPONENT);
    let by_tag = pulls(&registry.reference("acme/weather:1.2"), COMPONENT);
    assert_eq!(by_tag.manifest_digest.to_string(), manifest);
    let pinned = registry.reference(&format!("acme/weather:1.2@{manifest}"));
    assert_eq!(by_tag.pinned.to_string(), pinned);
    let warning = by_tag.warning.expect("a tag can be moved");
    assert!(warning.ends_with(&pinned), "{warning}");

    for by_digest in [pinned, registry.reference(&format!("acme/weather@{manifest}"))] {
        let pulled = pulls(&by_digest, COMPONENT);
        assert_eq!((pulled.pinned.to_string(), pulled.warning), (by_digest, None));
    }
}

#[test]
fn a_tag_that_is_moved_takes_no_digest_with_it() {
    let registry = Registry::start();
    let first = registry.push_component("weather", "latest", COMPONENT);
    let pinned = pulls(&registry.reference("weather"), COMPONENT).pinned.to_string();
    let second = registry.push_component("weather", "latest", OTHER);
    assert_ne!(first, second);
    assert_eq!(pulls(&registry.reference("weather"), OTHER).manifest_digest.to_string(), second);
    pulls(&pinned, COMPONENT);
}

#[test]
fn what_is_not_there_is_named() {
    let registry = Registry::start();
    registry.push_component("weather", "1", COMPONENT);
    refuses(pull(&registry.reference("weather:2")), &["has no \"weather\" at \"2\"", "UNKNOWN"]);
    refuses(pull(&registry.reference("climate:1")), &["has no \"climate\" at \"1\""]);
    let missing = digest(b"something else");
    let reference = registry.reference(&format!("weather@{missing}"));
    refuses(pull(&reference), &["has no \"weather\"", &missing]);
}

#[test]
fn a_manifest_that_was_changed_is_refused() {
    let registry = Registry::start();
    let original = registry.artifact("weather", WASM_CONFIG, &[(WASM_LAYER, COMPONENT)]);
    let manifest = registry.push_manifest("weather", "1", MANIFEST, &original);
    let other = registry.artifact("weather", WASM_CONFIG, &[(WASM_LAYER, OTHER)]).to_string();
    registry.tamper(&manifest, other.as_bytes());
    let reference = registry.reference(&format!("weather:1@{manifest}"));
    refuses(pull(&reference), &["manifest has digest", &manifest, &digest(other.as_bytes())]);
}

#[test]
fn a_component_that_was_changed_is_refused() {
    let registry = Registry::start();
    registry.push_component("weather", "1", COMPONENT);
    let length = COMPONENT.len();
    let longer = [COMPONENT, b"!"].concat();
    let mut altered = COMPONENT.to_vec();
    altered[length - 1] ^= 1;
    let whole = format!("of the {length} bytes");
    for (content, part) in [
        (&COMPONENT[..length - 1], &*whole),
        (&[], &whole),
        (&longer, "longer than"),
        (&altered, "component has digest"),
    ] {
        registry.tamper(&digest(COMPONENT), content);
        refuses(pull(&registry.reference("weather:1")), &[part]);
    }
    registry.tamper(&digest(COMPONENT), COMPONENT);
    pulls(&registry.reference("weather:1"), COMPONENT);
}

#[test]
fn what_is_no_component_is_said() {
    let registry = Registry::start();
    let push = |tag: &str, config: &str, layers: &[(&str, &[u8])]| {
        let manifest = registry.artifact("things", config, layers);
        registry.push_manifest("things", tag, MANIFEST, &manifest);
        registry.reference(&format!("things:{tag}"))
    };
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let image = push("image", "application/vnd.oci.image.config.v1+json", &[(layer, b"tar")]);
    let chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    let helm = push("helm", "application/vnd.cncf.helm.config.v1+json", &[(chart, b"tar")]);
    let both = [(WASM_LAYER, COMPONENT), (WASM_LAYER, OTHER)];
    let two = push("two", WASM_CONFIG, &both);
    refuses(pull(&image), &["it is a container image, not a Wasm component", "wkg oci push"]);
    refuses(pull(&helm), &["it is a Helm chart"]);
    refuses(pull(&two), &["it holds 2 components"]);
    let by_oras = push("oras", "application/vnd.oci.empty.v1+json", &[(WASM_LAYER, COMPONENT)]);
    pulls(&by_oras, COMPONENT);
}

/// Pushes an artifact for an index, and gives its entry.
fn entry(registry: &Registry, tag: &str, platform: [&str; 2], layer: (&str, &[u8])) -> Value {
    let manifest = registry.artifact("things", "application/x", &[layer]);
    let digest = registry.push_manifest("things", tag, MANIFEST, &manifest);
    json!({
        "mediaType": MANIFEST,
        "digest": digest,
        "size": manifest.to_string().len(),
        "platform": { "os": platform[0], "architecture": platform[1] },
    })
}

#[test]
fn an_index_leads_to_its_one_component_or_says_what_it_holds() {
    let registry = Registry::start();
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let linux = entry(&registry, "a", ["linux", "amd64"], (layer, b"tar"));
    let wasm = entry(&registry, "b", ["wasip2", "wasm"], (WASM_LAYER, COMPONENT));
    let push = |tag: &str, entries: &[&Value]| {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        let digest = registry.push_manifest("things", tag, INDEX, &index);
        (registry.reference(&format!("things:{tag}")), digest)
    };
    let (reference, digest) = push("both", &[&linux, &wasm]);
    let pulled = pulls(&reference, COMPONENT);
    assert_eq!(pulled.manifest_digest.to_string(), digest, "the index is what is pinned");
    pulls(&pulled.pinned.to_string(), COMPONENT);
    refuses(pull(&push("linux", &[&linux]).0), &["an index without", "linux/amd64"]);
}

/// A file as `docker login` leaves it.
fn docker_config(folder: &Path, registry: &str, password: &str) -> Option<PathBuf> {
    let auth = openssl::base64::encode_block(format!("{USER}:{password}").as_bytes());
    let config = json!({ "auths": { registry: { "auth": auth } } });
    let file = folder.join("config.json");
    fs::write(&file, config.to_string()).expect("a temporary folder can be written");
    Some(file)
}

#[test]
fn a_registry_with_a_password_is_entered_as_docker_does() {
    let mut registry = Registry::start();
    registry.push_component("weather", "1", COMPONENT);
    registry.restart(&Access::Password);
    let reference = registry.reference("weather:1");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let with = |password: &str| Options {
        docker_config: docker_config(folder.path(), registry.address(), password),
        ..Options::default()
    };
    refuses(pull(&reference), &["wants a user and a password", "docker login", "/nobody/"]);
    let wrong = pull_with(&reference, with("the-wrong-password"));
    assert!(!format!("{wrong:?}").contains("the-wrong-password"), "{wrong:?}");
    refuses(wrong, &["refuses", "password of user \"ada\"", "config.json"]);
    let pulled = pull_with(&reference, with(PASSWORD)).expect("the password is right");
    assert_eq!(pulled.component, COMPONENT);
}

#[test]
fn a_registry_with_tls_is_trusted_only_by_its_authority() {
    let mut registry = Registry::start();
    registry.push_component("weather", "1", COMPONENT);
    let authority = Authority::new("the registry's authority");
    registry.restart(&Access::Tls(&authority.sign("registry")));
    let reference = registry.reference("weather:1");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("authority.pem");
    fs::write(&file, authority.pem()).expect("a temporary folder can be written");
    let with = |authorities| {
        let transport = Transport::Tls;
        pull_with(&reference, Options { transport, authorities, ..Options::default() })
    };
    refuses(with(None), &["failed to reach the registry", "certificate", "authority"]);
    let pulled = with(Some(file)).expect("the authority is trusted");
    assert_eq!(pulled.component, COMPONENT);
    refuses(pull(&reference), &["answered 400"]);

    registry.restart(&Access::Open);
    let reference = registry.reference("weather:1");
    let options = Options { transport: Transport::Tls, ..Options::default() };
    refuses(pull_with(&reference, options), &["does it speak plain http?"]);
}

#[test]
fn a_registry_that_is_down_is_said_at_once() {
    let mut registry = Registry::start();
    let reference = registry.reference("weather:1");
    registry.stop();
    let begun = Instant::now();
    let parts = [&*reference, "failed to reach the registry", "refused"];
    refuses(pull(&reference), &parts);
    refuses(pull("oci://no-such-host.invalid/weather:1"), &["no-such-host.invalid", "failed to"]);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// `lockstep push` of a file in this folder, with this file of credentials in it.
fn push(folder: &Path, args: &[&str]) -> cli::Ran {
    let mut command = cli::command(["push"].iter().chain(args));
    cli::finish(command.current_dir(folder).env("DOCKER_CONFIG", folder), b"")
}

#[test]
fn what_is_pushed_is_pulled_with_its_signature() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let component = fs::read(build::guest("identity")).expect("the guest was built");
    fs::write(folder.path().join("identity.wasm"), &component).expect("it can be written");
    cli::run(folder.path(), ["key", "generate", "release.key"]).ok();
    cli::run(folder.path(), ["sign", "identity.wasm", "--key", "release.key"]).ok();

    let to = registry.reference("acme/identity:1");
    let pinned = push(folder.path(), &["identity.wasm", &to]).ok();
    let pulled = pulls(pinned.trim(), &component);
    assert_eq!(pulled.warning, None);
    let signature: Signature = pulled.annotations[ANNOTATION].parse().expect("it is a signature");
    let key = PublicKey::read(&folder.path().join("release.key.pub")).expect("the key is there");
    key.verify(&pulled.digest, &signature).expect("the signature is good");
    assert_eq!(push(folder.path(), &["identity.wasm", &to]).ok(), pinned, "the same again");

    push(folder.path(), &["identity.wasm", pinned.trim()]).fails(1, &["name a tag alone"]);
    push(folder.path(), &["release.key.pub", &to])
        .fails(1, &["release.key.pub", "not what a host"]);
    push(folder.path(), &["identity.wasm", "ghcr.io/acme"]).fails(2, &["no OCI reference"]);
}

#[test]
fn only_who_is_logged_in_can_push_where_a_password_is_wanted() {
    let mut registry = Registry::start();
    registry.restart(&Access::Password);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let component = build::guest("identity");
    let component = component.to_str().expect("the path is text");
    let to = registry.reference("identity:1");
    push(folder.path(), &[component, &to]).fails(1, &["wants a user and a password"]);
    docker_config(folder.path(), registry.address(), PASSWORD);
    let pinned = push(folder.path(), &[component, &to]).ok();
    let docker_config = Some(folder.path().join("config.json"));
    let options = Options { docker_config, ..Options::default() };
    pull_with(pinned.trim(), options).expect("it was pushed");
}

#[test]
fn a_registry_that_wants_tokens_is_given_one_for_what_is_done() {
    let tokens = Tokens::start();
    let mut registry = Registry::start();
    registry.restart(&Access::Tokens(&tokens));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let component = build::guest("identity");
    let component = component.to_str().expect("the path is text");
    let to = registry.reference("acme/identity:1");
    push(folder.path(), &[component, &to]).fails(1, &["failed to get a token", "docker login"]);
    refuses(pull(&to), &["failed to get a token", "nobody is logged in"]);
    assert_eq!(tokens.scopes(), [""; 0]);

    let docker_config = docker_config(folder.path(), registry.address(), PASSWORD);
    let pinned = push(folder.path(), &[component, &to]).ok();
    let options = Options { docker_config, ..Options::default() };
    pull_with(pinned.trim(), options).expect("it was pushed");
    let scopes = tokens.scopes();
    assert!(scopes.iter().any(|scope| scope.contains("push")), "{scopes:?}");
    assert_eq!(scopes.last().map(String::as_str), Some("repository:acme/identity:pull"));
}
