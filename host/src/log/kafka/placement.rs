//! Sees to it that a partition that was assigned begins where its group is.
//!
//! While a transaction holds offsets of the group undecided (KIP-447), librdkafka asks for them
//! again and again. When the assignment changes meanwhile, it takes the partitions that still
//! wait for ones without an offset, and begins where a new group would: what was committed is
//! repeated, or left out. So the first event of each partition is compared with what the brokers
//! say.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::list;
use super::watermarks::watermarks;
use crate::event::{Consumed, TopicPartition};
use crate::log::Start;

/// How long the brokers may take to answer: until a transaction is decided they do not.
const LOOK: Duration = Duration::from_millis(200);
/// How long a seek may take; it asks nobody.
const SEEK: Duration = Duration::from_secs(5);

/// Between two looks while offsets are undecided.
const AGAIN: Duration = Duration::from_millis(500);

/// The partitions of which no event was handed over since they were assigned.
#[derive(Default)]
pub(super) struct Unplaced(Mutex<State>);

#[derive(Default)]
struct State {
    unplaced: HashSet<TopicPartition>,
    /// Those of them that are paused, and until when, because nobody knows where they begin.
    waiting: Vec<TopicPartition>,
    until: Option<Instant>,
}

impl Unplaced {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These were assigned.
    pub(super) fn assigned(&self, partitions: &TopicPartitionList) {
        self.lock().unplaced.extend(names(partitions));
    }

    /// These were taken away.
    pub(super) fn revoked(&self, partitions: &TopicPartitionList) {
        let (mut state, gone) = (self.lock(), names(partitions));
        state.unplaced.retain(|at| !gone.contains(at));
        state.waiting.retain(|at| !gone.contains(at));
    }

    /// Reads again what waits, when its time has come. Called with every look at the queue.
    pub(super) fn resume_due<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
    ) -> anyhow::Result<()> {
        let mut state = self.lock();
        if state.until.is_none_or(|until| Instant::now() < until) {
            return Ok(());
        }
        state.until = None;
        let waiting = std::mem::take(&mut state.waiting);
        let waiting = list(waiting.iter().map(|at| (at, Offset::Invalid)))?;
        consumer.resume(&waiting).context("failed to resume partitions")
    }

    /// Whether this event may be handed over. If it is the first one of its partition and that
    /// one begins elsewhere, or nobody knows yet where, it is read again when its turn comes.
    pub(super) fn admits<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        start: Start,
        event: &Consumed,
    ) -> anyhow::Result<bool> {
        let mut state = self.lock();
        if state.unplaced.is_empty() {
            return Ok(true);
        }
        let at = TopicPartition { topic: event.event.topic.clone(), partition: event.partition };
        if !state.unplaced.contains(&at) {
            return Ok(true);
        }
        // One look for all of them: what one waits for, the others most likely do.
        let place = state.until.is_none().then(|| place(consumer, &at, event.offset, start));
        match place {
            Some(Ok(next)) => {
                state.unplaced.remove(&at);
                let Some(next) = next else { return Ok(true) };
                seek(consumer, &at, next)?;
            }
            unknown => {
                if let Some(Err(error)) = unknown {
                    tracing::debug!(partition = %at, %error, "it is not known yet where it begins");
                }
                seek(consumer, &at, event.offset)?;
                let paused = list([(&at, Offset::Invalid)])?;
                consumer.pause(&paused).context("failed to pause a partition")?;
                state.until.get_or_insert_with(|| Instant::now() + AGAIN);
                state.waiting.push(at);
            }
        }
        Ok(false)
    }
}

fn seek<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    at: &TopicPartition,
    offset: i64,
) -> anyhow::Result<()> {
    consumer
        .seek(&at.topic, at.partition, Offset::Offset(offset), SEEK)
        .with_context(|| format!("failed to go to offset {offset} of {at}"))
}

/// Where the partition has to begin, if not at this event.
///
/// Transaction markers occupy offsets, so the first event is often behind the committed offset,
/// and rightly. Only where the end is the default, events may have been left out: to go back once
/// costs little. Unless that place has expired, and the end is where it has to begin.
fn place<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    at: &TopicPartition,
    first: i64,
    start: Start,
) -> KafkaResult<Option<i64>> {
    let Some(committed) = committed(consumer, at)? else { return Ok(None) };
    let misplaced = match start {
        Start::Earliest => first < committed,
        Start::Latest if first == committed => false,
        Start::Latest => {
            let (oldest, _) = watermarks(consumer.client(), &at.topic, at.partition)?;
            committed >= oldest
        }
    };
    Ok(misplaced.then_some(committed))
}

fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    at: &TopicPartition,
) -> KafkaResult<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition(&at.topic, at.partition);
    let answer = consumer.committed_offsets(list, LOOK)?;
    let mut committed = None;
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            committed = Some(offset);
        }
    }
    Ok(committed)
}

fn names(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = partitions.elements();
    let name = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        TopicPartition { topic: element.topic().into(), partition: element.partition() }
    };
    elements.iter().map(name).collect()
}
