//! Sets where a handler goes on: it rests on all hosts meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Changed, Error, Fleet, Patience};
use crate::deployment::manifest;
use crate::deployment::operation::{Operation, present};
use crate::deployment::registry::Deployed;
use crate::event::TopicPartition;
use crate::handler::Handler;
use crate::log::ReadFrom;

/// How often it is looked whether the group has members left.
const GLANCE: Duration = Duration::from_millis(100);

type Offsets = BTreeMap<TopicPartition, i64>;

/// Where a handler is to go on, and what that means: planned, not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seek {
    /// The handler.
    pub name: String,
    /// The revision that is active now.
    pub active: u64,
    /// The revision that goes on.
    pub revision: u64,
    /// How many events are handled again.
    pub events_again: i64,
    group: String,
    offsets: Offsets,
    /// Whether the handler rests already.
    was_paused: bool,
    /// What makes `revision` the active one, when another one is.
    rollback: Option<Operation>,
}

impl Seek {
    /// In how many partitions an offset is set.
    pub fn partitions(&self) -> usize {
        self.offsets.len()
    }

    /// Whether the handler rests afterwards, because it did before.
    pub fn stays_paused(&self) -> bool {
        self.was_paused && self.rollback.is_none()
    }
}

impl Fleet {
    /// Plans to let a handler go on at this place in all partitions of its source topics.
    pub fn plan_reset(&self, name: &str, to: ReadFrom) -> Result<Seek, Error> {
        let registry = self.store.registry()?;
        let (deployed, record) = present(&registry, name)?;
        let handler = active_handler(name, deployed)?;
        let mut offsets = Offsets::new();
        for topic in &handler.from {
            for (partition, offset) in self.store.log().admin().offsets(topic, to)? {
                offsets.insert(TopicPartition { topic: topic.clone(), partition }, offset);
            }
        }
        Ok(Seek {
            name: name.to_owned(),
            active: handler.revision,
            revision: handler.revision,
            events_again: self.events_again(&handler, &offsets)?,
            was_paused: record.paused,
            group: handler.group,
            offsets,
            rollback: None,
        })
    }

    /// Plans to go back to an earlier revision, and to handle again what the active one has
    /// handled.
    pub fn plan_rewind(&self, name: &str, to: Option<u64>) -> Result<Seek, Error> {
        let registry = self.store.registry()?;
        let operation = Operation::Rollback(to);
        // Refused now, before anything rests.
        let plan = operation.plan(&registry, name, &self.operator())?;
        let (deployed, record) = present(&registry, name)?;
        let handler = active_handler(name, deployed)?;
        let offsets = deployed.begin_of_active();
        if offsets.is_empty() {
            return Err(Error::Impossible(format!(
                "handler {name:?} has handled nothing with revision {}: there is nothing to \
                 rewind; roll back without rewinding",
                handler.revision
            )));
        }
        Ok(Seek {
            name: name.to_owned(),
            active: handler.revision,
            revision: plan.deployment.map_or(0, |record| record.revision),
            events_again: self.events_again(&handler, &offsets)?,
            was_paused: record.paused,
            group: handler.group,
            offsets,
            rollback: Some(operation),
        })
    }

    /// Does what was planned. The handler is paused on all hosts meanwhile, for which `rest` is
    /// waited; then `patience`, for the hosts to go on.
    pub fn seek(
        &self,
        seek: &Seek,
        rest: &Patience<'_>,
        patience: Option<&Patience<'_>>,
    ) -> Result<Changed, Error> {
        let name = &seek.name;
        self.rest(seek, rest)?;
        let set = self.store.log().admin().set_offsets(&seek.group, &seek.offsets);
        set.with_context(|| paused(name))?;
        if let Some(rollback) = &seek.rollback {
            self.perform(name, rollback, None)?;
        }
        let mut changed = if seek.stays_paused() {
            let registry = self.store.registry()?;
            let (_, record) = present(&registry, name)?;
            self.changed(name, Some(record), None)?
        } else {
            self.change(name, &Operation::Resume, patience)?
        };
        changed.events_again = Some(seek.events_again);
        Ok(changed)
    }

    /// How many offsets lie between where the handler is and where it is to go on.
    fn events_again(&self, handler: &Handler, offsets: &Offsets) -> Result<i64, Error> {
        let group = self.store.log().admin().group(&handler.group)?;
        let back = |(at, offset): (&TopicPartition, &i64)| {
            let committed = group.iter().find(|known| known.at == *at)?.committed;
            Some(committed.saturating_sub(*offset).max(0))
        };
        Ok(offsets.iter().filter_map(back).sum())
    }

    /// Pauses the handler, and waits until its group has no members.
    fn rest(&self, seek: &Seek, patience: &Patience<'_>) -> Result<(), Error> {
        let Seek { name, group, .. } = seek;
        let begun = Instant::now();
        let restless = |why: String| Err(Error::Restless(format!("{}: {why}", paused(name))));
        if !seek.was_paused {
            let late = self.change(name, &Operation::Pause, Some(patience))?.late;
            if !late.is_empty() {
                return restless(format!("it still runs on {}", late.join(", ")));
            }
        }
        while self.store.log().admin().members(group)? > 0 {
            if begun.elapsed() > patience.timeout || self.stop.sleep(GLANCE) {
                return restless(format!(
                    "group {group:?} still has members; hosts that are gone leave it when their \
                     session times out"
                ));
            }
        }
        Ok(())
    }
}

fn active_handler(name: &str, deployed: &Deployed) -> Result<Handler, Error> {
    let active = deployed.active();
    let (number, active) = active.with_context(|| format!("handler {name:?} has no revision"))?;
    let handler = manifest::parse(Path::new(&format!("{name}@{number}")), &active.manifest);
    let mut handler = handler.map_err(anyhow::Error::from)?;
    handler.revision = number;
    Ok(handler)
}

/// What to do when it does not get any further.
fn paused(name: &str) -> String {
    format!("handler {name:?} is paused; resume it with `lockstep handler resume {name}`")
}
