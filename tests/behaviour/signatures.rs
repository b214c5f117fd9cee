//! Keys and signatures, made and checked by `lockstep` and by OpenSSL.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lockstep::digest::Digest;
use lockstep::signature::{PublicKey, Signature};
use lockstep_tests::cli;
use lockstep_tests::oci_registry::digest;
use openssl::pkey::{Id, PKey};
use openssl::sign::{Signer, Verifier};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 a component";

/// What is signed for a component: the words of the format, and its digest.
fn message() -> String {
    format!("lockstep component signature v1\n{}", digest(COMPONENT))
}

/// A folder with a component, and the keys of this name.
fn folder(key: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("weather.wasm"), COMPONENT).expect("it can be written");
    cli::run(folder.path(), ["key", "generate", key]).ok();
    folder
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn what_lockstep_signs_openssl_checks() {
    let folder = folder("release.key");
    let printed = cli::run(folder.path(), ["sign", "weather.wasm", "--key", "release.key"]).ok();
    assert_eq!(printed, read(folder.path(), "weather.wasm.sig"));
    let encoded = printed.trim().rsplit(':').next().expect("the last part is the signature");
    let bytes = openssl::base64::decode_block(encoded).expect("it is base64");

    let public = read(folder.path(), "release.key.pub");
    let public = PKey::public_key_from_pem(public.as_bytes()).expect("OpenSSL reads the key");
    assert_eq!(public.id(), Id::ED25519);
    let good = |message: &str| {
        let mut verifier = Verifier::new_without_digest(&public).expect("a key checks");
        verifier.verify_oneshot(&bytes, message.as_bytes()).expect("it is a signature")
    };
    assert!(good(&message()));
    assert!(!good(&message().replace("v1", "v2")));
    let private = read(folder.path(), "release.key");
    let private = PKey::private_key_from_pem(private.as_bytes()).expect("OpenSSL reads the key");
    assert!(private.public_eq(&public));
}

#[test]
fn what_openssl_signs_lockstep_checks() {
    let folder = folder("unused.key");
    let key = PKey::generate_ed25519().expect("OpenSSL makes a key");
    let pem = |text: Result<Vec<u8>, _>| String::from_utf8(text.expect("it is written")).unwrap();
    let private = pem(key.private_key_to_pem_pkcs8());
    let public = PublicKey::parse(&pem(key.public_key_to_pem())).expect("lockstep reads the key");
    fs::write(folder.path().join("openssl.key"), &private).expect("it can be written");

    let mut signer = Signer::new_without_digest(&key).expect("a key signs");
    let bytes = signer.sign_oneshot_to_vec(message().as_bytes()).expect("it signs");
    let encoded = openssl::base64::encode_block(&bytes);
    let text = format!("ed25519:{}:{encoded}", public.id());
    let signature: Signature = text.parse().expect("it is a signature");
    public.verify(&Digest::of(COMPONENT), &signature).expect("it is good");
    assert!(public.verify(&Digest::of(b"other"), &signature).is_err());

    let args = ["sign", "weather.wasm", "--key", "openssl.key", "--print"];
    assert_eq!(cli::run(folder.path(), args).ok().trim(), text, "ed25519 has one signature");
    assert!(!folder.path().join("weather.wasm.sig").exists());
}

#[test]
fn keys_are_shown_by_their_public_half_and_never_overwritten() {
    let folder = folder("release.key");
    let mode = fs::metadata(folder.path().join("release.key")).map(|m| m.permissions().mode());
    assert_eq!(mode.expect("the key is there") & 0o777, 0o600);
    let private = read(folder.path(), "release.key");
    let again = cli::run(folder.path(), ["key", "generate", "release.key"]);
    again.fails(1, &["release.key\" exists already"]);
    assert_eq!(read(folder.path(), "release.key"), private);

    let show = |file: &str| cli::run(folder.path(), ["key", "show", file]).ok();
    let shown = show("release.key");
    assert_eq!(shown, show("release.key.pub"));
    assert!(shown.ends_with(&read(folder.path(), "release.key.pub")), "{shown}");
    let secret = private.lines().nth(1).expect("the second line is the key");
    assert!(!shown.contains(secret));
    let args = ["key", "show", "release.key", "--output", "json"];
    let json = cli::run(folder.path(), args).json();
    assert!(shown.starts_with(&format!("key {}\n", json["id"].as_str().expect("an id"))));
}

#[test]
fn signing_what_is_wrong_says_so() {
    let folder = folder("release.key");
    fs::write(folder.path().join("notes.txt"), "hello").expect("it can be written");
    let sign =
        |component: &str, key: &str| cli::run(folder.path(), ["sign", component, "--key", key]);
    sign("weather.wasm", "release.key.pub").fails(1, &["release.key.pub", "the public key"]);
    sign("weather.wasm", "gone.key").fails(1, &["gone.key", "No such file"]);
    sign("gone.wasm", "release.key").fails(1, &["gone.wasm", "No such file"]);
    sign("notes.txt", "release.key").fails(2, &["notes.txt", "not WebAssembly"]);
}

#[test]
fn a_host_that_trusts_a_key_that_is_not_there_does_not_start() {
    let folder = folder("release.key");
    let check = |trusted: &str| {
        let text = format!("[signatures]\ntrusted = [{trusted}]\n");
        fs::write(folder.path().join("lockstep.toml"), text).expect("it can be written");
        cli::run(folder.path(), ["run", "--config", "lockstep.toml"])
    };
    let place = "lockstep.toml: signatures.trusted[0]";
    check("\"gone.pub\"").fails(2, &[place, "gone.pub", "lockstep key generate"]);
    check("\"release.key\"").fails(2, &[place, "it is a private key"]);
    check("").fails(2, &["signatures.trusted", "no component could run"]);
}
