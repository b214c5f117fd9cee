//! TLS on both listeners: certificates, those of clients, both protocols, changes while a host
//! runs, and clients that stall.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use lockstep_tests::certificates::{Authority, Identity};
use lockstep_tests::cli;
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::tls::{HTTP_1, HTTP_2, TlsClient};
use lockstep_tests::wait::eventually_ok;

/// A world whose hosts have certificates.
struct Secured {
    world: Scenario,
    input: String,
    authority: Authority,
}

impl Secured {
    /// With these lines of a configuration. The certificate of the host lies in `host.pem` and
    /// `host.key`.
    fn new(name: &str, config: &str) -> Self {
        let mut world = Scenario::new(LogKind::Embedded, name);
        let input = world.topic("in", 1);
        world.open_to_ingest(&[&input]);
        world.configure(config);
        let authority = Authority::new("Lockstep tests");
        put(world.directory(), "host", &authority.sign("host"));
        Self { world, input, authority }
    }

    fn launch(&self) -> Host {
        Host::launch(&self.world.config("host-1"), &[("LOCKSTEP_LOG", "debug")])
    }

    fn client(&self) -> TlsClient {
        TlsClient::new(&self.authority, None)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.world.directory().join(name);
        fs::write(path, text).expect("the scenario's directory is ours");
    }
}

/// Writes a certificate and its key.
fn put(directory: &Path, name: &str, identity: &Identity) {
    for (extension, text) in [("pem", &identity.certificate), ("key", &identity.key)] {
        fs::write(directory.join(format!("{name}.{extension}")), text)
            .expect("the scenario's directory is ours");
    }
}

const BOTH: &str = "[http.tls]\ncert = \"host.pem\"\nkey = \"host.key\"\n";
const MUTUAL: &str =
    "[http.ingest_tls]\ncert = \"host.pem\"\nkey = \"host.key\"\nclient_ca = \"clients.pem\"\n";

#[test]
fn both_listeners_speak_both_protocols_over_tls_and_nothing_else() {
    let secured = Secured::new("both-protocols", BOTH);
    let (host, client) = (secured.launch(), secured.client());
    for protocol in [HTTP_1, HTTP_2] {
        let url = host.events_url(&secured.input);
        let (taken, answer) = client.send(&[protocol], "POST", &url, &[], b"x").expect(protocol);
        assert_eq!((taken.as_str(), answer.status), (protocol, 200), "{answer:?}");
        let url = format!("{}/v1/host", host.admin);
        let (taken, answer) = client.send(&[protocol], "GET", &url, &[], b"").expect(protocol);
        assert_eq!((taken.as_str(), answer.status), (protocol, 200), "{answer:?}");
    }
    let url = format!("{}/livez", host.ingest);
    let both = client.send(&[HTTP_1, HTTP_2], "GET", &url, &[], b"").expect("an answer");
    assert_eq!(both.0, HTTP_2, "the better one is taken");
    let (none, answer) = client.send(&[], "GET", &url, &[], b"").expect("an answer");
    assert_eq!((none.as_str(), answer.status), ("", 200), "ALPN is not asked for");
    assert_eq!(secured.world.read(&secured.input).len(), 2);

    assert!(http::try_get(&url).is_err(), "there is no plain HTTP");
    let stranger = TlsClient::new(&Authority::new("somebody else"), None);
    let error = stranger.get(&url, &[]).expect_err("the host is not trusted");
    assert!(format!("{error:#}").contains("UnknownIssuer"), "{error:#}");
    host.logged(&["a TLS handshake failed"]);
}

#[test]
fn a_listener_with_authorities_for_clients_lets_in_nobody_else() {
    let secured = Secured::new("mutual", MUTUAL);
    let clients = Authority::new("clients");
    secured.write("clients.pem", &clients.pem());
    let host = secured.launch();
    let url = host.events_url(&secured.input);
    let post = |authority: Option<&Authority>, protocol: &str| {
        let identity = authority.map(|authority| authority.sign("a client"));
        let client = TlsClient::new(&secured.authority, identity.as_ref());
        client.send(&[protocol], "POST", &url, &[], b"x").map(|(_, answer)| answer.status)
    };
    for protocol in [HTTP_1, HTTP_2] {
        assert!(post(None, protocol).is_err(), "without a certificate");
        assert!(post(Some(&secured.authority), protocol).is_err(), "of another authority");
        assert_eq!(post(Some(&clients), protocol).expect("it is let in"), 200);
    }
    host.logged(&["a TLS handshake failed", "peer sent no certificates"]);
    assert_eq!(secured.world.read(&secured.input).len(), 2);
    // The other listener has no certificate, and is on loopback.
    assert_eq!(http::get(&format!("{}/v1/host", host.admin)).status, 200);
}

#[test]
fn tokens_are_asked_for_beside_client_certificates_and_are_never_logged() {
    let secured = Secured::new("mutual-tokens", &format!("{MUTUAL}[auth]\ntokens = \"t.toml\""));
    secured.write("clients.pem", &secured.authority.pem());
    let config = secured.world.config("host-1");
    let mut create = cli::command(["token", "create", "--scope", "ingest:*", "--config"]);
    let token = cli::finish(create.arg(&config), b"").ok();
    let host = Host::launch(&config, &[("LOCKSTEP_LOG", "trace")]);
    let identity = secured.authority.sign("a client");
    let client = TlsClient::new(&secured.authority, Some(&identity));
    let url = host.events_url(&secured.input);
    let authorization = format!("Bearer {}", token.trim());
    for protocol in [HTTP_1, HTTP_2] {
        let post = |headers: &[(&str, &str)]| {
            let sent = client.send(&[protocol], "POST", &url, headers, b"x");
            sent.expect("the certificate is good").1
        };
        post(&[]).problem("unauthorized", 401);
        assert_eq!(post(&[("authorization", &authorization)]).status, 200);
    }
    let secret = token.trim().rsplit('_').next().unwrap_or_default();
    assert!(!host.output().contains(secret), "the secret is logged");
    http::get(&format!("{}/v1/host", host.admin)).problem("unauthorized", 401);
}

#[test]
fn a_new_certificate_counts_without_a_restart_and_a_broken_one_does_not() {
    let secured = Secured::new("renewed", BOTH);
    let host = secured.launch();
    let url = format!("{}/livez", host.ingest);
    assert_eq!(secured.client().get(&url, &[]).expect("an answer").status, 200);

    let renewed = Authority::new("renewed");
    let identity = renewed.sign("host");
    // For a moment the two do not belong together; nothing is to be said of that.
    secured.write("host.pem", &identity.certificate);
    secured.write("host.key", &identity.key);
    let client = TlsClient::new(&renewed, None);
    for listener in [&host.ingest, &host.admin] {
        let url = format!("{listener}/livez");
        eventually_ok("the new certificate is shown", || {
            client.get(&url, &[]).map(drop).map_err(|error| format!("{error:#}"))
        });
    }
    assert!(secured.client().get(&url, &[]).is_err(), "the old one is no longer shown");
    assert!(!host.output().contains("ERROR"), "{}", host.output());

    secured.write("host.key", &renewed.sign("another").key);
    host.logged(&["ERROR", "http.tls.key", "host.key", "does not belong"]);
    assert_eq!(client.get(&url, &[]).expect("the old one still counts").status, 200);
}

#[test]
fn certificates_that_cannot_be_used_are_refused_with_file_and_key() {
    let secured = Secured::new("unusable", BOTH);
    let other = secured.authority.sign("other");
    secured.write("other.key", &other.key);
    secured.write("no.pem", "no certificate");
    secured.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cases: [(&str, &[&str]); 7] = [
        ("cert = \"gone.pem\"\nkey = \"host.key\"", &["http.admin_tls.cert", "gone.pem"]),
        ("cert = \"no.pem\"\nkey = \"host.key\"", &["http.admin_tls.cert", "no.pem"]),
        ("cert = \"broken.pem\"\nkey = \"host.key\"", &["http.admin_tls.cert", "broken.pem"]),
        ("cert = \"host.pem\"\nkey = \"gone.key\"", &["http.admin_tls.key", "gone.key"]),
        ("cert = \"host.pem\"\nkey = \"host.pem\"", &["http.admin_tls.key", "host.pem"]),
        (
            "cert = \"host.pem\"\nkey = \"other.key\"",
            &["http.admin_tls.key", "other.key", "host.pem", "does not belong"],
        ),
        (
            "cert = \"host.pem\"\nkey = \"host.key\"\nclient_ca = \"no.pem\"",
            &["http.admin_tls.client_ca", "no.pem"],
        ),
    ];
    let config = secured.world.config("host-1");
    let sound = fs::read_to_string(&config).expect("it was just written");
    for (lines, words) in cases {
        fs::write(&config, format!("{sound}\n[http.admin_tls]\n{lines}\n")).expect("it is ours");
        let run = cli::finish(&mut Host::command(&config), b"");
        run.fails(2, words);
        run.fails(2, &["host-1.toml"]);
        let check = cli::finish(cli::command(["check", "--config"]).arg(&config), b"");
        assert_eq!(check.code, 2, "{check:?}");
        assert!(words.iter().all(|word| check.stdout.contains(word)), "{words:?}: {check:?}");
        let key = fs::read_to_string(secured.world.directory().join("other.key")).expect("a key");
        let secret = key.lines().nth(1).unwrap_or_default();
        assert!(!format!("{run:?}{check:?}").contains(secret), "a key is shown");
    }
}

#[test]
fn clients_that_stall_in_the_handshake_hold_up_nobody_and_are_cut_off() {
    let secured = Secured::new("stalled", BOTH);
    let stall = |host: &Host| -> Vec<TcpStream> {
        let address = host.ingest.trim_start_matches("http://");
        (0..20).map(|_| TcpStream::connect(address).expect("the host listens")).collect()
    };
    let mut host = secured.launch();
    let stalled = stall(&host);
    let url = format!("{}/livez", host.ingest);
    let begun = Instant::now();
    assert_eq!(secured.client().get(&url, &[]).expect("an answer").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "after {:?}", begun.elapsed());
    // A stop does not wait for them either: it would for as long as a request may take.
    let (code, took) = host.terminate();
    assert!(code == 0 && took < Duration::from_secs(5), "{code} after {took:?}");
    drop(stalled);

    let mut secured = secured;
    secured.world.configure("http.read_timeout = \"300ms\"");
    let host = secured.launch();
    for mut stream in stall(&host) {
        // A host that never closes would fail this by the timeout of the read.
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("it can be set");
        let end = stream.read(&mut [0; 16]);
        assert!(
            matches!(end, Ok(0))
                || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
    host.logged(&["a TLS handshake took too long"]);
}
