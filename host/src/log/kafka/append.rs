//! Appends outside any transaction: what HTTP ingest and `lockstep produce` use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};

use super::client::{Clients, Redacting};
use super::record::record;
use crate::event::{Event, Position};
use crate::log::{AppendError, Completer, Receipt};

/// Until a refusal is heard of: a handshake takes no longer.
const FIRST_IMPRESSION: Duration = Duration::from_secs(1);
/// A refusal so young, after which no broker answered, still stands.
const FRESH: Duration = Duration::from_secs(5);

/// Idempotent producers with `acks=all`.
pub(super) struct Appender {
    clients: Arc<Clients>,
    producer: ThreadedProducer<Answers>,
    /// For topics that take only small batches, by batch size.
    small: Mutex<HashMap<usize, ThreadedProducer<Answers>>>,
}

/// A topic that is certainly there: asking for one is cheaper than asking for all.
const ANY_TOPIC: &str = "__consumer_offsets";

impl Appender {
    pub(super) fn new(clients: &Arc<Clients>) -> anyhow::Result<Self> {
        let producer = producer(clients, None)?;
        Ok(Self { clients: Arc::clone(clients), producer, small: Mutex::default() })
    }

    /// The producer for a topic. While the topic's limit stays the same, so does the producer,
    /// which keeps the order of its events.
    fn for_topic(&self, topic: &str) -> Result<ThreadedProducer<Answers>, AppendError> {
        let Some(size) = self.clients.batch_size([topic].into_iter()) else {
            return Ok(self.producer.clone());
        };
        let mut small = self.small.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = small.get(&size) {
            return Ok(known.clone());
        }
        let new = producer(&self.clients, Some(size))
            .map_err(|error| AppendError::Unavailable(format!("{error:#}")))?;
        small.insert(size, new.clone());
        Ok(new)
    }

    pub(super) fn append(
        &self,
        event: &Event,
        partition: Option<i32>,
    ) -> Result<Receipt, AppendError> {
        let (completer, receipt) = Receipt::pair();
        let mut record = record(event, Box::new(completer));
        record.partition = partition;
        match self.for_topic(&event.topic)?.send(record) {
            Ok(()) => Ok(receipt),
            Err((error, _)) => Err(append_error(&error, &event.topic)),
        }
    }

    /// Asks a broker for an answer. librdkafka tries a refused connection again until the time
    /// is over; who waits should hear of the refusal before.
    pub(super) fn ping(&self, timeout: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let ask =
            |timeout| self.producer.client().fetch_metadata(Some(ANY_TOPIC), timeout).map(drop);
        let mut answer = ask(FIRST_IMPRESSION.min(timeout));
        if answer.is_err() && !self.clients.trouble().refused_within(FRESH) {
            answer = ask(timeout.saturating_sub(begun.elapsed()));
        }
        answer
            .inspect(|()| self.clients.trouble().is_over())
            .map_err(|e| self.clients.no_answer(&e))
    }
}

fn producer(
    clients: &Arc<Clients>,
    batch_size: Option<usize>,
) -> anyhow::Result<ThreadedProducer<Answers>> {
    let mut config = clients.producer();
    if config.get("message.timeout.ms").is_none() {
        // A client of the ingest waits for so long before it hears that the log is away.
        config.set("message.timeout.ms", "10000");
    }
    if let Some(size) = batch_size {
        config.set("batch.size", size.to_string());
    }
    config.create_with_context(Answers { shared: clients.context() }).map_err(|e| clients.error(&e))
}

/// Completes receipts as deliveries are reported.
struct Answers {
    shared: Redacting,
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.shared.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.shared.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Answers {
    type DeliveryOpaque = Box<Completer>;

    fn delivery(&self, result: &DeliveryResult<'_>, completer: Box<Completer>) {
        completer.complete(match result {
            Ok(message) => Ok(Position {
                topic: message.topic().into(),
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((error, message)) => Err(append_error(error, message.topic())),
        });
    }
}

fn append_error(error: &KafkaError, topic: &str) -> AppendError {
    let text = error.rdkafka_error_code().map_or(error.to_string(), |code| code.to_string());
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => AppendError::QueueFull,
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            AppendError::UnknownTopic(topic.to_owned())
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            AppendError::TooLarge(format!("topic {topic:?} takes no event of this size"))
        }
        Some(RDKafkaErrorCode::UnknownPartition) => {
            AppendError::Refused(format!("topic {topic:?} has no such partition"))
        }
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::PolicyViolation,
        ) => AppendError::Refused(text),
        _ => AppendError::Unavailable(text),
    }
}
