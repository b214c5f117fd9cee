//! Whether librdkafka takes the properties of a configuration, found out without a broker.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, ProducerContext};
use rdkafka::types::RDKafkaConfRes;

use super::client::Clients;
use super::watched::Aside;
use crate::config::{ConfigError, KafkaConfig, Role};

/// A group and a transactional id that no broker ever hears of.
const NOBODY: &str = "lockstep-check";

/// Lets librdkafka look at every property, key and certificate; it connects to nothing. The
/// error names the file and the key, and never a value.
pub fn check_properties(config: &KafkaConfig) -> Result<(), ConfigError> {
    check_sasl(config, Role::Consumer)?;
    check_sasl(config, Role::Producer)?;
    let clients = Clients::new(config.clone());
    let consumer: KafkaResult<BaseConsumer<Silent>> =
        offline(clients.consumer(NOBODY)).create_with_context(Silent);
    consumer.map(Aside::new).map(drop).map_err(|error| explain(config, Role::Consumer, &error))?;
    let producer: KafkaResult<BaseProducer<Silent>> =
        offline(clients.transactional_producer(NOBODY)).create_with_context(Silent);
    producer.map(drop).map_err(|error| explain(config, Role::Producer, &error))
}

/// What SASL cannot do without: librdkafka would say it without the property, or not at all.
fn check_sasl(config: &KafkaConfig, role: Role) -> Result<(), ConfigError> {
    let own = match role {
        Role::Consumer => &config.consumer,
        Role::Producer => &config.producer,
    };
    let get = |name: &str| own.get(name).or_else(|| config.common.get(name));
    let protocol = get("security.protocol").unwrap_or_default().to_ascii_lowercase();
    if !protocol.starts_with("sasl_") {
        return Ok(());
    }
    const MECHANISM: &str = "sasl.mechanism";
    let fix = "write for example \"sasl.mechanism\" = \"SCRAM-SHA-512\"; SCRAM-SHA-256, PLAIN and \
               OAUTHBEARER are known too";
    let mechanism = match get(MECHANISM).or_else(|| get("sasl.mechanisms")) {
        None => {
            let problem = format!(
                "is missing: with security.protocol {protocol} it says how to log in, and \
                 librdkafka's default, GSSAPI (Kerberos), is not in this build"
            );
            return Err(config.refuse(role, Some(MECHANISM), &problem, fix));
        }
        Some(mechanism) => mechanism.to_ascii_uppercase(),
    };
    if mechanism == "GSSAPI" {
        let problem = "GSSAPI (Kerberos) is not in this build";
        return Err(config.refuse(role, Some(MECHANISM), problem, fix));
    }
    if mechanism == "PLAIN" || mechanism.starts_with("SCRAM-") {
        for (name, variable) in
            [("sasl.username", "KAFKA_USER"), ("sasl.password", "KAFKA_PASSWORD")]
        {
            if get(name).is_none() {
                let problem = format!("is missing: {mechanism} needs a name and a password");
                let fix = format!("write for example {name:?} = \"${{{variable}}}\"");
                return Err(config.refuse(role, Some(name), &problem, &fix));
            }
        }
    }
    Ok(())
}

fn offline(mut client: ClientConfig) -> ClientConfig {
    client.remove("bootstrap.servers");
    client
}

fn explain(config: &KafkaConfig, role: Role, error: &KafkaError) -> ConfigError {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            let problem = "is not a property of librdkafka";
            let fix = "look it up in librdkafka's CONFIGURATION.md, or remove it";
            config.refuse(role, Some(name), problem, fix)
        }
        KafkaError::ClientConfig(_, description, name, value) => {
            let problem = without(&config.redact(description), value);
            let fix = "see librdkafka's CONFIGURATION.md for the values that it takes";
            config.refuse(role, Some(name), &problem, fix)
        }
        other => {
            let text = match other {
                KafkaError::ClientCreation(reason) => config.redact(reason),
                other => config.redact(&other.to_string()),
            };
            let problem = format!("librdkafka takes no client like this: {text}");
            config.refuse(role, named_in(config, &text), &problem, "correct the property")
        }
    }
}

/// The property that a text of librdkafka speaks of; of several the longest.
fn named_in<'a>(config: &'a KafkaConfig, text: &str) -> Option<&'a str> {
    let all = [&config.common, &config.consumer, &config.producer];
    let names = all.into_iter().flat_map(|properties| properties.names());
    names.filter(|name| text.contains(name)).max_by_key(|name| name.len())
}

/// `text` without the words that are `value`: it may be a secret that was typed into the wrong
/// property.
fn without(text: &str, value: &str) -> String {
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value).filter(|_| !value.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        kept.push_str(before);
        let within = is_part(kept.chars().next_back()) || is_part(after.chars().next());
        kept.push_str(if within { value } else { "***" });
        rest = after;
    }
    kept + rest
}

/// Says nothing: the clients that stay say the same again.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Silent {}

impl ProducerContext for Silent {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(properties: &[(&str, &str)]) -> Result<(), String> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let properties: Vec<_> = properties.iter().map(owned).collect();
        let config = KafkaConfig::from_command_line("127.0.0.1:1", &properties);
        check_properties(&config.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    }

    #[test]
    fn properties_that_librdkafka_takes_are_fine() {
        let mechanism = ("sasl.mechanism", "SCRAM-SHA-256");
        let user = [("sasl.username", "ada"), ("sasl.password", "hunter2")];
        let all = [&[("security.protocol", "sasl_ssl"), mechanism], &user[..]].concat();
        assert_eq!(check(&all), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_property_and_hides_its_value() {
        for (properties, name) in [
            (&[("no.such.thing", "hunter2")] as &[_], "no.such.thing"),
            (&[("security.protocol", "hunter2")], "security.protocol"),
            (&[("session.timeout.ms", "hunter2")], "session.timeout.ms"),
            (&[("linger.ms", "987654321")], "linger.ms"),
            (&[("security.protocol", "ssl"), ("ssl.ca.pem", "hunter2")], "ssl.ca.pem"),
            (&[("security.protocol", "ssl"), ("ssl.key.pem", "hunter2")], "ssl.key.pem"),
            (&[("session.timeout.ms", "400000")], "session.timeout.ms"),
        ] {
            let refusal = check(properties).unwrap_err();
            assert!(refusal.starts_with(&format!("command line: -X {name}: ")), "{refusal}");
            assert!(!refusal.contains("hunter2") && !refusal.contains("987654321"), "{refusal}");
        }
    }

    #[test]
    fn sasl_is_told_what_it_lacks() {
        let sasl = ("security.protocol", "SASL_SSL");
        let scram = ("sasl.mechanism", "SCRAM-SHA-512");
        for (properties, name, words) in [
            (&[sasl] as &[_], "sasl.mechanism", "is missing: with security.protocol sasl_ssl"),
            (&[sasl, ("sasl.mechanism", "GSSAPI")], "sasl.mechanism", "not in this build"),
            (&[sasl, scram], "sasl.username", "SCRAM-SHA-512 needs a name and a password"),
            (&[sasl, scram, ("sasl.username", "ada")], "sasl.password", "\"${KAFKA_PASSWORD}\""),
        ] {
            let refusal = check(properties).unwrap_err();
            assert!(refusal.starts_with(&format!("command line: -X {name}: ")), "{refusal}");
            assert!(refusal.contains(words), "{words:?} is not said: {refusal}");
        }
    }

    #[test]
    fn a_value_is_taken_out_of_a_text_as_a_word() {
        assert_eq!(without("value 5 is outside 0..15", "5"), "value *** is outside 0..15");
        assert_eq!(
            without("Invalid value \"a\" for \"x.a\"", "a"),
            "Invalid value \"***\" for \"x.***\""
        );
        assert_eq!(without("nothing", ""), "nothing");
    }
}
