//! The host's configuration: every key broken in turn, checks across files, syntax errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::testing::KeyTable;
use super::*;
use crate::deployment;
use crate::handler::Handler;

const VALID: &str = r#"
cluster_id = "fleet"
host_id = "host-1"
data_dir = "./data"
shutdown_deadline = "10s"
deployments = true
handler_logs = true
handlers = ["weather", "orders/handler.toml"]

[http]
ingest = "127.0.0.1:8080"
admin = "127.0.0.1:8081"
max_body = "1MiB"
read_timeout = "10s"
queue = 10000
[http.tls]
cert = "tls/host.pem"
key = "tls/host.key"
[http.ingest_tls]
cert = "tls/ingest.pem"
key = "tls/ingest.key"
client_ca = "tls/clients.pem"
[http.admin_tls]
cert = "tls/admin.pem"
key = "tls/admin.key"
client_ca = "tls/operators.pem"

[auth]
tokens = "tokens.toml"
anonymous = false

[kafka]
"bootstrap.servers" = "broker:9092"
"security.protocol" = "ssl"
"socket.keepalive.enable" = true
"ssl.ca.pem" = { file = "ca.pem" }
"ssl.key.pem" = "${KAFKA_KEY_PEM}"
[kafka.consumer]
"max.poll.interval.ms" = 300000
[kafka.producer]
"linger.ms" = 1.5
"transaction.timeout.ms" = "60000"

[[topics]]
name = "source-topic"
partitions = 3
replication_factor = 1
settings = { "retention.ms" = "604800000", "preallocate" = true }
ingest = true

[signatures]
trusted = ["old.pub", "new.pub"]
"#;

/// Two public keys, and their ids.
const KEYS: [(&str, &str, &str); 2] = [
    ("old.pub", "MCowBQYDK2VwAyEAStnV9O0+z7IUYAeBrSEYuBRvi5UBg7WYVydBptr6/wM=", "4abda01846fdb44f"),
    ("new.pub", "MCowBQYDK2VwAyEAILWwjVFuXfuPMfqwG33DJ4zAoehbui13MFc3C+ccNM8=", "f7b1b4692af9ffe9"),
];

const PROPERTY: &str = "use for example \"text\", \"${NAME}\", 10, true";

fn env(name: &str) -> Option<String> {
    (name == "KAFKA_KEY_PEM").then(|| r"-----BEGIN KEY-----\nhunter2-key-material\n".to_owned())
}

fn load(file: &Path) -> Result<HostConfig, ConfigError> {
    host_toml::load(file, &env)
}

/// A folder with the files that [`VALID`] names, and two manifests.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), "CERT-LINE-1\nCERT-LINE-2\n\n").unwrap();
    for (name, key, _) in KEYS {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n");
        std::fs::write(dir.path().join(name), pem).unwrap();
    }
    for name in ["weather", "orders"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        manifest(dir.path(), name, "");
    }
    dir
}

fn manifest(dir: &Path, name: &str, more: &str) {
    let text =
        format!("name = \"{name}\"\ncomponent = \"a.wasm\"\nfrom = [\"source-topic\"]\n{more}");
    std::fs::write(dir.join(name).join(MANIFEST), text).unwrap();
}

fn load_text(text: &str) -> (TempDir, Result<HostConfig, ConfigError>) {
    let dir = folder();
    let file = dir.path().join("lockstep.toml");
    std::fs::write(&file, text).unwrap();
    let config = load(&file);
    (dir, config)
}

fn error(text: &str) -> ConfigError {
    load_text(text).1.expect_err(text)
}

#[test]
fn every_broken_key_is_named_with_its_fix() {
    let dir = folder();
    let table = KeyTable {
        file: dir.path().join("lockstep.toml"),
        valid: VALID,
        load: |file| load(file).map(drop),
        cases: &[
            ("cluster_id", "\"host-1\"", r#" 3 | "" | "a b" | "ä" "#),
            ("host_id", "\"host-1\"", r#" 3 | "" | "a/b" "#),
            ("data_dir", "for example", r#" 3 | "" | "ca.pem" "#),
            ("shutdown_deadline", "\"10s\"", r#" 10 | "10" | "soon" | "1ms" | "2h" "#),
            ("deployments", "example true", r#" "yes" | 1 "#),
            ("handler_logs", "example true", r#" "yes" | 1 "#),
            ("handlers[0]", "for example", r#" 3 | "" | "nowhere" "#),
            ("handlers[1]", "", r#" "weather" | "orders/gone.toml" "#),
            (
                "http.ingest",
                "\"127.0.0.1:8080\"",
                r#" 8080 | "x" | "localhost" | "1.2.3.4:99999" "#,
            ),
            ("http.admin", "\"127.0.0.1:8081\"", r#" 1 | "" | "127.0.0.1:8080" | "0.0.0.0:8080" "#),
            ("http.max_body", "\"1MiB\"", r#" "big" | -1 | 0 | "2GiB" | 1.5 "#),
            ("http.read_timeout", "\"10s\"", r#" 5 | "" | "0s" | "-1s" | "11m" "#),
            ("http.queue", "10000", r#" "many" | 0 | -1 | 99999999999 | 1.5 "#),
            ("http.tls.cert", "for example", r#" "" | 3 "#),
            ("http.tls.key", "for example", r#" "" | 3 "#),
            ("http.ingest_tls.cert", "for example", r#" "" | 3 "#),
            ("http.ingest_tls.key", "for example", r#" "" | 3 "#),
            ("http.ingest_tls.client_ca", "for example", r#" "" | 3 "#),
            ("http.admin_tls.cert", "for example", r#" "" | 3 "#),
            ("http.admin_tls.key", "for example", r#" "" | 3 "#),
            ("http.admin_tls.client_ca", "for example", r#" "" | 3 "#),
            ("auth.tokens", "for example", r#" "" | 3 "#),
            ("auth.anonymous", "", r#" "yes" | 1 | true "#),
            ("kafka.\"bootstrap.servers\"", "for example \"", r#" "" | "a:1,,b:2" "#),
            ("kafka.\"security.protocol\"", PROPERTY, ""),
            ("kafka.\"socket.keepalive.enable\"", PROPERTY, ""),
            ("kafka.\"ssl.ca.pem\".file", "for example", r#" "" | 3 "#),
            ("kafka.\"ssl.key.pem\"", PROPERTY, ""),
            ("kafka.consumer.\"max.poll.interval.ms\"", "for example", r#" "5m" | 1.5 | -1 "#),
            ("kafka.producer.\"linger.ms\"", PROPERTY, ""),
            ("kafka.producer.\"transaction.timeout.ms\"", "for example", r#" "" | "60s" "#),
            ("topics[0].name", "\"orders\"", r#" 1 | "" | ".." | "a b" | "_lockstep.x" "#),
            ("topics[0].partitions", "example 3", r#" "3" | 0 | 10001 | -1 | 1.5 "#),
            ("topics[0].replication_factor", "example 1", r#" "1" | 0 | 70000 "#),
            ("topics[0].settings.\"retention.ms\"", "in quotes", ""),
            ("topics[0].settings.preallocate", "in quotes", ""),
            ("topics[0].ingest", "example false", r#" "yes" | 1 "#),
            ("signatures.trusted[0]", "for example", r#" 3 | "" | "gone.pub" | "ca.pem" "#),
            ("signatures.trusted[1]", "", r#" "old.pub" "#),
        ],
        required: &[
            ("http.tls.cert", "cert = \"server.pem\""),
            ("http.tls.key", "key = \"server.key\""),
            ("http.ingest_tls.cert", "cert = \"server.pem\""),
            ("http.ingest_tls.key", "key = \"server.key\""),
            ("http.admin_tls.cert", "cert = \"server.pem\""),
            ("http.admin_tls.key", "key = \"server.key\""),
            ("kafka.\"bootstrap.servers\"", "\"bootstrap.servers\" = \"broker-1:9092"),
            ("topics[0].name", "name = \"orders\""),
            ("signatures.trusted", "trusted = [\"release.key.pub\"]"),
        ],
        free: &[
            "kafka",
            "kafka.consumer",
            "kafka.producer",
            "kafka.\"ssl.ca.pem\"",
            "topics[0].settings",
        ],
    };
    table.check();
}

#[test]
fn a_complete_file_becomes_what_it_says() {
    let (dir, config) = load_text(VALID);
    let config = config.unwrap();
    assert_eq!((&*config.cluster_id, &*config.host_id), ("fleet", "host-1"));
    assert_eq!(config.data_dir, dir.path().join("./data"));
    let manifests = ["weather/handler.toml", "orders/handler.toml"];
    assert_eq!(config.handlers, manifests.map(|path| dir.path().join(path)));
    let tls = |table, cert: &str, key: &str, client_ca: &str| {
        let path = |name: &str| dir.path().join("tls").join(name);
        Some(TlsConfig {
            table,
            cert: path(cert),
            key: path(key),
            client_ca: Some(path(client_ca)),
        })
    };
    let http = HttpConfig {
        ingest_tls: tls("http.ingest_tls", "ingest.pem", "ingest.key", "clients.pem"),
        admin_tls: tls("http.admin_tls", "admin.pem", "admin.key", "operators.pem"),
        ..HttpConfig::default()
    };
    assert_eq!(config.http, http);
    assert_eq!(config.auth.tokens, Some(dir.path().join("tokens.toml")));
    assert!(config.topics[0].ingest);
    let trusted: Vec<_> = config.trusted_keys.unwrap().ids().map(|id| id.to_string()).collect();
    assert_eq!(trusted, KEYS.map(|(_, _, id)| id));
    assert_eq!(config.topics[0].spec.settings["preallocate"], "true");
    let kafka = config.kafka.unwrap();
    assert_eq!(kafka.brokers(), "broker:9092");
    assert_eq!(kafka.common.get("ssl.ca.pem"), Some("CERT-LINE-1\nCERT-LINE-2"));
    assert_eq!(kafka.producer.get("linger.ms"), Some("1.5"));
}

#[test]
fn an_empty_file_is_the_embedded_log_with_the_defaults() {
    let (dir, config) = load_text("");
    let (config, defaults) = (config.unwrap(), HostConfig::default());
    assert_eq!(config.cluster_id, "lockstep");
    assert_eq!(config.host_id, defaults.host_id);
    assert_eq!(config.data_dir, dir.path().join(defaults.data_dir));
    assert_eq!(config.shutdown_deadline, Duration::from_secs(10));
    assert!(config.kafka.is_none() && config.topics.is_empty() && config.handlers.is_empty());
    assert_eq!(config.http.max_body, 1 << 20);
    assert_eq!(config.http.queue, 10_000);
}

#[test]
fn broken_syntax_is_located_without_showing_the_line() {
    let error = error("cluster_id = \"a\"\n[kafka]\n\"sasl.password\" = hunter2\n");
    assert_eq!(error.key, "line 3, column 19");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let error = HostConfig::load(Path::new("no/such/lockstep.toml")).unwrap_err().to_string();
    assert!(error.starts_with("no/such/lockstep.toml: cannot be read: No such file"), "{error}");
}

#[test]
fn a_file_that_is_not_text_is_refused_with_the_place() {
    let dir = folder();
    let file = dir.path().join("lockstep.toml");
    std::fs::write(&file, b"# fine\nhost_id = \"\xff\"").unwrap();
    let error = load(&file).unwrap_err();
    assert_eq!((&*error.key, &*error.problem), ("line 2, column 12", "is not UTF-8"));
}

#[test]
fn a_mistyped_key_gets_the_one_that_was_meant() {
    for (text, near) in [
        ("handler = []", "did you mean handlers?"),
        ("[http]\ningress = \"x\"", "did you mean ingest?"),
        ("[[topics]]\nname = \"a\"\nreplication-factor = 1", "did you mean replication_factor?"),
    ] {
        assert!(error(text).fix.contains(near), "{}", error(text));
    }
}

#[test]
fn names_that_appear_twice_are_refused() {
    let topics = error("[[topics]]\nname = \"a\"\n[[topics]]\nname = \"a\"");
    assert_eq!(topics.key, "topics[1].name");
    let handlers = error("handlers = [\"weather\", \"./weather/handler.toml\"]");
    assert_eq!(handlers.key, "handlers[1]");
    assert!(handlers.problem.contains("twice"), "{handlers}");
}

#[test]
fn certificates_are_of_both_listeners_unless_one_has_its_own() {
    let shared = "[http.tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n";
    let own = "[http.admin_tls]\ncert = \"b.pem\"\nkey = \"b.key\"\nclient_ca = \"ca.pem\"\n";
    let tables = |text: &str| {
        let http = load_text(text).1.unwrap().http;
        [http.ingest_tls, http.admin_tls].map(|tls| tls.map(|tls| tls.table))
    };
    assert_eq!(tables(""), [None, None]);
    assert_eq!(tables(shared), [Some("http.tls"), Some("http.tls")]);
    assert_eq!(tables(own), [None, Some("http.admin_tls")]);
    assert_eq!(tables(&format!("{shared}{own}")), [Some("http.tls"), Some("http.admin_tls")]);
}

#[test]
fn tokens_for_everybody_but_nobody_asked_for_one_is_a_contradiction() {
    let error = error("[auth]\ntokens = \"tokens.toml\"\nanonymous = true");
    assert_eq!(error.key, "auth.anonymous");
    assert!(error.problem.contains("auth.tokens"), "{error}");
    assert!(load_text("[auth]\nanonymous = true").1.unwrap().auth.anonymous);
}

#[test]
fn port_zero_may_be_used_twice() {
    let (_dir, config) = load_text("[http]\ningest = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    assert!(config.is_ok());
}

#[test]
fn an_empty_name_of_a_setting_is_refused() {
    let error = error("[[topics]]\nname = \"a\"\nsettings = { \"\" = 1 }");
    assert_eq!(error.key, "topics[0].settings.\"\"");
}

#[test]
fn a_host_name_that_does_not_fit_is_made_to() {
    assert_eq!(names::identifier_from("Ada's Mac.local"), "Ada-s-Mac.local");
    assert_eq!(names::identifier_from(""), "host");
    assert_eq!(names::identifier_from(&"ü".repeat(99)).len(), 64);
}

/// The error of the check across [`VALID`]-like files, with these manifests.
fn across(host: &str, manifests: &[(&str, &str)]) -> Result<(), ConfigError> {
    let dir = folder();
    for (name, more) in manifests {
        manifest(dir.path(), name, more);
    }
    let file = dir.path().join("lockstep.toml");
    std::fs::write(&file, format!("handlers = [\"weather\", \"orders\"]\n{host}")).unwrap();
    let config = load(&file)?;
    let handlers: Vec<Handler> =
        config.handlers.iter().map(|file| deployment::load(file)).collect::<Result<_, _>>()?;
    cross_check(&config, &handlers).map_err(|mut error| {
        error.file = error.file.strip_prefix(dir.path()).map(PathBuf::from).unwrap();
        error
    })
}

const KAFKA: &str = "[kafka]\n\"bootstrap.servers\" = \"b:9092\"\n";

#[test]
fn files_that_agree_pass() {
    let topic = "[[topics]]\nname = \"source-topic\"\n";
    across(&format!("{KAFKA}{topic}"), &[("weather", topic), ("orders", topic)]).unwrap();
}

#[test]
fn two_handlers_may_not_share_a_name() {
    let dir = folder();
    manifest(dir.path(), "orders", "");
    let text = std::fs::read_to_string(dir.path().join("weather/handler.toml")).unwrap();
    std::fs::write(dir.path().join("orders/handler.toml"), text).unwrap();
    let file = dir.path().join("lockstep.toml");
    std::fs::write(&file, "handlers = [\"weather\", \"orders\"]").unwrap();
    let config = load(&file).unwrap();
    let handlers: Vec<_> =
        config.handlers.iter().map(|file| deployment::load(file).unwrap()).collect();
    let error = cross_check(&config, &handlers).unwrap_err();
    assert_eq!((&error.file, &*error.key), (&config.handlers[1], "name"));
    assert!(error.problem.contains("weather/handler.toml"), "{error}");
}

#[test]
fn two_handlers_that_would_take_each_others_events_are_refused() {
    let group = "group = \"shared\"";
    let error = across("", &[("weather", group), ("orders", group)]).unwrap_err();
    assert_eq!((error.file.to_str(), &*error.key), (Some("orders/handler.toml"), "group"));
    assert!(error.fix.contains("lockstep-orders"), "{error}");
}

#[test]
fn declarations_of_one_topic_that_contradict_are_refused() {
    let base = "[[topics]]\nname = \"source-topic\"\npartitions = 6\n";
    for (more, key) in [
        ("partitions = 4", "topics[0].partitions"),
        ("partitions = 6\nreplication_factor = 2", "topics[0].replication_factor"),
        (
            "partitions = 6\nsettings = { \"retention.ms\" = 1 }",
            "topics[0].settings.\"retention.ms\"",
        ),
    ] {
        let other = format!("[[topics]]\nname = \"source-topic\"\n{more}");
        let error = across(base, &[("orders", &other)]).unwrap_err();
        assert_eq!((error.file.to_str(), &*error.key), (Some("orders/handler.toml"), key));
        assert!(error.problem.contains("lockstep.toml"), "{error}");
    }
}

#[test]
fn a_handler_that_could_outlast_the_poll_interval_of_kafka_is_refused() {
    let slow = [("orders", "[limits]\ntime = \"4m 30s\"")];
    across("", &slow).expect("the embedded log has no such timeout");
    let error = across(KAFKA, &slow).unwrap_err();
    assert_eq!((error.file.to_str(), &*error.key), (Some("orders/handler.toml"), "limits.time"));
    for part in ["batch.interval (100ms)", "limits.time (4m 30s)", "max.poll.interval.ms (5m)"] {
        assert!(error.problem.contains(part), "{error}");
    }
    assert!(error.fix.contains("[kafka.consumer]"), "{error}");
    let raised = format!("{KAFKA}[kafka.consumer]\n\"max.poll.interval.ms\" = 600000\n");
    across(&raised, &slow).unwrap();
    let short = format!("{KAFKA}\"transaction.timeout.ms\" = 10000\n");
    let slow = [("orders", "[limits]\ntime = \"10s\"")];
    across(&short, &slow).expect("a transaction begins when the work is done");
}

#[test]
fn everything_wrong_with_a_file_is_told_at_once() {
    let text = r#"
clusterid = "fleet"
shutdown_deadline = "soon"
handlers = ["weather", 3]
[http]
ingest = "here"
queue = 0
[[topics]]
partitions = 0
[[topics]]
name = "a b"
nonsense = true
"#;
    let error = error(text);
    let mut keys: Vec<_> = error.more.iter().map(|error| error.key.as_str()).collect();
    keys.push(&error.key);
    keys.sort_unstable();
    let expected = [
        "clusterid",
        "handlers[1]",
        "http.ingest",
        "http.queue",
        "shutdown_deadline",
        "topics[0].name",
        "topics[0].partitions",
        "topics[1].name",
        "topics[1].nonsense",
    ];
    assert_eq!(keys, expected, "{error}");
    assert_eq!(error.to_string().lines().count(), expected.len(), "each has a line: {error}");
}

#[test]
fn an_empty_list_of_keys_is_refused_and_no_list_trusts_everything() {
    let refused = error("[signatures]\ntrusted = []\n");
    assert_eq!(refused.key, "signatures.trusted");
    assert!(refused.problem.contains("no component could run"), "{refused}");
    assert!(load_text("").1.unwrap().trusted_keys.is_none());
}
