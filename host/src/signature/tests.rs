use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

/// A pair that `openssl genpkey -algorithm ed25519` made, and what it signed.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEICxsWblIuWx8AwUArj6kqqTu4kbzf/VI+MDiKl/UQNPW\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAStnV9O0+z7IUYAeBrSEYuBRvi5UBg7WYVydBptr6/wM=\n-----END PUBLIC KEY-----\n";
const ID: &str = "4abda01846fdb44f";
const OF_ABC: &str =
    "oR61/qeN5f9X7GEE/lg1hr8Njm7aXHp97cfFHPPnT5TZImL61qKcvlPFNiOYTuE1u50h/AdyRqujPIOIBEA3Cg==";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn pair(name: &str) -> (tempfile::TempDir, PathBuf, PrivateKey) {
    let folder = folder();
    let file = folder.path().join(name);
    let key = PrivateKey::create(&file).unwrap();
    (folder, file, key)
}

fn digest() -> Digest {
    Digest::of(b"abc")
}

#[test]
fn a_signature_is_the_one_that_openssl_makes() {
    let signature = PrivateKey::parse(PRIVATE).unwrap().sign(&digest());
    assert_eq!(signature.to_string(), format!("ed25519:{ID}:{OF_ABC}"));
    let public = PublicKey::parse(PUBLIC).unwrap();
    assert_eq!(public, PrivateKey::parse(PRIVATE).unwrap().public());
    assert_eq!((public.id().to_string(), public.to_pem()), (ID.to_owned(), PUBLIC.to_owned()));
    public.verify(&digest(), &signature).unwrap();
}

#[test]
fn what_is_signed_names_its_purpose() {
    assert_eq!(
        message(&digest()),
        b"lockstep component signature v1\n\
          sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_new_pair_lies_in_two_files_of_which_one_is_private() {
    let (_folder, file, key) = pair("release.key");
    let mode = |file: &Path| file.metadata().unwrap().permissions().mode() & 0o777;
    let public = PublicKey::file_of(&file);
    assert_eq!(public, file.with_file_name("release.key.pub"));
    assert_eq!((mode(&file), mode(&public) & 0o022), (0o600, 0));
    assert_eq!(PrivateKey::read(&file).unwrap().public(), key.public());
    assert_eq!(PublicKey::read(&public).unwrap(), key.public());
    assert_eq!(PublicKey::read_either(&file).unwrap(), key.public());
    assert_eq!(PublicKey::read_either(&public).unwrap(), key.public());
}

#[test]
fn no_file_is_overwritten_by_a_new_pair() {
    let (_folder, file, _key) = pair("release.key");
    let before = std::fs::read(&file).unwrap();
    let error = PrivateKey::create(&file).unwrap_err().to_string();
    assert!(error.contains("release.key\" exists already"), "{error}");
    let other = file.with_file_name("other.key");
    std::fs::write(PublicKey::file_of(&other), "").unwrap();
    let error = PrivateKey::create(&other).unwrap_err().to_string();
    assert!(error.contains("other.key.pub\" exists already"), "{error}");
    assert!(!other.exists());
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn two_new_keys_differ() {
    assert_ne!(pair("a").2.public(), pair("a").2.public());
}

#[test]
fn a_signature_of_another_component_or_by_another_key_is_refused() {
    let (_folder, _, key) = pair("a");
    let (_other_folder, _, other) = pair("b");
    let signature = key.sign(&digest());
    key.public().verify(&digest(), &signature).unwrap();
    assert!(key.public().verify(&Digest::of(b"abd"), &signature).is_err());
    assert!(other.public().verify(&digest(), &signature).is_err());
    let renamed = Signature::new(other.public().id(), signature.bytes);
    let error = other.public().verify(&digest(), &renamed).unwrap_err().to_string();
    assert!(error.contains(&other.public().id().to_string()), "{error}");
    assert!(error.contains(&digest().to_string()), "{error}");
}

#[test]
fn a_signature_survives_its_text() {
    let (folder, _, key) = pair("a");
    let signature = key.sign(&digest());
    assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
    let file = Signature::file_of(&folder.path().join("weather.wasm"));
    assert!(file.ends_with("weather.wasm.sig"));
    std::fs::write(&file, format!("{signature}\n")).unwrap();
    assert_eq!(Signature::read(&file).unwrap(), signature);
}

#[test]
fn what_is_no_signature_is_refused() {
    let good = PrivateKey::parse(PRIVATE).unwrap().sign(&digest()).to_string();
    for text in [
        "",
        "ed25519",
        &good[1..],
        &good[..good.len() - 1],
        &good.replace("ed25519", "rsa"),
        &good.replacen(ID, &ID[1..], 1),
        &good.replacen(ID, &format!("+{}", &ID[1..]), 1),
        &format!("{good}="),
    ] {
        let error = text.parse::<Signature>().unwrap_err().to_string();
        assert!(error.contains("lockstep sign"), "{error}");
    }
    let error = "x".repeat(10_000).parse::<Signature>().unwrap_err();
    assert!(error.to_string().len() < 1000);
}

#[test]
fn files_that_hold_no_such_key_are_refused_with_what_they_hold() {
    let folder = folder();
    let file = folder.path().join("some.pem");
    let private = |text: &str| {
        std::fs::write(&file, text).unwrap();
        format!("{:#}", PrivateKey::read(&file).unwrap_err())
    };
    let public = |text: &str| {
        std::fs::write(&file, text).unwrap();
        format!("{:#}", PublicKey::read(&file).unwrap_err())
    };
    let labelled = |label: &str| PUBLIC.replace("PUBLIC KEY", label);
    let cases = [
        (private("hello"), "no private key in PEM"),
        (private(PUBLIC), "the public key"),
        (private(&labelled("ENCRYPTED PRIVATE KEY")), "encrypted"),
        (private(&labelled("OPENSSH PRIVATE KEY")), "OpenSSH"),
        (private(&labelled("RSA PRIVATE KEY")), "\"RSA PRIVATE KEY\""),
        (private(&labelled("PRIVATE KEY")), "no private key of ed25519"),
        (private(&PRIVATE.replace("MC4C", "M!4C")), "PEM is broken"),
        (private(&" ".repeat(100_000)), "longer than"),
        (public(""), "no public key in PEM"),
        (public(PRIVATE), "keep the private one"),
        (public(&labelled("CERTIFICATE")), "\"CERTIFICATE\""),
        (public(&PRIVATE.replace("PRIVATE", "PUBLIC")), "another kind than ed25519"),
        (public(&PUBLIC.repeat(2)), "2 keys"),
    ];
    for (error, part) in cases {
        assert!(error.contains(part) && error.contains("some.pem"), "{part:?}: {error}");
        assert!(!error.contains("MC4C"), "no key is shown: {error}");
    }
}

#[test]
fn a_ring_takes_what_any_of_its_keys_signed() {
    let (_old_folder, _, old) = pair("old");
    let (_new_folder, _, new) = pair("new");
    let mut ring = KeyRing::of(old.public(), "old.pub");
    assert!(ring.verify(&digest(), &new.sign(&digest())).is_err());
    ring.add(new.public(), "new.pub").unwrap();
    for key in [&old, &new] {
        ring.check(&digest(), Some(&key.sign(&digest()))).unwrap();
    }
    assert_eq!(ring.add(old.public(), "again.pub"), Err("old.pub".to_owned()));
    assert_eq!(ring.ids().collect::<Vec<_>>(), [old.public().id(), new.public().id()]);
}

#[test]
fn a_ring_says_who_is_trusted_and_who_signed() {
    let (_trusted_folder, _, trusted) = pair("a");
    let (_other_folder, _, other) = pair("b");
    let ring = KeyRing::of(trusted.public(), "release.pub");
    let (ours, theirs) = (trusted.public().id().to_string(), other.public().id().to_string());
    let unsigned = ring.check(&digest(), None).unwrap_err();
    let unknown = ring.check(&digest(), Some(&other.sign(&digest()))).unwrap_err();
    let forged = Signature::new(trusted.public().id(), other.sign(&digest()).bytes);
    let forged = ring.check(&digest(), Some(&forged)).unwrap_err();
    assert!(matches!(unsigned, Untrusted::Unsigned { .. }));
    assert!(matches!(unknown, Untrusted::Unknown { .. }));
    assert!(matches!(forged, Untrusted::Forged(_)));
    for (error, parts) in [
        (unsigned, ["not signed", "release.pub", "lockstep sign"]),
        (unknown, [&*theirs, "release.pub", "not trusted"]),
        (forged, ["changed after signing", &ours, &ours]),
    ] {
        let error = error.to_string();
        assert!(error.contains(&digest().to_string()), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(error.contains(&ours), "{error}");
    }
}
