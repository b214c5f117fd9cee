//! A secured Kafka: TLS, client certificates and passwords, as managed services hand them out.
//!
//! Whatever goes wrong, it is said without a secret: not in a log line, not in `/readyz`, not in
//! the error of a command. Hosts and commands run at the most talkative log level.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use lockstep_tests::certificates::{Authority, Identity};
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::process::Process;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::secured::{PASSWORD, Secured, USER};
use lockstep_tests::wait::{DEADLINE, eventually_ok};

/// A person who waits for the reason of a failure.
const PATIENCE: Duration = Duration::from_secs(8);
/// Lines of a PEM that are shorter could be in any text.
const SECRET_LINE: usize = 16;
const WRONG_PASSWORD: &str = "hunter2-wrong-password";

/// A host that reaches its broker over a secured listener.
struct Client {
    world: Scenario,
    input: String,
    output: String,
    environment: Vec<(&'static str, String)>,
}

impl Client {
    /// With these lines of `[kafka]`. The certificate of the authority lies in `ca.pem`.
    fn new(name: &str, kafka: &str) -> Self {
        let mut world = Scenario::at_broker(&Secured::shared().open_address(), name);
        let ca = world.directory().join("ca.pem");
        std::fs::write(ca, &Secured::shared().ca).expect("the scenario's directory is ours");
        let (input, output) = (world.topic("in", 1), world.topic("out", 1));
        world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
        world.open_to_ingest(&[&input]);
        world.configure(&format!("[kafka]\n{kafka}"));
        Self { world, input, output, environment: Vec::new() }
    }

    /// By a client certificate, as PEM in the environment.
    fn with_certificate(name: &str, identity: &Identity, form: impl Fn(&str) -> String) -> Self {
        let kafka = format!(
            "{}\"ssl.certificate.pem\" = \"${{KAFKA_CERTIFICATE}}\"\n\
             \"ssl.key.pem\" = \"${{KAFKA_KEY}}\"",
            tls(&Secured::shared().mtls_address())
        );
        let mut client = Self::new(name, &kafka);
        client.set("KAFKA_CERTIFICATE", &form(&identity.certificate));
        client.set("KAFKA_KEY", &form(&identity.key));
        client
    }

    /// By a password in the environment.
    fn with_password(name: &str, mechanism: &str, password: &str) -> Self {
        let kafka = format!(
            "{}\"sasl.mechanism\" = {mechanism:?}\n\"sasl.username\" = {USER:?}\n\
             \"sasl.password\" = \"${{KAFKA_PASSWORD}}\"",
            tls(&Secured::shared().sasl_address()).replace("\"ssl\"", "\"sasl_ssl\"")
        );
        let mut client = Self::new(name, &kafka);
        client.set("KAFKA_PASSWORD", password);
        client
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    fn config(&self) -> PathBuf {
        self.world.config("host-1")
    }

    /// Every event goes through, by ingest and by the handler, and nothing secret is said.
    #[track_caller]
    fn works(&self) {
        let mut environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        environment.push(("LOCKSTEP_LOG", "trace"));
        let host = Host::launch(&self.config(), &environment);
        host.wait_until_ready();
        assert_eq!(host.post(&self.input, &[], b"posted").status, 200);
        self.world.produce([event(&self.input, "produced")]);
        let texts: Vec<_> = self.world.wait_for(&self.output, 2).iter().map(Has::text).collect();
        assert_eq!(texts, ["posted", "produced"]);
        self.keeps_secrets(&host.output());
        let topics = self.run(&["topic", "list"]);
        self.keeps_secrets(&format!("{topics:?}"));
        assert!(topics.ok().contains(&self.input));
    }

    /// The host stays unready, and says all of these words in its log and in `/readyz`; the
    /// command line says them too.
    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        let mut command = Host::command(&self.config());
        let host = Process::start("lockstep run", self.with_environment(&mut command));
        let admin = host.find_line(DEADLINE, admin_address).expect("the host listens");
        let begun = Instant::now();
        let url = format!("http://{admin}/readyz");
        let missing = |text: &str| {
            let text = text.to_lowercase();
            words.iter().find(|word| !text.contains(**word)).map(|word| (*word).to_owned())
        };
        let unready = eventually_ok("/readyz says why", || {
            let answer = http::try_get(&url).map_err(|error| error.to_string())?;
            assert_eq!(answer.status, 503, "{answer:?}");
            missing(&answer.body).map_or(Ok(answer.body), Err)
        });
        eventually_ok("the log says why", || missing(&host.output()).map_or(Ok(()), Err));
        assert!(begun.elapsed() < PATIENCE, "after {:?}: {unready}", begun.elapsed());
        self.keeps_secrets(&unready);
        self.keeps_secrets(&host.output());

        let begun = Instant::now();
        let topics = self.run(&["topic", "list"]);
        assert!(begun.elapsed() < PATIENCE, "after {:?}: {topics:?}", begun.elapsed());
        self.keeps_secrets(&format!("{topics:?}"));
        assert_eq!(topics.code, 4, "{topics:?}");
        let last = topics.stderr.lines().last().unwrap_or_default();
        assert_eq!(missing(last), None, "{topics:?}");
        let check = self.run(&["check"]);
        self.keeps_secrets(&format!("{check:?}"));
        assert_eq!(check.code, 0, "checking asks no broker: {check:?}");
    }

    /// Neither `run` nor the other commands start, and all name the key.
    #[track_caller]
    fn is_wrong(&self, words: &[&str]) {
        for command in [&["run"] as &[_], &["topic", "list"], &["check"]] {
            let ran = self.run(command);
            assert_eq!(ran.code, 2, "{command:?}: {ran:?}");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            self.keeps_secrets(&said);
            for word in words.iter().chain(&["host-1.toml"]) {
                assert!(said.contains(word), "{word:?} is not said by {command:?}: {said}");
            }
        }
    }

    #[track_caller]
    fn run(&self, command: &[&str]) -> Ran {
        let mut command = cli::command(command);
        command.arg("--config").arg(self.config());
        cli::finish(self.with_environment(&mut command), b"")
    }

    fn with_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LOCKSTEP_LOG", "trace");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    /// Nothing that came from the environment is in the text, as a whole or by the line.
    #[track_caller]
    fn keeps_secrets(&self, text: &str) {
        let secrets = self.environment.iter().filter(|(name, _)| *name != "KAFKA_CERTIFICATE");
        let lines = secrets.flat_map(|(_, value)| value.split('\n').flat_map(|v| v.split("\\n")));
        let body = |line: &&str| line.len() >= SECRET_LINE && !line.starts_with("-----");
        for secret in lines.filter(body).chain([PASSWORD, WRONG_PASSWORD]) {
            assert!(!text.contains(secret), "{secret:?} is shown: {text}");
        }
    }
}

/// `[kafka]` for a TLS listener whose broker the authority in `ca.pem` vouches for.
fn tls(address: &str) -> String {
    format!(
        "\"bootstrap.servers\" = {address:?}\n\"security.protocol\" = \"ssl\"\n\
         \"ssl.ca.pem\" = {{ file = \"ca.pem\" }}\n"
    )
}

/// The address in `… listening ingest=127.0.0.1:8080 admin=127.0.0.1:8081 …`.
fn admin_address(line: &str) -> Option<String> {
    let (_, fields) = line.split_once("listening ")?;
    fields.split_whitespace().find_map(|word| word.strip_prefix("admin=")).map(str::to_owned)
}

fn as_it_is(pem: &str) -> String {
    pem.to_owned()
}

#[test]
fn on_kafka_mutual_tls_works_with_pem_strings() {
    Client::with_certificate("mtls", &Secured::shared().client, as_it_is).works();
}

#[test]
fn on_kafka_mutual_tls_works_with_pem_strings_on_one_line() {
    let one_line = |pem: &str| pem.trim_end().replace('\n', "\\n");
    Client::with_certificate("mtls-line", &Secured::shared().client, one_line).works();
}

#[test]
fn on_kafka_a_host_without_a_client_certificate_says_so() {
    let kafka = tls(&Secured::shared().mtls_address());
    Client::new("no-certificate", &kafka).is_refused(&["certificate"]);
}

#[test]
fn on_kafka_a_host_with_a_certificate_that_the_broker_does_not_know_says_so() {
    let stranger = Authority::new("somebody else").sign("stranger");
    Client::with_certificate("stranger", &stranger, as_it_is).is_refused(&["certificate"]);
}

#[test]
fn on_kafka_a_host_does_not_talk_to_a_broker_that_it_does_not_trust() {
    let client = Client::with_password("untrusted", "PLAIN", PASSWORD);
    std::fs::write(client.world.directory().join("ca.pem"), Authority::new("other").pem())
        .expect("the scenario's directory is ours");
    client.is_refused(&["certificate", "verif", "ssl.ca"]);
}

#[test]
fn on_kafka_a_password_over_tls_works() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        Client::with_password(&format!("{}-right", mechanism.to_lowercase()), mechanism, PASSWORD)
            .works();
    }
}

#[test]
fn on_kafka_a_wrong_password_over_tls_is_reported_as_such() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let name = format!("{}-wrong", mechanism.to_lowercase());
        Client::with_password(&name, mechanism, WRONG_PASSWORD).is_refused(&["authentication"]);
    }
}

/// Without a broker: nothing is asked before the properties are right.
fn wrong(name: &str, kafka: &str) -> Client {
    let world = Scenario::at_broker("127.0.0.1:1", name);
    let mut client =
        Client { world, input: String::new(), output: String::new(), environment: Vec::new() };
    client.world.configure(&format!("[kafka]\n{kafka}"));
    client.set("KAFKA_PASSWORD", WRONG_PASSWORD);
    client
}

#[test]
fn a_wrong_property_is_refused_with_its_key_and_without_its_value() {
    let secret = "\"${KAFKA_PASSWORD}\"";
    for (kafka, key) in [
        (format!("\"no.such.property\" = {secret}"), "kafka.\"no.such.property\""),
        (format!("\"security.protocol\" = {secret}"), "kafka.\"security.protocol\""),
        (format!("\"linger.ms\" = {secret}"), "kafka.\"linger.ms\""),
        (
            format!("[kafka.consumer]\n\"fetch.min.bytes\" = {secret}"),
            "kafka.consumer.\"fetch.min.bytes\"",
        ),
        (
            format!("[kafka.producer]\n\"compression.type\" = {secret}"),
            "kafka.producer.\"compression.type\"",
        ),
        (
            format!("\"security.protocol\" = \"ssl\"\n\"ssl.key.pem\" = {secret}"),
            "kafka.\"ssl.key.pem\"",
        ),
        (
            format!("\"security.protocol\" = \"ssl\"\n\"ssl.certificate.pem\" = {secret}"),
            "kafka.\"ssl.certificate.pem\"",
        ),
        (
            format!("\"security.protocol\" = \"ssl\"\n\"ssl.ca.pem\" = {secret}"),
            "kafka.\"ssl.ca.pem\"",
        ),
    ] {
        wrong("wrong-property", &kafka).is_wrong(&[key]);
    }
}

#[test]
fn a_property_on_the_command_line_is_refused_in_the_same_way() {
    for (property, name) in [
        (format!("no.such.property={WRONG_PASSWORD}"), "-X no.such.property"),
        (format!("security.protocol={WRONG_PASSWORD}"), "-X security.protocol"),
    ] {
        let args = ["topic", "list", "--brokers", "127.0.0.1:1", "-X", &property];
        let ran = cli::finish(&mut cli::command(args), b"");
        ran.fails(2, &["command line", name]);
        assert!(!ran.stderr.contains(WRONG_PASSWORD), "{ran:?}");
    }
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused_and_not_shown() {
    let authority = Authority::new("Lockstep tests");
    let kafka = "\"security.protocol\" = \"ssl\"\n\"ssl.key.pem\" = \"${KAFKA_KEY}\"\n\
                 \"ssl.certificate.pem\" = \"${KAFKA_CERTIFICATE}\"";
    let mut client = wrong("wrong-key", kafka);
    client.set("KAFKA_CERTIFICATE", &authority.sign("one").certificate);
    client.set("KAFKA_KEY", &authority.sign("another").key);
    client.is_wrong(&["kafka"]);
}

#[test]
fn a_damaged_key_is_refused_and_not_shown() {
    let identity = Authority::new("Lockstep tests").sign("one");
    let kafka = "\"security.protocol\" = \"ssl\"\n\"ssl.key.pem\" = \"${KAFKA_KEY}\"";
    let mut client = wrong("damaged-key", kafka);
    let mut lines: Vec<_> = identity.key.lines().collect();
    lines.remove(3);
    client.set("KAFKA_KEY", &lines.join("\n"));
    client.is_wrong(&["ssl.key.pem"]);
}
