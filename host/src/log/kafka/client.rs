//! How clients are configured: Lockstep's defaults, then the user's properties, then what
//! exactly-once needs and nobody may change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::trouble::Trouble;
use crate::config::KafkaConfig;

/// Makes client configurations, and knows what all clients went through.
pub(super) struct Clients {
    config: KafkaConfig,
    /// `max.message.bytes` of the topics that were looked at.
    message_limits: Mutex<HashMap<String, usize>>,
    trouble: Trouble,
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
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "2000"),
];

/// librdkafka's `batch.size`, in bytes.
const DEFAULT_BATCH_SIZE: usize = 1_000_000;
/// More than what a batch adds to its records, in bytes.
const BATCH_OVERHEAD: usize = 512;

/// How long a transaction may stay open before the broker aborts it, in ms. A killed host's
/// open transaction blocks `read_committed` readers for so long.
const TRANSACTION_TIMEOUT_MS: &str = "20000";

/// The same for the exclusive writer, whose transactions are large and seldom.
const WRITER_TRANSACTION_TIMEOUT_MS: &str = "60000";

/// How long a record of the exclusive writer may take, in ms: all of a transaction are queued at
/// once, and the last one waits for those before it.
const WRITER_MESSAGE_TIMEOUT_MS: u32 = 45_000;

/// How long a request or a record may take, in ms.
const REQUEST_TIMEOUT_MS: u32 = 15_000;

impl Clients {
    pub(super) fn new(config: KafkaConfig) -> Self {
        Self { config, message_limits: Mutex::default(), trouble: Trouble::default() }
    }

    /// Notes what a topic takes.
    pub(super) fn note_message_limit(&self, topic: &str, bytes: usize) {
        self.message_limits().insert(topic.to_owned(), bytes);
    }

    /// The `batch.size` with which a batch for any of these topics is not refused for its size:
    /// brokers compare `max.message.bytes` with the batch, and librdkafka does not split one
    /// that was refused. `None`: the default will do, or the user has decided.
    pub(super) fn batch_size<'a>(&self, topics: impl Iterator<Item = &'a str>) -> Option<usize> {
        if self.producer().get("batch.size").is_some() {
            return None;
        }
        let limits = self.message_limits();
        let smallest = topics.filter_map(|topic| limits.get(topic)).min()?;
        let size = smallest.saturating_sub(BATCH_OVERHEAD).max(1);
        (size < DEFAULT_BATCH_SIZE).then_some(size)
    }

    fn message_limits(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.message_limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn config(&self) -> &KafkaConfig {
        &self.config
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
        self.transactional(id, TRANSACTION_TIMEOUT_MS, REQUEST_TIMEOUT_MS)
    }

    /// The same for transactions of many megabytes.
    pub(super) fn writer(&self, id: &str) -> ClientConfig {
        self.transactional(id, WRITER_TRANSACTION_TIMEOUT_MS, WRITER_MESSAGE_TIMEOUT_MS)
    }

    fn transactional(&self, id: &str, transaction_ms: &str, message_ms: u32) -> ClientConfig {
        let mut client = self.producer();
        if client.get("transaction.timeout.ms").is_none() {
            client.set("transaction.timeout.ms", transaction_ms);
        }
        // librdkafka takes neither a message nor a socket timeout beyond the transaction's.
        let transaction = client.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        let transaction = transaction.unwrap_or(u32::MAX);
        let limits =
            [("message.timeout.ms", message_ms), ("socket.timeout.ms", REQUEST_TIMEOUT_MS)];
        for (key, limit) in limits {
            if !self.configures(key) {
                client.set(key, transaction.min(limit).to_string());
            }
        }
        client.set("transactional.id", id).set("delivery.report.only.error", "true");
        client
    }

    /// Whether the user says something about a property of producers.
    fn configures(&self, key: &str) -> bool {
        self.config.producer.get(key).or(self.config.common.get(key)).is_some()
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
            // Its own text repeats the value.
            KafkaError::ClientConfig(_, _, name, _) => {
                anyhow::anyhow!("librdkafka does not take the value of {name:?}")
            }
            other => anyhow::anyhow!(self.config.redact(&other.to_string())),
        }
    }

    /// Why a broker does not answer, in words: what went wrong with the connections says more
    /// than that time has run out.
    pub(super) fn no_answer(&self, error: &KafkaError) -> anyhow::Error {
        match self.trouble.last() {
            Some(reason) => anyhow::anyhow!(reason),
            None => self.error(error),
        }
    }

    /// What went wrong with connections lately.
    pub(super) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    fn common(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (key, value) in COMMON_DEFAULTS.iter().chain(defaults) {
            client.set(*key, *value);
        }
        for (key, value) in self.config.common.iter() {
            client.set(key, value);
        }
        if client.get("socket.timeout.ms").is_none() {
            client.set("socket.timeout.ms", REQUEST_TIMEOUT_MS.to_string());
        }
        // What the user asks for with "debug" is logged at that level.
        let debug = self.config.consumer.get("debug").is_some() || self.configures("debug");
        client.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Warning });
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
        self.clients.trouble.note(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Redacting {}
