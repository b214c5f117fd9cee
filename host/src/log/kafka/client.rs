//! How clients are configured: Lockstep's defaults, then the user's properties, then what
//! exactly-once needs and nobody may change.

use std::sync::Arc;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use crate::config::KafkaConfig;

/// Makes client configurations.
pub(super) struct Clients {
    config: KafkaConfig,
}

/// Properties of consumers that users may change.
const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    // The default of one second stops a partition's fetcher whenever its queue is full.
    ("fetch.queue.backoff.ms", "5"),
    ("fetch.wait.max.ms", "10"),
    // Prefetched bytes; librdkafka's default is 64 MiB for each consumer.
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "20000"),
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    ("topic.metadata.refresh.interval.ms", "30000"),
];

/// Properties of producers that users may change.
const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    ("linger.ms", "1"),
    ("retry.backoff.ms", "5"),
    ("partitioner", "murmur2_random"),
    // The broker has the last word on sizes; this is only librdkafka's own gate.
    ("message.max.bytes", "67108864"),
    ("queue.buffering.max.messages", "1000000"),
    ("queue.buffering.max.kbytes", "131072"),
];

/// Properties of all clients that users may change.
const COMMON_DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "lockstep"),
    ("socket.nagle.disable", "true"),
    ("socket.keepalive.enable", "true"),
    ("socket.timeout.ms", "15000"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "2000"),
];

/// How long a transaction may stay open before the broker aborts it, in ms. A killed host's
/// open transaction blocks `read_committed` readers for so long.
const TRANSACTION_TIMEOUT_MS: &str = "20000";

impl Clients {
    pub(super) fn new(config: KafkaConfig) -> Self {
        Self { config }
    }

    pub(super) fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// Lets librdkafka parse the consumer's properties without connecting.
    pub(super) fn check_consumer_properties(&self) -> anyhow::Result<()> {
        self.consumer("lockstep-check").create_native_config().map_err(|e| self.error(&e))?;
        Ok(())
    }

    /// A consumer of this group that reads committed events and commits only in transactions.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut client = self.common(CONSUMER_DEFAULTS);
        for (key, value) in self.config.consumer.iter() {
            client.set(key, value);
        }
        client
            .set("group.id", group)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("partition.assignment.strategy", "cooperative-sticky");
        client
    }

    /// A producer whose acknowledged events are stored.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut client = self.common(PRODUCER_DEFAULTS);
        for (key, value) in self.config.producer.iter() {
            client.set(key, value);
        }
        client.set("enable.idempotence", "true").set("acks", "all");
        client
    }

    /// A producer for transactions under this id. Only failed deliveries are reported.
    pub(super) fn transactional_producer(&self, id: &str) -> ClientConfig {
        let mut client = self.producer();
        if client.get("transaction.timeout.ms").is_none() {
            client.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
        }
        if client.get("message.timeout.ms").is_none() {
            // Must end before the transaction does.
            client.set("message.timeout.ms", "15000");
        }
        client.set("transactional.id", id).set("delivery.report.only.error", "true");
        client
    }

    /// A client for administration.
    pub(super) fn admin(&self) -> ClientConfig {
        self.common(&[])
    }

    /// The context that every client shares.
    pub(super) fn context(self: &Arc<Self>) -> Redacting {
        Redacting { clients: Arc::clone(self) }
    }

    /// An rdkafka error in words, without the values of properties.
    pub(super) fn error(&self, error: &KafkaError) -> anyhow::Error {
        match error {
            KafkaError::ClientConfig(_, description, key, _) => {
                anyhow::anyhow!("kafka.{key:?}: {}", self.redact_value(description, key))
            }
            other => anyhow::anyhow!(self.config.redact(&other.to_string())),
        }
    }

    /// librdkafka quotes the value it does not like; it may be a secret that was typed into the
    /// wrong property, so no value is repeated.
    fn redact_value(&self, description: &str, key: &str) -> String {
        let value = [&self.config.common, &self.config.consumer, &self.config.producer]
            .into_iter()
            .flat_map(|properties| properties.iter())
            .find(|(name, value)| *name == key && !value.is_empty())
            .map(|(_, value)| value);
        let text = self.config.redact(description);
        value.map_or(text.clone(), |value| text.replace(value, "***"))
    }

    fn common(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (key, value) in COMMON_DEFAULTS.iter().chain(defaults) {
            client.set(*key, *value);
        }
        for (key, value) in self.config.common.iter() {
            client.set(key, value);
        }
        client.set_log_level(RDKafkaLogLevel::Warning);
        client
    }
}

/// Sends librdkafka's log lines to `tracing`, without secrets.
#[derive(Clone)]
pub(super) struct Redacting {
    clients: Arc<Clients>,
}

impl ClientContext for Redacting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = self.clients.config.redact(message);
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                // Lost connections are retried for ever: nothing is lost and nobody is needed.
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = self.clients.config.redact(reason);
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Redacting {}
