//! What the hosts of a run are told about Kafka: all that the user says, and short timeouts where the
//! user says nothing that they could contradict. Values go through the environment, for they may be
//! secret.

use std::time::Duration;

use toml::Table;

use crate::config::{KafkaConfig, Properties};

/// Values of the run's own.
struct Choice {
    /// The names and values, in milliseconds; the first is the one that others ask for.
    values: &'static [(&'static str, u64)],
    /// Properties that belong together: whoever says one of them decides about all.
    unless: &'static [&'static str],
    /// What the first is for a host to which nothing is said.
    otherwise: u64,
}

/// Short, so that others soon take over, and no shorter than brokers take by default.
const CONSUMER: Choice = Choice {
    values: &[("session.timeout.ms", 6_000), ("heartbeat.interval.ms", 1_500)],
    unless: &["session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"],
    otherwise: 10_000,
};
/// Short, so that a transaction that a host left open is soon aborted.
const PRODUCER: Choice = Choice {
    values: &[("transaction.timeout.ms", 10_000)],
    unless: &[
        "transaction.timeout.ms",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "socket.timeout.ms",
    ],
    otherwise: 20_000,
};

impl Choice {
    /// What of it holds beside these properties.
    fn beside(&self, own: &Properties, common: &Properties) -> &'static [(&'static str, u64)] {
        let said = |name: &&str| own.get(name).or(common.get(name)).is_some();
        if self.unless.iter().any(said) { &[] } else { self.values }
    }

    /// The first of its values, or what the user says instead.
    fn first(&self, own: &Properties, common: &Properties) -> Duration {
        let Some((name, _)) = self.values.first() else { return Duration::ZERO };
        let said = own.get(name).or(common.get(name)).and_then(|text| text.parse().ok());
        let chosen = self.beside(own, common).first().map(|(_, ms)| *ms);
        Duration::from_millis(said.or(chosen).unwrap_or(self.otherwise))
    }
}

/// How long a host may be silent before others take over.
pub(super) fn session(config: &KafkaConfig) -> Duration {
    CONSUMER.first(&config.consumer, &config.common)
}

/// How long a transaction may stay open when its host is gone.
pub(super) fn transaction_timeout(config: &KafkaConfig) -> Duration {
    PRODUCER.first(&config.producer, &config.common)
}

/// `[kafka]`, with variables in the place of what the user says; their values are added to the
/// environment.
pub(super) fn table(config: &KafkaConfig, environment: &mut Vec<(String, String)>) -> Table {
    let mut section = |properties: &Properties| {
        let mut table = Table::new();
        for (name, value) in properties.iter() {
            let variable = format!("LOCKSTEP_AUDIT_PROPERTY_{}", environment.len());
            table.insert(name.to_owned(), format!("${{{variable}}}").into());
            environment.push((variable, value.to_owned()));
        }
        table
    };
    let mut kafka = section(&config.common);
    let roles =
        [("consumer", &config.consumer, CONSUMER), ("producer", &config.producer, PRODUCER)];
    for (role, properties, choice) in roles {
        let mut table = section(properties);
        for (name, ms) in choice.beside(properties, &config.common) {
            table.insert((*name).to_owned(), ms.to_string().into());
        }
        kafka.insert(role.to_owned(), table.into());
    }
    kafka
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(properties: &[(&str, &str)]) -> KafkaConfig {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let properties: Vec<_> = properties.iter().map(owned).collect();
        KafkaConfig::from_command_line("127.0.0.1:1", &properties).unwrap()
    }

    #[test]
    fn no_value_of_the_user_is_in_the_file() {
        let mut environment = Vec::new();
        let text = table(&kafka(&[("sasl.password", "hunter22")]), &mut environment).to_string();
        assert!(!text.contains("hunter22") && !text.contains("127.0.0.1"), "{text}");
        assert!(environment.iter().any(|(_, value)| value == "hunter22"));
    }

    #[test]
    fn timeouts_are_short_unless_the_user_says_something_about_them() {
        let nothing = kafka(&[]);
        assert_eq!(session(&nothing), Duration::from_secs(6));
        assert_eq!(transaction_timeout(&nothing), Duration::from_secs(10));
        let said = kafka(&[("session.timeout.ms", "9000"), ("socket.timeout.ms", "15000")]);
        assert_eq!(session(&said), Duration::from_secs(9));
        assert_eq!(transaction_timeout(&said), Duration::from_secs(20));
        let table = table(&said, &mut Vec::new());
        assert!(table["consumer"].as_table().unwrap().is_empty(), "{table}");
        assert!(table["producer"].as_table().unwrap().is_empty(), "{table}");
    }
}
