//! What only a registry that misbehaves, or hands out tokens, can show; the rest is tested with
//! a real one.

use serde_json::{Value, json};

use super::testing::{Answer, Asked, Server};
use super::*;

const COMPONENT: &[u8] = b"\0asm of a kind";
/// The base64 of `ada:password`.
const ADA: &str = "YWRhOnBhc3N3b3Jk";

fn manifest_of(size: u64) -> Vec<u8> {
    let layer = json!({
        "mediaType": "application/wasm",
        "digest": Digest::of(COMPONENT).to_string(),
        "size": size,
    });
    let config = json!({
        "mediaType": "application/vnd.wasm.config.v0+json",
        "digest": Digest::of(b"{}").to_string(),
        "size": 2,
    });
    json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string().into_bytes()
}

fn manifest() -> Vec<u8> {
    manifest_of(COMPONENT.len() as u64)
}

/// What a good registry answers.
fn good(asked: &Asked) -> Answer {
    match &*asked.path {
        "/v2/acme/weather/manifests/1" => Answer::new(200, manifest()),
        path if path == format!("/v2/acme/weather/blobs/{}", Digest::of(COMPONENT)) => {
            Answer::new(200, COMPONENT)
        }
        _ => Answer::new(404, r#"{"errors":[{"code":"UNKNOWN","message":"not\u001b here"}]}"#),
    }
}

fn is_blob(asked: &Asked) -> bool {
    asked.path.contains("/blobs/")
}

/// Pulls `acme/weather:1` with this file of credentials.
fn pull_with(server: &Server, docker_config: &Value) -> Result<Pulled, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, docker_config.to_string()).unwrap();
    let options = Options {
        docker_config: Some(file),
        silence: Duration::from_millis(500),
        ..Options::default()
    };
    let reference = format!("oci://{}/acme/weather:1", server.address()).parse().unwrap();
    pull(&reference, &options).map_err(|error| format!("{error:#}"))
}

fn pull_anonymously(server: &Server) -> Result<Pulled, String> {
    pull_with(server, &json!({}))
}

/// The error of a pull from a registry that answers so to what `wrong` picks out.
fn refused(wrong: fn(&Asked) -> bool, answer: impl Fn() -> Answer + Send + 'static) -> String {
    let server = Server::start(move |_, asked| if wrong(asked) { answer() } else { good(asked) });
    pull_anonymously(&server).map(|pulled| pulled.digest).unwrap_err()
}

#[test]
fn a_component_is_pulled_and_the_digest_to_pin_is_told() {
    let server = Server::start(|_, asked| good(asked));
    let pulled = pull_anonymously(&server).unwrap();
    assert_eq!((&*pulled.component, pulled.digest), (COMPONENT, Digest::of(COMPONENT)));
    assert_eq!(pulled.manifest_digest, Digest::of(&manifest()));
    let pinned = format!("/acme/weather:1@{}", pulled.manifest_digest);
    assert!(pulled.pinned.to_string().ends_with(&pinned), "{}", pulled.pinned);
    assert!(pulled.warning.unwrap().ends_with(&pulled.pinned.to_string()));
    assert!(server.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[test]
fn a_blob_is_exactly_what_the_manifest_says() {
    let length = COMPONENT.len();
    let cases: [(Answer, &str); 4] = [
        (Answer::new(200, &COMPONENT[1..]), "ends after 13 of the 14 bytes"),
        (Answer::new(200, &COMPONENT[1..]).length(length), "broke off after 13 of 14 bytes"),
        (Answer::new(200, [COMPONENT, b"x"].concat()), "longer than the 14 bytes"),
        (Answer::new(200, [&COMPONENT[1..], b"x"].concat()), "has digest sha256:"),
    ];
    for (answer, part) in cases {
        let answer = std::sync::Mutex::new(Some(answer));
        let answer = move || answer.lock().unwrap().take().unwrap();
        let error = refused(is_blob, answer);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_registry_that_falls_silent_is_not_waited_for() {
    let begun = std::time::Instant::now();
    let answer = || Answer::new(200, &COMPONENT[1..]).length(COMPONENT.len()).then_silence();
    let error = refused(is_blob, answer);
    assert!(error.contains("no answer in time"), "{error}");
    let error = refused(|_| true, || Answer::new(200, "").length(10).then_silence());
    assert!(error.contains("no answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_too_large_is_not_read() {
    let error = refused(|asked| !is_blob(asked), || Answer::new(200, vec![b' '; 5 << 20]));
    assert!(error.contains("longer than 4194304 bytes"), "{error}");
    let huge = || Answer::new(200, manifest_of(MAX_COMPONENT + 1));
    let server = Server::start(move |_, asked| if is_blob(asked) { good(asked) } else { huge() });
    let error = pull_anonymously(&server).unwrap_err();
    assert!(error.contains("268435457 bytes"), "{error}");
    assert_eq!(server.asked().len(), 1, "the blob is not asked for");
}

#[test]
fn refusals_are_told_in_the_registrys_words_without_control_characters() {
    let busy = || Answer::new(429, "").header("retry-after", "7");
    let broken = || Answer::new(500, "<html>");
    for (answer, part) in [
        (
            (|| good(&Asked { path: String::new(), authorization: None })) as fn() -> Answer,
            "has no",
        ),
        (busy, "try again in \"7\""),
        (broken, "answered 500"),
        (|| Answer::new(200, "<html>"), "not JSON of a manifest"),
        (|| Answer::new(401, "").header("www-authenticate", "Negotiate"), "another authentication"),
    ] {
        let error = refused(|_| true, answer);
        assert!(error.contains(part) && error.contains("acme/weather"), "{part}: {error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
    let error = refused(is_blob, || Answer::new(404, r#"{"errors":[{"code":"A","message":"b"}]}"#));
    assert!(error.contains("has no blob sha256:") && error.contains("(A: b)"), "{error}");
}

/// A registry that wants a token, which it hands out to this user or to anybody.
fn with_tokens(user: Option<&'static str>) -> Server {
    Server::start(move |address, asked| {
        let authorization = asked.authorization.as_deref();
        if let Some(query) = asked.path.strip_prefix("/token?") {
            let basic = user.map(|user| format!("Basic {user}"));
            assert!(query.contains("scope=repository%3Aacme%2Fweather%3Apull"), "{query}");
            assert!(query.contains("service=the%20registry"), "{query}");
            return match authorization == basic.as_deref() {
                true => Answer::new(200, r#"{"access_token":"let-me-in"}"#),
                false => Answer::new(401, ""),
            };
        }
        if authorization == Some("Bearer let-me-in") {
            return good(asked);
        }
        let challenge = format!(
            "Bearer realm=\"http://{address}/token\",service=\"the registry\",\
             scope=\"repository:acme/weather:pull\""
        );
        Answer::new(401, "").header("www-authenticate", &challenge)
    })
}

#[test]
fn a_token_is_fetched_for_nobody_or_for_the_user() {
    let server = with_tokens(None);
    pull_anonymously(&server).unwrap();
    assert_eq!(server.asked().len(), 4, "one token is enough: {:?}", server.asked());

    let server = with_tokens(Some(ADA));
    let error = pull_anonymously(&server).unwrap_err();
    assert!(error.contains("nobody is logged in"), "{error}");
    let login = |auth: &str| json!({ "auths": { server.address(): { "auth": auth } } });
    pull_with(&server, &login(ADA)).unwrap();
    // ada:hunter2
    let error = pull_with(&server, &login("YWRhOmh1bnRlcjI=")).unwrap_err();
    assert!(error.contains("password of user \"ada\"") && !error.contains("hunter2"), "{error}");
    let helper = json!({ "credsStore": "desktop" });
    let error = pull_with(&server, &helper).unwrap_err();
    assert!(error.contains("docker-credential-desktop"), "{error}");
}

#[test]
fn a_password_is_not_sent_elsewhere_without_tls() {
    let challenge = "Bearer realm=\"http://auth.example.com/token\"";
    let server =
        Server::start(move |_, _| Answer::new(401, "").header("www-authenticate", challenge));
    let error = pull_anonymously(&server).unwrap_err();
    assert!(error.contains("auth.example.com") && error.contains("https only"), "{error}");
}

#[test]
fn where_a_blob_lies_elsewhere_the_token_is_not_sent_along() {
    let store = Server::start(|_, _| Answer::new(200, COMPONENT));
    let location = format!("http://{}/store", store.address());
    let registry = Server::start(move |address, asked| {
        if asked.authorization.is_none() {
            let challenge = format!("Bearer realm=\"http://{address}/token\"");
            if asked.path.starts_with("/token") {
                return Answer::new(200, r#"{"token":"let-me-in"}"#);
            }
            return Answer::new(401, "").header("www-authenticate", &challenge);
        }
        if is_blob(asked) {
            Answer::new(307, "").header("location", &location)
        } else {
            good(asked)
        }
    });
    pull_anonymously(&registry).unwrap();
    let asked = store.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!((&*asked[0].path, &asked[0].authorization), ("/store", &None));
}

#[test]
fn tls_is_spoken_to_others_than_this_machine() {
    for (transport, loopback, tls) in [
        (Transport::Usual, true, false),
        (Transport::Usual, false, true),
        (Transport::Tls, true, true),
        (Transport::Plain, false, false),
    ] {
        assert_eq!(transport.is_tls(loopback), tls, "{transport:?} {loopback}");
    }
}

#[test]
fn a_server_that_hangs_up_is_told_apart_from_one_that_is_not_there() {
    let server = Server::start(|_, asked| good(asked));
    let reference = format!("oci://{}/acme/weather:1", server.address()).parse().unwrap();
    // The server takes the greeting of TLS for a request without a path.
    let options = Options { transport: Transport::Tls, ..Options::default() };
    let error = format!("{:#}", pull(&reference, &options).unwrap_err());
    assert!(error.contains("the server closed the connection"), "{error}");
    drop(server);
    let error = format!("{:#}", pull(&reference, &options).unwrap_err());
    assert!(error.contains("refused") && error.contains(reference.registry()), "{error}");
}
