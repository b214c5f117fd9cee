//! The history of a run: one JSON object a line, in the order in which things were observed.
//!
//! Plain data. Every check can be repeated from the file alone. A record says what was seen, never
//! what should have been: that a write timed out is [`Ack::Unknown`], not a failure.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::event::Position;

/// A record and when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds since the run began, by a clock that never goes back.
    pub at_us: u64,
    /// What was observed.
    #[serde(flatten)]
    pub record: Record,
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Record {
    /// What the run is about. The first record.
    Run(Run),
    /// An event was handed to the log for a source topic.
    Written(Written),
    /// What the handler makes of an input, by the model that the results are compared with.
    Expected(Expected),
    /// A `read_committed` reader saw an event of a source topic, an output or a dead letter.
    Seen(Seen),
    /// A reader has seen all that was committed in these topics when it began its last look:
    /// nothing that it has not seen by now was visible at `since_us`.
    CaughtUp(CaughtUp),
    /// The committed offsets of the group, or that they are undecided.
    Offsets(Offsets),
    /// The offsets of the group were set on purpose: they may go back once, to where it says.
    Reset(Offsets),
    /// A transaction that was given up, or whose writer was fenced, as its host said: nothing of
    /// it may be visible.
    Abandoned(Abandoned),
    /// A fault was made, or is over.
    Fault(Fault),
    /// Where the ends of a topic are.
    Ends(Ends),
    /// What a host used.
    Resources(Resources),
    /// The run is over: no host runs, everything has been read to its end, offsets are final.
    Frozen,
}

/// What the run is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The version of this format, 1.
    pub version: u32,
    /// The seed that the inputs and the faults were drawn from.
    pub seed: u64,
    /// `kafka` or `embedded`.
    pub log: String,
    /// The handler's name, as in `lockstep-handler: name@revision`.
    pub handler: String,
    /// Its consumer group.
    pub group: String,
    /// Its source topics.
    pub from: Vec<Arc<str>>,
    /// The topics that it writes to.
    pub to: Vec<Arc<str>>,
    /// Where its dead letters go.
    pub dead_letters: Arc<str>,
    /// How long a transaction may stay open when its host is gone, in milliseconds: Kafka's
    /// `transaction.timeout.ms`. Siblings may be seen one after the other for so long.
    pub transaction_timeout_ms: u64,
    /// What a host may use; absent where it is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
}

/// What a host may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub file_descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// An event that was handed to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its id, unique in the run: the value of the header `lockstep-audit-id`.
    pub id: String,
    /// The source topic.
    pub topic: Arc<str>,
    /// Whether the log has it.
    pub ack: Ack,
}

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// The log said that it has the event.
    Acknowledged,
    /// The log said that it does not have the event.
    Refused,
    /// The log did not answer, or its answer does not tell.
    Unknown,
}

/// What the handler makes of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Where the input lies.
    pub source: At,
    /// What it becomes.
    pub result: Outcome,
}

/// What an input becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// These outputs, in this order; none if it is filtered out.
    Outputs(Vec<Content>),
    /// One dead letter with this kind of failure: the header `lockstep-failure`.
    DeadLetter(String),
}

/// What an output is, without what the host adds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Its topic.
    pub topic: Arc<str>,
    /// A digest of key, value and the headers that are not the host's.
    pub digest: String,
}

/// An event that a reader saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which reader: readers begin anew and see everything again. The last one is `final`.
    pub reader: Arc<str>,
    /// Where it lies.
    pub at: At,
    /// The id of an input; absent in outputs and dead letters that do not carry one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A digest of its key; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The digest of [`Content`].
    pub digest: String,
    /// What the host wrote into an output or a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where an output or a dead letter says that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The input: `lockstep-source`.
    pub source: At,
    /// The revision: the number in `lockstep-handler`.
    pub revision: u64,
    /// The transaction: `lockstep-transaction`, where the handler's provenance says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Which of how many outputs of its input: `lockstep-output`, 1 of 1 if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sibling: Option<(u32, u32)>,
    /// The kind of failure of a dead letter: `lockstep-failure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A reader is at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtUp {
    /// Which reader.
    pub reader: Arc<str>,
    /// The topics.
    pub topics: Vec<Arc<str>>,
    /// When it began its last look, as in [`Entry::at_us`].
    pub since_us: u64,
}

/// Offsets of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// The topic.
    pub topic: Arc<str>,
    /// Partition and next offset to process; partitions without a committed offset are left out.
    pub committed: Vec<(i32, i64)>,
    /// When they were asked for, as in [`Entry::at_us`]: the answer is from then or later.
    pub asked_us: u64,
    /// Whether a transaction holds them undecided: then `committed` says nothing.
    #[serde(default)]
    pub undecided: bool,
}

/// A transaction of which nothing may be visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// Its name, as in `lockstep-transaction`.
    pub transaction: String,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What was done, for example `kill -9`, `hold EndTxn`.
    pub kind: String,
    /// To what, for example `host-2`, `broker 1`.
    pub target: String,
    /// Whether it begins, is over, or has no length.
    pub phase: Phase,
}

/// Where a fault is in its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It begins.
    Begins,
    /// It is over: what it took away is back.
    Ends,
    /// It was an instant.
    Instant,
}

/// The ends of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// The topic.
    pub topic: Arc<str>,
    /// Partition, last stable offset, high watermark.
    pub partitions: Vec<(i32, i64, i64)>,
}

/// What a host used at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// The host's id.
    pub host: String,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors.
    pub file_descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// A [`Position`] as the header `lockstep-source` writes it: `orders/3/1042`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct At(pub Position);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<At> for String {
    fn from(at: At) -> Self {
        at.to_string()
    }
}

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// The version of the format: [`Run::version`].
pub const VERSION: u32 = 1;

/// Reads a history that a [`Recorder`](super::recorder::Recorder) has written. `Err` names the file
/// and the line of what is not one.
pub fn load(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let open = File::open(file).with_context(|| format!("failed to open {file:?}"))?;
    let mut entries = Vec::new();
    for (index, line) in BufReader::new(open).lines().enumerate() {
        let at = || format!("line {} of {file:?}", index + 1);
        let line = line.with_context(|| format!("failed to read {}", at()))?;
        let entry: Entry = serde_json::from_str(&line)
            .with_context(|| format!("{} is no entry of a history", at()))?;
        if let Record::Run(run) = &entry.record
            && run.version != VERSION
        {
            bail!(
                "{file:?} is a history of version {}, and this program reads version {VERSION}",
                run.version
            );
        }
        entries.push(entry);
    }
    match entries.first() {
        Some(Entry { record: Record::Run(_), .. }) => Ok(entries),
        _ => bail!("{file:?} is no history: its first line does not say what the run is about"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_that_reads_back() {
        let origin = Origin {
            source: At(Position { topic: "orders".into(), partition: 3, offset: 1042 }),
            revision: 7,
            transaction: Some("host-1/0/0f-12".to_owned()),
            sibling: Some((2, 3)),
            failure: None,
        };
        let seen = Seen {
            reader: "live".into(),
            at: At(Position { topic: "invoices".into(), partition: 0, offset: 5 }),
            id: None,
            key: Some("k".to_owned()),
            digest: "d".to_owned(),
            origin: Some(origin),
        };
        let entry = Entry { at_us: 12, record: Record::Seen(seen) };
        let line = serde_json::to_string(&entry).expect("plain data");
        assert!(line.contains(r#""what":"seen""#) && line.contains(r#""orders/3/1042""#), "{line}");
        assert_eq!(serde_json::from_str::<Entry>(&line).expect("what was written"), entry);
        let frozen = Entry { at_us: 13, record: Record::Frozen };
        let line = serde_json::to_string(&frozen).expect("plain data");
        assert_eq!(serde_json::from_str::<Entry>(&line).expect("what was written"), frozen);
    }

    #[test]
    fn what_is_no_position_is_named() {
        let error = serde_json::from_str::<At>(r#""orders/3""#).expect_err("no offset");
        assert!(
            error.to_string().contains(r#""orders/3" is not topic/partition/offset"#),
            "{error}"
        );
    }
}
