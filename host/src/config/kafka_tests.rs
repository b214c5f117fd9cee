//! `[kafka]`: where values come from, what is refused, and that secrets stay secret.

use std::path::Path;

use tempfile::TempDir;

use super::{ConfigError, KafkaConfig, host_toml};

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nbGluZS1vbmU=\nbGluZS10d28=\nshort\n";

fn env(name: &str) -> Option<String> {
    match name {
        "USERNAME" => Some("ada-lovelace".to_owned()),
        "PASS" => Some("correct-horse".to_owned()),
        "PEM" => Some(PEM.replace('\n', "\\n")),
        "BROKERS" => Some("broker:9092".to_owned()),
        "NUMBER" => Some("15".to_owned()),
        _ => None,
    }
}

fn load_in(dir: &Path, kafka: &str) -> Result<KafkaConfig, ConfigError> {
    let file = dir.join("lockstep.toml");
    std::fs::write(&file, format!("[kafka]\n{kafka}")).unwrap();
    host_toml::load(&file, &env).map(|config| config.kafka.unwrap())
}

fn load(kafka: &str) -> Result<KafkaConfig, ConfigError> {
    let dir: TempDir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "battery-staple\r\n").unwrap();
    std::fs::write(dir.path().join("empty"), "\n").unwrap();
    load_in(dir.path(), &format!("\"bootstrap.servers\" = \"b:9092\"\n{kafka}"))
}

fn error(kafka: &str) -> ConfigError {
    load(kafka).map(drop).expect_err(kafka)
}

#[test]
fn values_come_from_strings_numbers_booleans_files_and_the_environment() {
    let config = load(
        r#""a" = "plain $${x}"
        "b" = 7
        "c" = false
        "d" = { file = "password" }
        "e" = "u=${USERNAME};p=${PASS}"
        "#,
    )
    .unwrap();
    let get = |name| config.common.get(name).unwrap();
    assert_eq!([get("a"), get("b"), get("c")], ["plain ${x}", "7", "false"]);
    assert_eq!(get("d"), "battery-staple");
    assert_eq!(get("e"), "u=ada-lovelace;p=correct-horse");
}

#[test]
fn a_pem_may_have_real_newlines_or_escaped_ones() {
    let config =
        load("\"ssl.key.pem\" = \"${PEM}\"\n\"ssl.ca.pem\" = '''a\nb'''\n\"x\" = 'a\\nb'\n")
            .unwrap();
    assert_eq!(config.common.get("ssl.key.pem"), Some(PEM));
    assert_eq!(config.common.get("ssl.ca.pem"), Some("a\nb"));
    assert_eq!(config.common.get("x"), Some("a\\nb"), "no PEM");
}

#[test]
fn what_cannot_be_looked_up_is_an_error_with_key_and_fix() {
    let unset = error("\"sasl.password\" = \"x${GONE}\"");
    assert_eq!(unset.key, "kafka.\"sasl.password\"");
    assert!(unset.problem.contains("variable GONE") && unset.fix.contains("export GONE"));
    let open = error("\"sasl.password\" = \"hunter2${PASS\"");
    assert!(!open.to_string().contains("hunter2"), "{open}");
    let endless = ("/dev/zero", "is longer than 1048576 bytes");
    for (file, reason) in [("gone", "No such file"), ("empty", "is empty"), endless] {
        let error = error(&format!("\"ssl.ca.pem\" = {{ file = \"{file}\" }}"));
        assert!(error.problem.contains(file) && error.problem.contains(reason), "{error}");
    }
}

#[test]
fn a_name_with_dots_but_without_quotes_is_explained() {
    let error = error("ssl.ca.pem = \"x\"");
    assert_eq!(error.key, "kafka.ssl");
    assert!(error.fix.contains("in quotes"), "{error}");
}

#[test]
fn properties_that_lockstep_owns_are_refused_with_what_to_use_instead() {
    for (name, value, instead) in [
        ("group.id", "x", "`group` in the handler.toml"),
        ("transactional.id", "x", "cluster_id and host_id"),
        ("enable.auto.commit", "false", "remove"),
        ("enable.auto.offset.store", "true", "remove"),
        ("isolation.level", "read_uncommitted", "remove"),
        ("enable.idempotence", "false", "remove"),
        ("acks", "1", "\"all\""),
        ("request.required.acks", "0", "\"all\""),
        ("auto.offset.reset", "latest", "`start`"),
        ("partition.assignment.strategy", "range", "remove"),
        ("delivery.report.only.error", "false", "remove"),
        ("group.protocol", "consumer", "remove"),
        ("metadata.broker.list", "b", "bootstrap.servers"),
    ] {
        for section in ["kafka", "kafka.consumer", "kafka.producer"] {
            let error =
                error(&format!("[{section}]\n\"{name}\" = \"{value}\"").replace("[kafka]\n", ""));
            assert_eq!(error.key, format!("{section}.\"{name}\"").replace("\"acks\"", "acks"));
            assert!(error.fix.contains(instead), "{error}");
        }
    }
    load("\"acks\" = \"all\"\n\"client.id\" = \"mine\"").unwrap();
}

#[test]
fn brokers_belong_to_the_common_table() {
    let error = error("[kafka.producer]\n\"bootstrap.servers\" = \"x:1\"");
    assert_eq!(error.key, "kafka.producer.\"bootstrap.servers\"");
}

#[test]
fn brokers_from_the_environment_stay_readable() {
    let dir = tempfile::tempdir().unwrap();
    let config = load_in(dir.path(), "\"bootstrap.servers\" = \"${BROKERS}\"").unwrap();
    assert_eq!(config.redact("no route to broker:9092"), "no route to broker:9092");
    assert!(format!("{config:?}").contains("broker:9092"));
}

#[test]
fn no_secret_is_ever_shown() {
    let config = load(
        r#""sasl.username" = "${USERNAME}"
        "sasl.password" = "literal-secret"
        "ssl.key.pem" = "${PEM}"
        "ssl.key.location" = "/etc/key"
        "fetch.min.bytes" = "${NUMBER}"
        [kafka.producer]
        "some.option" = { file = "password" }
        [kafka.consumer]
        "sasl.oauthbearer.config" = "scope=x"
        "#,
    )
    .unwrap();
    let secrets =
        ["ada-lovelace", "literal-secret", "bGluZS1vbmU=", "bGluZS10d28=", "battery", "scope=x"];
    let debug = format!("{config:?}");
    let message = format!("failed: {} 15 /etc/key short {PEM}", secrets.join(" "))
        .replace("battery", "battery-staple");
    let redacted = config.redact(&message);
    for secret in secrets {
        assert!(!debug.contains(secret), "{debug}");
        assert!(!redacted.contains(secret), "{redacted}");
    }
    assert!(redacted.starts_with("failed: *** *** *** *** *** *** 15 /etc/key short ***"));
    assert!(debug.contains("/etc/key"), "{debug}");
}

#[test]
fn errors_about_kafka_name_types_and_no_values() {
    for text in ["kafka = \"hunter2\"", "[kafka]\nconsumer = \"hunter2\""] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lockstep.toml");
        std::fs::write(&file, text).unwrap();
        let error = host_toml::load(&file, &env).unwrap_err();
        assert!(error.problem.contains("is not a table"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let misplaced = "\"transaction.timeout.ms\" = \"hunter${PASS}\"";
    assert!(!error(misplaced).to_string().contains("horse"));
}

#[test]
fn the_command_line_gives_brokers_and_properties() {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let given = [property("sasl.password", "hunter2"), property("client.id", "me")];
    let config = KafkaConfig::from_command_line("a:1,b:2", &given).unwrap();
    assert_eq!(config.brokers(), "a:1,b:2");
    assert_eq!(config.redact("bad hunter2"), "bad ***");
    for (brokers, name, key) in [
        ("", "client.id", "--brokers"),
        ("a:1", "group.id", "-X group.id"),
        ("a:1", "bootstrap.servers", "-X bootstrap.servers"),
        ("a:1", "max.poll.interval.ms", "-X max.poll.interval.ms"),
    ] {
        let error = KafkaConfig::from_command_line(brokers, &[property(name, "x")]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("command line: {key}: ")), "{error}");
    }
}
