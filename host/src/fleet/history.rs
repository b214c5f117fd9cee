//! The revisions of a handler, and what each has handled.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Fleet, time};
use crate::deployment::fence::Fence;
use crate::deployment::operation::Refusal;
use crate::deployment::record::RevisionRecord;
use crate::deployment::registry::Deployed;
use crate::deployment::rollback::Rollback;

/// A revision of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RevisionLine {
    /// Its number.
    pub revision: u64,
    /// Whether it is the one that runs.
    pub active: bool,
    /// The digest of its component.
    pub component: String,
    /// The size of the component, in bytes.
    pub bytes: u64,
    /// When it was deployed, in UTC.
    pub deployed_at: String,
    /// Who deployed it.
    pub deployed_by: String,
    /// What it has handled, in the order in which it began.
    pub handled: Vec<Range>,
    /// The last rollback that ended it.
    pub rolled_back: Option<Rollback>,
}

/// Events of one partition that one revision has handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Range {
    /// The source topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset that another revision began at; `null` while it is the revision's own, and when
    /// it was rewound.
    pub to: Option<i64>,
}

impl Fleet {
    /// The revisions of a handler, the newest first; also of one that was deleted and whose last
    /// revision is kept.
    pub fn history(&self, name: &str) -> Result<Vec<RevisionLine>, Error> {
        let registry = self.store.registry()?;
        let Some(deployed) = registry.handler(name) else {
            let alike = registry.handlers().map(|(name, ..)| name.to_owned()).collect();
            return Err(Refusal::NotThere { name: name.to_owned(), alike }.into());
        };
        Ok(lines(deployed))
    }
}

fn lines(deployed: &Deployed) -> Vec<RevisionLine> {
    let active = deployed.active().map(|(number, _)| number);
    let line = |(number, revision): (&u64, &RevisionRecord)| RevisionLine {
        revision: *number,
        active: Some(*number) == active,
        component: revision.component.to_string(),
        bytes: revision.bytes,
        deployed_at: time(revision.deployed_at),
        deployed_by: revision.deployed_by.clone(),
        handled: handled(deployed, *number),
        rolled_back: deployed.deployment.as_ref().and_then(|now| now.rollback_of(*number)).cloned(),
    };
    deployed.revisions.iter().rev().map(line).collect()
}

/// What a revision has handled.
fn handled(deployed: &Deployed, number: u64) -> Vec<Range> {
    let fences = deployed.takeovers();
    let range = |(index, fence): (usize, &&Fence)| {
        let mut later = fences[index + 1..].iter();
        let next = later.find(|next| next.place() == fence.place() && next.revision != number);
        Range {
            topic: fence.topic.to_string(),
            partition: fence.partition,
            from: fence.from,
            to: next.map(|next| next.from).filter(|to| *to > fence.from),
        }
    };
    fences.iter().enumerate().filter(|(_, fence)| fence.revision == number).map(range).collect()
}
