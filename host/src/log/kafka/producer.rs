//! One transactional producer: begins lazily, writes, adds offsets, commits or aborts.
//!
//! Knows nothing of handlers or of what the events mean. The waits are bounded, also those that
//! librdkafka does not bound: what does not end in time is an unknown outcome, and the producer
//! is not used again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer, PurgeConfig, ThreadedProducer};

use super::client::Clients;
use super::deliveries::Deliveries;
use super::error::{Class, class, fenced, is_fence, refuses_record};
use super::record::record;
use super::watched::Watched;
use crate::event::Event;
use crate::failpoint;
use crate::log::Produced;

/// One blocking call to librdkafka; retriable ones are repeated until [`CALL_LIMIT`].
const CALL: Duration = Duration::from_secs(5);
/// After this a call that was repeated counts as hanging.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// After this a single call hangs: its own timeout did not end it.
const HANGS: Duration = Duration::from_secs(10);
/// After this the records of an exclusive writer count as lost; they may be many megabytes.
const WRITER_DRAIN: Duration = Duration::from_secs(55);
/// A call that takes longer has met a broker that is slow, or away.
const SLOW: Duration = Duration::from_secs(1);

/// Why a transaction was not committed.
pub(super) enum Failed {
    /// It can be aborted and tried again.
    Abort(String),
    /// It was not begun; there is nothing to abort.
    Unopened(String),
    /// These inputs' records are refused; abort. Indices into the decision's `done`; none when
    /// nobody said whose they are.
    Refused(Vec<usize>, String),
    /// The producer is finished.
    Fatal(anyhow::Error),
    /// The producer is finished, and whether the transaction was committed is unknown.
    Undecided(anyhow::Error),
}

/// A transactional producer.
pub(super) struct TransactionalProducer {
    clients: Arc<Clients>,
    id: String,
    config: ClientConfig,
    producer: Watched<ThreadedProducer<Deliveries>>,
    /// How long the records of a transaction may take to be acknowledged.
    drain_limit: Duration,
    shaken: bool,
    open: bool,
}

impl TransactionalProducer {
    /// Makes the producer and waits for the broker to decide what an earlier owner of the id
    /// left open.
    pub(super) fn open(
        clients: &Arc<Clients>,
        id: String,
        outputs: &[Arc<str>],
    ) -> anyhow::Result<Self> {
        let mut config = clients.transactional_producer(&id);
        if let Some(size) = clients.batch_size(outputs.iter().map(|topic| &**topic)) {
            config.set("batch.size", size.to_string());
        }
        Self::start(clients, id, config, CALL_LIMIT)
    }

    /// The same for an exclusive writer: for large transactions, into any topic.
    pub(super) fn open_writer(clients: &Arc<Clients>, id: String) -> anyhow::Result<Self> {
        let config = clients.writer(&id);
        Self::start(clients, id, config, WRITER_DRAIN)
    }

    fn start(
        clients: &Arc<Clients>,
        id: String,
        config: ClientConfig,
        drain_limit: Duration,
    ) -> anyhow::Result<Self> {
        let producer = config
            .create_with_context(Deliveries::new(clients.context()))
            .map_err(|e| clients.error(&e))?;
        let producer = Watched::new("kafka-transactions", producer)?;
        let clients = Arc::clone(clients);
        let mut this =
            Self { clients, id, config, producer, drain_limit, shaken: false, open: false };
        let initialised = this.producer.call(HANGS, |producer| producer.init_transactions(CALL));
        match initialised {
            Some(result) => result.map_err(|error| this.explain(&error)),
            None => Err(hangs("init transactions")),
        }
        .with_context(|| format!("failed to initialise transactional id {:?}", this.id))?;
        Ok(this)
    }

    /// Whether a call took so long that its producer should be replaced before it is used again.
    ///
    /// librdkafka asks again over a new connection when one broke or was too slow. A request
    /// that is still on the old one could end a later transaction of the same epoch (KIP-890),
    /// and what the producer knows of coordinators may be out of date (librdkafka #5511).
    pub(super) fn shaken(&self) -> bool {
        self.shaken
    }

    /// Replaces the producer by one of the same id and of a new epoch, which fences this one.
    pub(super) fn replace(&mut self) -> anyhow::Result<()> {
        let (id, config) = (self.id.clone(), self.config.clone());
        *self = Self::start(&self.clients, id, config, self.drain_limit)?;
        tracing::debug!(id = self.id, "transactional producer replaced");
        Ok(())
    }

    /// Writes the records and the offsets in one transaction, which stays open.
    pub(super) fn fill(
        &mut self,
        produced: &[Produced],
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
    ) -> Result<(), Failed> {
        self.begin()?;
        for item in produced {
            self.send(&item.event, item.input)?;
            failpoint::reach("mid-produce");
        }
        failpoint::reach("before-send-offsets");
        let to = Arc::new((offsets, group));
        let sent = self.send_offsets(&to);
        if let Err(Failed::Fatal(_)) = &sent {
            return sent;
        }
        failpoint::reach("after-send-offsets");
        let drained = self.drain();
        self.refused()?;
        sent?;
        if drained.is_err() && self.producer.client().context().is_purged() {
            // librdkafka has given the transaction up, and says why to who goes on with it.
            self.send_offsets(&to)?;
        }
        drained?;
        if failpoint::mutant("abort-transaction") {
            return Err(Failed::Abort("a failpoint asks for it".to_owned()));
        }
        Ok(())
    }

    fn send_offsets(
        &mut self,
        to: &Arc<(TopicPartitionList, ConsumerGroupMetadata)>,
    ) -> Result<(), Failed> {
        let to = Arc::clone(to);
        self.repeat("send offsets", move |producer| {
            producer.send_offsets_to_transaction(&to.0, &to.1, CALL)
        })
    }

    /// Writes these events, and no offsets, in one transaction.
    pub(super) fn write(&mut self, events: &[Event]) -> Result<(), Failed> {
        self.begin()?;
        for (number, event) in events.iter().enumerate() {
            self.send(event, number)?;
        }
        let drained = self.drain();
        self.refused()?;
        drained?;
        self.commit()
    }

    /// Whether the id belongs to another producer by now.
    pub(super) fn is_fenced(&self) -> bool {
        let fatal = self.producer.client().client().fatal_error();
        fatal.is_some_and(|(code, _)| is_fence(code))
    }

    /// The topics that the brokers know.
    pub(super) fn topics(&self) -> anyhow::Result<HashSet<String>> {
        let metadata = self.producer.client().client().fetch_metadata(None, CALL);
        let metadata = metadata.map_err(|e| self.clients.no_answer(&e));
        let metadata = metadata.context("failed to look up the topics")?;
        let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(known.map(|topic| topic.name().to_owned()).collect())
    }

    fn begin(&mut self) -> Result<(), Failed> {
        let producer = self.producer.client();
        producer.context().clear();
        producer.begin_transaction().map_err(|e| self.failed(&e, "begin"))?;
        self.open = true;
        Ok(())
    }

    /// Whether a transaction was begun that is neither committed nor aborted.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Ends the open transaction with everything that is in it.
    pub(super) fn commit(&mut self) -> Result<(), Failed> {
        failpoint::reach("before-end-txn");
        self.open = false;
        let committed = self.repeat("commit", |producer| producer.commit_transaction(CALL));
        committed.map_err(|failed| match failed {
            Failed::Fatal(error) => Failed::Undecided(error),
            failed => failed,
        })
    }

    /// Ends the open transaction without a trace. `Err` means that the producer is finished.
    pub(super) fn abort(&mut self) -> anyhow::Result<()> {
        failpoint::reach("before-abort");
        self.open = false;
        match self.repeat("abort", |producer| producer.abort_transaction(CALL)) {
            Ok(()) => Ok(()),
            Err(Failed::Abort(reason) | Failed::Unopened(reason) | Failed::Refused(_, reason)) => {
                bail!("failed to abort the transaction of {:?}: {reason}", self.id)
            }
            Err(Failed::Fatal(error) | Failed::Undecided(error)) => Err(error),
        }
    }

    /// Hands one record to librdkafka, waiting while its queue is full.
    fn send(&self, event: &Event, input: usize) -> Result<(), Failed> {
        let begun = Instant::now();
        let mut next = record(event, input);
        loop {
            match self.producer.client().send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if begun.elapsed() < CALL_LIMIT =>
                {
                    next = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code();
                    if code.is_some_and(refuses_record) {
                        return Err(Failed::Refused(vec![input], self.text(&error)));
                    }
                    self.refused()?;
                    let reason = format!("topic {:?}: {}", event.topic, self.text(&error));
                    return Err(match code {
                        Some(RDKafkaErrorCode::Fatal) => {
                            Failed::Fatal(anyhow::anyhow!("failed to write to {reason}"))
                        }
                        _ => Failed::Abort(reason),
                    });
                }
            }
        }
    }

    /// Waits until every record was acknowledged or has failed. librdkafka's own flush in
    /// `commit_transaction` would take at least 100 ms.
    ///
    /// Behind a failure librdkafka sends nothing more of the transaction, and would keep it until
    /// `message.timeout.ms`: that is given up. What is on its way is waited for (librdkafka #4849).
    fn drain(&self) -> Result<(), Failed> {
        let begun = Instant::now();
        let producer = self.producer.client();
        let mut purged = false;
        while producer.in_flight_count() > 0 {
            if !purged && producer.context().cause().is_some() {
                producer.purge(PurgeConfig::default().queue());
                purged = true;
            }
            if begun.elapsed() > self.drain_limit {
                return Err(Failed::Fatal(anyhow::anyhow!(
                    "{} records were not acknowledged within {:?}",
                    producer.in_flight_count(),
                    self.drain_limit
                )));
            }
            let pause = if begun.elapsed() < Duration::from_millis(2) { 50 } else { 200 };
            std::thread::sleep(Duration::from_micros(pause));
        }
        match producer.context().cause() {
            Some(code) => Err(Failed::Abort(format!("a record was not written: {code}"))),
            None => Ok(()),
        }
    }

    /// The inputs whose records the broker refused, if any.
    fn refused(&self) -> Result<(), Failed> {
        let (inputs, code) = self.producer.client().context().refused();
        match code {
            Some(code) => Err(Failed::Refused(inputs, code.to_string())),
            None => Ok(()),
        }
    }

    /// Makes a call that librdkafka lets us repeat with the same arguments.
    fn repeat(
        &mut self,
        what: &str,
        call: impl Fn(&ThreadedProducer<Deliveries>) -> KafkaResult<()> + Clone + Send + 'static,
    ) -> Result<(), Failed> {
        let begun = Instant::now();
        let result = loop {
            let Some(result) = self.producer.call(HANGS, call.clone()) else {
                return Err(Failed::Fatal(hangs(what)));
            };
            match result {
                Err(error) if class(&error) == Class::Retry && begun.elapsed() < CALL_LIMIT => {}
                result => break result,
            }
        };
        self.shaken |= begun.elapsed() > SLOW;
        result.map_err(|error| self.failed(&error, what))
    }

    fn failed(&self, error: &KafkaError, what: &str) -> Failed {
        match class(error) {
            // Partitions that may not be written cannot become part of a transaction.
            Class::Abort if error.rdkafka_error_code().is_some_and(refuses_record) => {
                Failed::Refused(Vec::new(), self.text(error))
            }
            Class::Abort => Failed::Abort(format!("{what}: {}", self.text(error))),
            Class::Fatal | Class::Retry => {
                Failed::Fatal(self.explain(error).context(format!("failed to {what}")))
            }
        }
    }

    fn explain(&self, error: &KafkaError) -> anyhow::Error {
        let text = self.text(error);
        if fenced(error) {
            anyhow::anyhow!(
                "transactional id {:?} was fenced ({text}): either the transaction took longer \
                 than transaction.timeout.ms, or another host runs with the same cluster_id and \
                 host_id; every host needs a host_id of its own",
                self.id
            )
        } else {
            anyhow::anyhow!(text)
        }
    }

    fn text(&self, error: &KafkaError) -> String {
        self.clients.error(error).to_string()
    }
}

fn hangs(what: &str) -> anyhow::Error {
    anyhow::anyhow!("failed to {what}: librdkafka did not come back within {HANGS:?}")
}
