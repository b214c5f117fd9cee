//! The consumer of a session: reads, follows rebalances, pauses partitions.
//!
//! No transaction is open while the consumer is polled, so a revoked partition needs nothing
//! but to be forgotten before the next batch is handed over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Clients, Redacting};
use super::placement::Unplaced;
use super::record::{TopicNames, consumed};
use super::watermarks::watermarks;
use crate::event::{Consumed, TopicPartition};
use crate::failpoint;
use crate::log::{Reassigned, Start, Subscription};

/// How long the broker may take to answer about offsets.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a group may take to learn its committed offsets before it is looked into. Longer
/// than the default `transaction.timeout.ms`: a killed host's transaction is decided by then.
const PATIENCE: Duration = Duration::from_secs(25);

/// Until it is looked into again.
const REMINDER: Duration = Duration::from_secs(60);

/// How long the look may take: brokers that answer need milliseconds.
const LOOK: Duration = Duration::from_secs(1);

/// What one look at the consumer's queue gave.
pub(super) enum Polled {
    /// An event.
    Event(Consumed),
    /// Nothing is ready, or only something that is not an event was.
    Nothing,
}

/// What rebalances did.
#[derive(Default)]
enum Noted {
    /// Nothing.
    #[default]
    Nothing,
    /// These partitions changed hands.
    Some(Reassigned),
    /// Nobody knows which, because the rebalance failed.
    Unknown,
}

/// A member of a consumer group.
pub(super) struct GroupConsumer {
    clients: Arc<Clients>,
    consumer: BaseConsumer<Rebalances>,
    topics: TopicNames,
    group: String,
}

impl GroupConsumer {
    /// Joins the group.
    pub(super) fn open(
        clients: &Arc<Clients>,
        subscription: &Subscription,
    ) -> anyhow::Result<Self> {
        let mut config = clients.consumer(&subscription.group);
        config.set(
            "auto.offset.reset",
            match subscription.start {
                Start::Earliest => "earliest",
                Start::Latest => "latest",
            },
        );
        let consumer: BaseConsumer<Rebalances> = config
            .create_with_context(Rebalances {
                shared: clients.context(),
                group: subscription.group.clone(),
                start: subscription.start,
                noted: Mutex::default(),
                unplaced: Unplaced::default(),
                doubt: Mutex::default(),
            })
            .map_err(|e| clients.error(&e))?;
        let topics: Vec<&str> = subscription.topics.iter().map(|topic| &**topic).collect();
        consumer
            .subscribe(&topics)
            .map_err(|e| clients.error(&e))
            .with_context(|| format!("failed to subscribe to {topics:?}"))?;
        Ok(Self {
            clients: Arc::clone(clients),
            consumer,
            topics: TopicNames::new(subscription.topics.clone()),
            group: subscription.group.clone(),
        })
    }

    /// Looks at the queue, waiting up to `wait`. Must be called often even if no event is
    /// wanted: rebalances run here.
    pub(super) fn poll(&mut self, wait: Duration) -> anyhow::Result<Polled> {
        let mut wait = wait;
        self.consumer.context().unplaced.resume_due(&self.consumer)?;
        loop {
            match self.consumer.poll(wait) {
                None => {
                    self.look_for_undecided_offsets();
                    return Ok(Polled::Nothing);
                }
                Some(Ok(message)) => {
                    let event = consumed(&message, &mut self.topics);
                    let Rebalances { unplaced, start, .. } = &**self.consumer.context();
                    if unplaced.admits(&self.consumer, *start, &event)? {
                        return Ok(Polled::Event(event));
                    }
                }
                // Rebalances may stand behind errors in the queue.
                Some(Err(error)) => self.judge(&error)?,
            }
            wait = Duration::ZERO;
        }
    }

    /// Says so when the group waits for offsets that nobody decides: librdkafka asks for them
    /// again and again, in silence (KIP-447).
    fn look_for_undecided_offsets(&self) {
        let mut doubt = lock(&self.consumer.context().doubt);
        if doubt.is_none_or(|due| Instant::now() < due) {
            return;
        }
        *doubt = None;
        let Ok(assigned) = self.consumer.assignment() else { return };
        let Some(topic) = assigned.elements().first().map(|at| at.topic().to_owned()) else {
            return;
        };
        let partitions = names(&assigned);
        if self.consumer.committed_offsets(assigned, LOOK).is_ok() {
            return;
        }
        *doubt = Some(Instant::now() + REMINDER);
        // Whether it is only that no broker answers.
        if self.consumer.fetch_metadata(Some(&topic), LOOK).is_ok() {
            tracing::warn!(
                group = %self.group, %partitions,
                "the brokers do not say where the group is: a transaction that holds its offsets \
                 is neither committed nor aborted. They abort it when its timeout is over; if this \
                 message keeps coming, they have lost it (KAFKA-20734), and `kafka-transactions.sh \
                 find-hanging` finds it and `abort` ends it"
            );
        }
    }

    /// What changed hands since the last call; `None` when nothing did. `Err` when nobody knows.
    pub(super) fn take_reassigned(&self) -> anyhow::Result<Option<Reassigned>> {
        match std::mem::take(&mut *lock(&self.consumer.context().noted)) {
            Noted::Nothing => Ok(None),
            Noted::Some(reassigned) => Ok(Some(reassigned)),
            Noted::Unknown => bail!("a rebalance failed"),
        }
    }

    /// Whether the group has given the partitions to others without asking. Metadata read
    /// before this says no is that of a member.
    pub(super) fn lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// The consumer's current generation, which fences its transactions (KIP-447).
    pub(super) fn group_metadata(&self) -> anyhow::Result<ConsumerGroupMetadata> {
        self.consumer
            .group_metadata()
            .with_context(|| format!("group {:?} has no metadata", self.group))
    }

    /// Commits offsets outside of any transaction: for a mutant, never for a host.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> anyhow::Result<()> {
        self.consumer.commit(offsets, CommitMode::Sync).context("failed to commit offsets")
    }

    /// Stops fetching these partitions; polling goes on.
    pub(super) fn pause(&self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let list = list(partitions.iter().map(|at| (at, Offset::Invalid)))?;
        self.consumer.pause(&list).context("failed to pause partitions")
    }

    /// Fetches these partitions again.
    pub(super) fn resume(&self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let list = list(partitions.iter().map(|at| (at, Offset::Invalid)))?;
        self.consumer.resume(&list).context("failed to resume partitions")
    }

    /// Which errors end the session: those after which the consumer never reads again.
    fn judge(&self, error: &KafkaError) -> anyhow::Result<()> {
        let text = self.clients.error(error);
        let group = &self.group;
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InconsistentGroupProtocol
                | RDKafkaErrorCode::InvalidSessionTimeout
                | RDKafkaErrorCode::SaslAuthenticationFailed,
            ) => Err(text.context(format!("group {group:?} cannot read"))),
            Some(RDKafkaErrorCode::Fatal) => {
                Err(text.context(format!("the consumer of group {group:?} is finished")))
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                Err(text.context(format!("the consumer of group {group:?} is finished")))
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                // librdkafka says which, and rdkafka does not pass it on.
                tracing::warn!(%group, topics = %self.topics, "a source topic is gone: {text}");
                Ok(())
            }
            Some(RDKafkaErrorCode::PollExceeded) => {
                tracing::warn!(%group, "{text}");
                Ok(())
            }
            // Lost brokers and the like: librdkafka goes on by itself.
            _ => {
                tracing::debug!(%group, "{text}");
                Ok(())
            }
        }
    }
}

/// A librdkafka list of partitions with offsets.
pub(super) fn list<'a>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, Offset)>,
) -> anyhow::Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (at, offset) in partitions {
        list.add_partition_offset(&at.topic, at.partition, offset)
            .with_context(|| format!("failed to name partition {at}"))?;
    }
    Ok(list)
}

/// Notes what rebalances take away and bring.
struct Rebalances {
    shared: Redacting,
    group: String,
    start: Start,
    noted: Mutex<Noted>,
    unplaced: Unplaced,
    /// When to find out whether the committed offsets of what was assigned could be read.
    doubt: Mutex<Option<Instant>>,
}

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.shared.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.shared.error(error, reason);
    }
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let group = &self.group;
        match rebalance {
            Rebalance::Revoke(partitions) => {
                let lost = consumer.assignment_lost();
                tracing::info!(%group, lost, partitions = %names(partitions), "partitions revoked");
                failpoint::reach("in-revoke");
                self.unplaced.revoked(partitions);
                lock(&self.noted).add(partitions, Reassigned::lose);
            }
            Rebalance::Assign(partitions) => {
                tracing::info!(%group, partitions = %names(partitions), "partitions assigned");
                failpoint::reach("in-assign");
                self.unplaced.assigned(partitions);
                *lock(&self.doubt) = Some(Instant::now() + PATIENCE);
                if self.start == Start::Latest
                    && let Err(error) = remember_ends(consumer, partitions)
                {
                    tracing::warn!(%group, %error, "failed to remember where the group begins");
                }
            }
            Rebalance::Error(error) => {
                tracing::warn!(%group, %error, "rebalance failed");
                *lock(&self.noted) = Noted::Unknown;
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = rebalance else { return };
        lock(&self.noted).add(partitions, Reassigned::gain);
        // A partition that was paused when it left must not come back paused.
        if let Err(error) = consumer.resume(partitions) {
            tracing::warn!(group = %self.group, %error, "failed to resume assigned partitions");
        }
    }
}

/// Commits the end of each partition for which the group has no offset: that is where "latest"
/// begins, also after a restart before the first event.
fn remember_ends(
    consumer: &BaseConsumer<Rebalances>,
    partitions: &TopicPartitionList,
) -> KafkaResult<()> {
    let committed = consumer.committed_offsets(partitions.clone(), TIMEOUT)?;
    let mut ends = TopicPartitionList::new();
    for element in committed.elements().iter().filter(|e| e.offset() == Offset::Invalid) {
        let (topic, partition) = (element.topic(), element.partition());
        let (_, end) = watermarks(consumer.client(), topic, partition)?;
        ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
    }
    if ends.count() > 0 { consumer.commit(&ends, CommitMode::Sync) } else { Ok(()) }
}

impl Noted {
    fn add(
        &mut self,
        partitions: &TopicPartitionList,
        note: impl Fn(&mut Reassigned, TopicPartition),
    ) {
        let mut known = match std::mem::take(self) {
            Self::Nothing => Reassigned::default(),
            Self::Some(known) => known,
            Self::Unknown => {
                *self = Self::Unknown;
                return;
            }
        };
        for element in partitions.elements() {
            let (topic, partition) = (element.topic().into(), element.partition());
            note(&mut known, TopicPartition { topic, partition });
        }
        *self = Self::Some(known);
    }
}

fn names(partitions: &TopicPartitionList) -> String {
    let names: Vec<_> = partitions
        .elements()
        .iter()
        .map(|element| format!("{}/{}", element.topic(), element.partition()))
        .collect();
    names.join(" ")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
