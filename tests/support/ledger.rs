//! What a test wrote, to be compared with what came of it: each event one result, in order.
//!
//! The events are for the guest `scripted`. Each has a key, so that a source partition's outputs
//! share a partition, and the header `id`, which says where it stands: `partition:number`.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::event::{Consumed, Event};

use crate::event::{Has, With, event};
use crate::scenario::{Deployed, Scenario};
use crate::wait::eventually_ok;

/// A script that ends as a dead letter.
pub const BAD: &str = r#"{"do":"permanent"}"#;

/// The events that a test wrote to one topic.
pub struct Ledger {
    topic: String,
    /// How many, by partition.
    written: BTreeMap<i32, usize>,
    /// The ids of those with the script [`BAD`].
    bad: BTreeSet<String>,
}

impl Ledger {
    /// A ledger without events.
    pub fn of(topic: &str) -> Self {
        Self { topic: topic.to_owned(), written: BTreeMap::new(), bad: BTreeSet::new() }
    }

    /// Writes an event for each script to one partition, in this order.
    #[track_caller]
    pub fn produce<S: AsRef<str>>(
        &mut self,
        world: &Scenario,
        partition: i32,
        scripts: impl IntoIterator<Item = S>,
    ) {
        let events: Vec<_> =
            scripts.into_iter().map(|script| self.enter(partition, script.as_ref())).collect();
        world.produce_to(partition, events);
    }

    /// Writes so many events to each of the partitions from 0 on, each tenth one of them bad.
    #[track_caller]
    pub fn produce_to_all(&mut self, world: &Scenario, partitions: i32, count: usize) {
        for partition in 0..partitions {
            let scripts = (0..count).map(|number| if number % 10 == 3 { BAD } else { "fine" });
            self.produce(world, partition, scripts);
        }
    }

    /// Enters an event that the caller writes, behind the others of its partition.
    pub fn enter(&mut self, partition: i32, script: &str) -> Event {
        let number = self.written.entry(partition).or_default();
        let id = name(partition, *number);
        *number += 1;
        if script == BAD {
            self.bad.insert(id.clone());
        }
        event(&self.topic, script).key(format!("key {partition}")).header("id", id)
    }

    /// Waits until the handler is through. Each event then has exactly one output, or one dead
    /// letter when it is bad, in the order of its source partition, and says so itself: the id
    /// that came along and the source that the host wrote must agree.
    #[track_caller]
    pub fn assert_exactly_once(&self, world: &Scenario, handler: &Deployed, output: &str) {
        world.settle(handler);
        // The offsets may be visible some moments before the rest of their transaction.
        let (outputs, dead) = eventually_ok("every event has a result", || {
            let (outputs, dead) = (world.read(output), world.read(&handler.dead_letters));
            let found: BTreeSet<_> = outputs.iter().chain(&dead).map(id).collect();
            let lost: Vec<_> = self.ids().filter(|id| !found.contains(id)).collect();
            if lost.is_empty() { Ok((outputs, dead)) } else { Err(format!("lost: {lost:?}")) }
        });
        self.compare(&outputs, &dead).unwrap_or_else(|problem| panic!("{problem}"));
    }

    /// What is wrong with these results, if anything.
    pub fn compare(&self, outputs: &[Consumed], dead: &[Consumed]) -> Result<(), String> {
        let mut left: BTreeSet<_> = self.ids().collect();
        let all = outputs.iter().chain(dead).map(id);
        let unexpected: Vec<_> = all.filter(|id| !left.remove(id)).collect();
        let dead_ids: BTreeSet<_> = dead.iter().map(id).collect();
        if !unexpected.is_empty() || !left.is_empty() {
            return Err(format!("repeated or never written: {unexpected:?}, lost: {left:?}"));
        }
        if dead_ids != self.bad {
            return Err(format!("dead letters {dead_ids:?}, bad ones {:?}", self.bad));
        }
        check_order(outputs).and_then(|()| check_order(dead))
    }

    fn ids(&self) -> impl Iterator<Item = String> {
        self.written
            .iter()
            .flat_map(|(partition, count)| (0..*count).map(|number| name(*partition, number)))
    }
}

fn name(partition: i32, number: usize) -> String {
    format!("{partition}:{number:06}")
}

fn id(event: &Consumed) -> String {
    event.last_header("id").unwrap_or_default()
}

/// The results of one source partition, in one partition, are in the order of their numbers.
fn check_order(results: &[Consumed]) -> Result<(), String> {
    let mut last = BTreeMap::new();
    let mut sorted: Vec<_> = results.iter().collect();
    sorted.sort_by_key(|event| (event.partition, event.offset));
    for event in sorted {
        let id = id(event);
        let (partition, number) = id.split_once(':').unwrap_or_default();
        let source = event.last_header("lockstep-source").unwrap_or_default();
        if source.rsplit('/').nth(1) != Some(partition) {
            return Err(format!("event {id} says that it came from {source:?}"));
        }
        let place = (event.partition, partition.to_owned());
        if let Some(before) = last.insert(place, number.to_owned())
            && *before >= *number
        {
            return Err(format!("partition {partition}: {before} before {number}"));
        }
    }
    Ok(())
}
