//! Where groups go on, set by hand: a consumer of the group that never joins it commits. Brokers
//! take that only while the group has no members, whatever was asked before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Clients, Redacting};
use super::consumer::list;
use super::watched::{Watched, drop_within};
use super::watermarks::watermarks;
use crate::event::TopicPartition;
use crate::log::has_members;

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A commit has no limit of its own.
const COMMIT: Duration = Duration::from_secs(30);
/// How long closing may take; without a broker it would take for ever.
const CLOSE: Duration = Duration::from_secs(5);

type Client = Watched<BaseConsumer<Redacting>>;

/// Sets the offsets of a group, clamped to what the partitions hold; the partitions exist.
pub(super) fn set(
    clients: &Arc<Clients>,
    group: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<()> {
    let consumer = clients
        .consumer(group)
        .create_with_context(clients.context())
        .map_err(|e| clients.error(&e))?;
    let mut consumer: Client = Watched::new("kafka-offsets", consumer)?;
    let set = clamped(clients, &consumer, offsets)
        .and_then(|offsets| commit(clients, &mut consumer, group, offsets));
    // Whether it closes in time changes nothing.
    drop_within(CLOSE, consumer);
    set.with_context(|| format!("failed to set the offsets of group {group:?}"))
}

fn clamped(
    clients: &Clients,
    consumer: &Client,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<TopicPartitionList> {
    let mut clamped = Vec::with_capacity(offsets.len());
    for (at, offset) in offsets {
        let (start, end) = watermarks(consumer.client().client(), &at.topic, at.partition)
            .map_err(|e| clients.error(&e))
            .with_context(|| format!("failed to look up the offsets of {at}"))?;
        clamped.push((at, Offset::Offset((*offset).clamp(start, end))));
    }
    list(clamped)
}

fn commit(
    clients: &Clients,
    consumer: &mut Client,
    group: &str,
    offsets: TopicPartitionList,
) -> anyhow::Result<()> {
    let theirs = offsets.clone();
    match consumer.call(COMMIT, move |consumer| consumer.commit(&theirs, CommitMode::Sync)) {
        Some(Ok(())) => {}
        Some(Err(error)) if is_of_members(&error) => return Err(has_members(group, &[])),
        Some(Err(error)) => return Err(clients.error(&error)),
        None => bail!(
            "the broker did not answer within {COMMIT:?}; whether they are set is unknown, ask \
             `lockstep group describe {group}`"
        ),
    }
    // librdkafka reports a refusal of some of the partitions as a success.
    let asked = consumer.client().committed_offsets(offsets.clone(), TIMEOUT);
    let asked = asked.map_err(|e| clients.error(&e)).context("failed to read them again")?;
    for element in offsets.elements() {
        let (topic, partition) = (element.topic(), element.partition());
        let now = asked.find_partition(topic, partition).map(|now| now.offset());
        ensure!(
            now == Some(element.offset()),
            "the broker did not take the offset of {topic}/{partition}, or somebody else set it"
        );
    }
    Ok(())
}

/// Whether a commit was refused because it is not one of a member.
fn is_of_members(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::StaleMemberEpoch
        )
    )
}
