//! A client of Kafka that shares no code with the host: the tests' own eyes and hands.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use lockstep::event::{Consumed, Event, Header};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message, OwnedHeaders, ToBytes};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::log::{LogAccess, Tail};
use crate::wait::eventually_some;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Access to a broker without authentication.
pub struct Kafka {
    address: String,
    producer: ThreadedProducer<Deliveries>,
}

/// Remembers what the broker refused.
#[derive(Default)]
struct Deliveries(Mutex<Vec<String>>);

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().expect("no panic under this lock").push(error.to_string());
        }
    }
}

impl Kafka {
    /// Access to the broker at this address; connects when first used.
    pub fn at(address: &str) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "1")
            .set("topic.metadata.refresh.interval.ms", "1000")
            .set("message.max.bytes", "20000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("delivery.report.only.error", "true")
            .create_with_context(Deliveries::default())
            .expect("the properties are right");
        Self { address: address.to_owned(), producer }
    }
}

impl LogAccess for Kafka {
    fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        create_topic(&self.address, name, partitions, settings)
            .unwrap_or_else(|error| panic!("failed to create topic {name:?}: {error}"));
    }

    fn try_produce(&self, events: &[(Event, Option<i32>)]) -> Result<(), String> {
        for (event, partition) in events {
            self.send(event, *partition)?;
        }
        // The library's own `flush` takes 100 ms whatever there is to wait for.
        let deadline = Instant::now() + TIMEOUT;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(format!("not confirmed within {TIMEOUT:?}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let failures = std::mem::take(
            &mut *self.producer.context().0.lock().expect("no panic under this lock"),
        );
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn send(&self, event: &Event, partition: Option<i32>) -> Result<(), String> {
        let mut record = record(event, partition);
        while let Err((error, back)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.to_string());
            }
            record = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn tail(&self, topic: &str) -> Box<dyn Tail> {
        Box::new(KafkaTail::open(&self.address, topic))
    }

    fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let consumer = consumer(&self.address, group);
        let wanted = partitions(&consumer, topic);
        let offsets = eventually_some("the group coordinator answers", || {
            consumer.committed_offsets(wanted.clone(), TIMEOUT).ok()
        });
        let known = offsets.elements().into_iter().filter_map(|e| match e.offset() {
            Offset::Offset(offset) => Some((e.partition(), offset)),
            _ => None,
        });
        known.collect()
    }

    fn partitions(&self, topic: &str) -> Option<usize> {
        let consumer = consumer(&self.address, "nobody");
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).ok()?;
        metadata.topics().first().map(|t| t.partitions().len()).filter(|count| *count > 0)
    }
}

/// Creates a topic with the brokers' number of copies; one that exists stays as it is.
pub fn create_topic(
    address: &str,
    name: &str,
    partitions: u32,
    settings: &[(&str, &str)],
) -> Result<(), KafkaError> {
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    let mut topic = NewTopic::new(name, count, TopicReplication::Fixed(-1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let results = administer(address, |admin, options| admin.create_topics([&topic], options))?;
    match results.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | None => Ok(()),
        Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
        Some(Ok(_)) => Ok(()),
    }
}

/// Lets a topic have more partitions.
pub fn grow_topic(address: &str, name: &str, partitions: usize) {
    let more = NewPartitions::new(name, partitions);
    let results = administer(address, |admin, options| admin.create_partitions([&more], options));
    assert_eq!(results, Ok(vec![Ok(name.to_owned())]));
}

/// Deletes a topic.
pub fn delete_topic(address: &str, name: &str) {
    let results = administer(address, |admin, options| admin.delete_topics(&[name], options));
    assert_eq!(results, Ok(vec![Ok(name.to_owned())]));
}

/// Deletes the records of a partition before this offset.
pub fn delete_records(address: &str, topic: &str, partition: i32, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
    let deleted = administer(address, |admin, options| admin.delete_records(&list, options));
    assert_eq!(deleted.expect("the broker answers").elements()[0].error(), Ok(()));
}

fn administer<T, F: Future<Output = Result<T, KafkaError>>>(
    address: &str,
    call: impl FnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> F,
) -> Result<T, KafkaError> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address).create()?;
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing");
    runtime.block_on(call(&admin, &options))
}

/// The offset behind the last record of a topic of one partition, committed or not; 0 before the
/// topic exists.
pub fn end(address: &str, topic: &str) -> i64 {
    consumer(address, "nobody").fetch_watermarks(topic, 0, TIMEOUT).map_or(0, |(_, end)| end)
}

/// A record with everything that the event has.
pub fn record(event: &Event, partition: Option<i32>) -> BaseRecord<'_, [u8], [u8]> {
    let mut headers = OwnedHeaders::new_with_capacity(event.headers.len());
    for Header { name, value } in &event.headers {
        let value = value.as_deref();
        headers = headers.insert(rdkafka::message::Header { key: name, value });
    }
    let mut record = BaseRecord::to(&event.topic).headers(headers);
    record.key = event.key.as_deref();
    record.payload = event.value.as_deref().map(ToBytes::to_bytes);
    record.partition = partition;
    record.timestamp = event.timestamp_ms;
    record
}

/// Reads all partitions from the start, committed events only.
pub struct KafkaTail {
    consumer: BaseConsumer,
    at_end: BTreeMap<i32, bool>,
}

impl KafkaTail {
    fn open(address: &str, topic: &str) -> Self {
        let consumer = consumer(address, "nobody");
        let assignment = partitions(&consumer, topic);
        Self::assigned(consumer, assignment).expect("the partitions exist")
    }

    /// Reads these partitions at this address.
    pub fn of(address: &str, partitions: TopicPartitionList) -> Result<Self, KafkaError> {
        Self::assigned(consumer(address, "nobody"), partitions)
    }

    fn assigned(
        consumer: BaseConsumer,
        mut assignment: TopicPartitionList,
    ) -> Result<Self, KafkaError> {
        assignment.set_all_offsets(Offset::Beginning)?;
        consumer.assign(&assignment)?;
        let at_end = assignment.elements().iter().map(|e| (e.partition(), false)).collect();
        Ok(Self { consumer, at_end })
    }
}

impl Tail for KafkaTail {
    fn read(&mut self, wait: Duration) -> Vec<Consumed> {
        let deadline = Instant::now() + wait;
        let mut events = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if events.is_empty() { left } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    self.at_end.insert(message.partition(), false);
                    events.push(consumed(&message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.at_end.insert(partition, true);
                    if self.at_end() {
                        return events;
                    }
                }
                Some(Err(_)) => {} // the client library tries again by itself
                None if events.is_empty() && !left.is_zero() => {}
                None => return events,
            }
        }
    }

    fn at_end(&self) -> bool {
        self.at_end.values().all(|end| *end)
    }
}

fn consumer(address: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.message.max.bytes", "20000000")
        .create()
        .expect("the properties are right")
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> TopicPartitionList {
    let count = eventually_some(&format!("topic {topic:?} exists"), || {
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).ok()?;
        metadata.topics().first().map(|t| t.partitions().len()).filter(|count| *count > 0)
    });
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, i32::try_from(count).unwrap_or(i32::MAX) - 1);
    list
}

fn consumed(message: &BorrowedMessage<'_>) -> Consumed {
    let headers = message.headers().into_iter().flat_map(|headers| {
        headers
            .iter()
            .map(|h| Header { name: h.key.to_owned(), value: h.value.map(<[u8]>::to_vec) })
    });
    let event = Event {
        topic: message.topic().into(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.collect(),
        timestamp_ms: message.timestamp().to_millis(),
    };
    Consumed { event, partition: message.partition(), offset: message.offset() }
}
