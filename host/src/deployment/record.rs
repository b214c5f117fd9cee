//! The records of the registry: what stands in the topic `deployments`, as JSON under text keys.
//!
//! | key | value |
//! |---|---|
//! | `revision/<handler>/<number>` | [`RevisionRecord`]: never changed once written |
//! | `deployment/<handler>` | [`DeploymentRecord`]: which revision is active, and how it runs |
//! | `component/<digest>` | [`ComponentRecord`]: where the bytes of a component are |
//! | `fence/<handler>/<revision>/<topic>/<partition>/<offset>` | [`Fence`]: where a revision took over |
//!
//! A tombstone removes what its key names. Every value has a version; one that is newer than this
//! program knows is refused, never guessed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fence::Fence;
use super::one_host::HostRecord;
use super::rollback::Rollback;
use crate::digest::Digest;
use crate::event::{Consumed, Position};

/// The version of the records that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A revision of a handler, by its number.
    Revision(String, u64),
    /// A handler.
    Deployment(String),
    /// A component.
    Component(Digest),
    /// The first event of a partition that a revision of a handler has handled.
    Fence(String, u64, Position),
}

/// An immutable pair of a component and a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// The component.
    pub component: Digest,
    /// Its size in bytes.
    pub bytes: u64,
    /// The manifest, as TOML: all that a host needs, without `[build]` and `[test]`.
    pub manifest: String,
    /// When it was deployed, in milliseconds since the Unix epoch.
    pub deployed_at: i64,
    /// Who deployed it, as the deployer says.
    pub deployed_by: String,
    /// The signature of the component, when it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// How a handler runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// The active revision.
    pub revision: u64,
    /// The revision that it replaced when it was deployed; `None` when there was none, and when
    /// it is active because of a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<u64>,
    /// The last rollbacks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollbacks: Vec<Rollback>,
    /// Whether its workers are stopped until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// Workers on each host, instead of the manifest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// How often it was restarted by hand: one more is a restart.
    #[serde(default)]
    pub restarts: u64,
    /// The hosts on which it runs otherwise, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, HostRecord>,
    /// When this was written, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Who wrote it.
    pub by: String,
    /// What was done: `deploy`, `rollback`, `pause` and so on.
    pub action: String,
}

/// Where the bytes of a component are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRecord {
    /// Its size in bytes.
    pub bytes: u64,
    /// The number of chunks.
    pub chunks: u32,
    /// No chunk of it stands before this offset of the topic `components`.
    pub begins: i64,
    /// Since when no revision refers to it, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<i64>,
}

/// A record that was read; without a value it removes what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of a revision.
    Revision(String, u64, Option<RevisionRecord>),
    /// Of a handler.
    Deployment(String, Option<DeploymentRecord>),
    /// Of a component.
    Component(Digest, Option<ComponentRecord>),
    /// Of a partition that a revision of a handler took over.
    Fence(String, u64, Position, Option<Fence>),
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Its key is none of ours.
    #[error("record {place} has the unknown key {key:?}; it is left alone")]
    Unknown {
        /// Where it stands.
        place: String,
        /// Its key.
        key: String,
    },
    /// Its value cannot be read.
    #[error("record {place} with the key {key} is damaged ({reason}); it is left alone")]
    Damaged {
        /// Where it stands.
        place: String,
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// It is of a newer version.
    #[error(
        "record {place} with the key {key} has version {version}, and this program reads up to \
         {VERSION}: update it; until then the record is left alone"
    )]
    Newer {
        /// Where it stands.
        place: String,
        /// Its key.
        key: String,
        /// Its version.
        version: u32,
    },
}

/// A value with its version.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    value: T,
}

/// The value of a record.
pub fn encode<T: Serialize>(value: &T) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&Versioned { v: VERSION, value })?)
}

/// What is about to be written, as it will be read.
pub fn of((key, value): (Key, Option<Vec<u8>>)) -> anyhow::Result<Record> {
    fn read<T: DeserializeOwned>(value: Option<Vec<u8>>) -> anyhow::Result<Option<T>> {
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Versioned<T>>(&bytes);
        Ok(value.map(read).transpose()?.map(|versioned| versioned.value))
    }
    Ok(match key {
        Key::Revision(handler, number) => Record::Revision(handler, number, read(value)?),
        Key::Deployment(handler) => Record::Deployment(handler, read(value)?),
        Key::Component(digest) => Record::Component(digest, read(value)?),
        Key::Fence(handler, number, first) => Record::Fence(handler, number, first, read(value)?),
    })
}

/// Reads a record.
pub fn decode(event: &Consumed) -> Result<Record, RecordError> {
    let bytes = event.event.key.as_deref().unwrap_or_default();
    let Some(key) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<Key>().ok())
    else {
        let key = String::from_utf8_lossy(bytes).into_owned();
        return Err(RecordError::Unknown { place: place(event), key });
    };
    Ok(match &key {
        Key::Revision(handler, number) => {
            Record::Revision(handler.clone(), *number, value(event, &key)?)
        }
        Key::Deployment(handler) => Record::Deployment(handler.clone(), value(event, &key)?),
        Key::Component(digest) => Record::Component(*digest, value(event, &key)?),
        Key::Fence(handler, number, first) => {
            let fence = value(event, &key)?;
            check_fence(event, &key, fence.as_ref(), (*number, first))?;
            Record::Fence(handler.clone(), *number, first.clone(), fence)
        }
    })
}

/// A fence elsewhere than its key says would outlive the tombstone of that key.
fn check_fence(
    event: &Consumed,
    key: &Key,
    fence: Option<&Fence>,
    (number, first): (u64, &Position),
) -> Result<(), RecordError> {
    let place = |fence: &Fence| (fence.revision, fence.first());
    match fence.map(place).filter(|place| *place != (number, first.clone())) {
        None => Ok(()),
        Some((number, first)) => Err(RecordError::Damaged {
            place: self::place(event),
            key: key.to_string(),
            reason: format!("its value is that of revision {number} at {first}"),
        }),
    }
}

/// The value of a record of any control topic; `None` for a tombstone.
pub fn value<T: DeserializeOwned>(
    event: &Consumed,
    key: &impl fmt::Display,
) -> Result<Option<T>, RecordError> {
    #[derive(Deserialize)]
    struct OnlyVersion {
        v: u32,
    }
    let Some(bytes) = event.event.value.as_deref() else { return Ok(None) };
    let damaged = |error: serde_json::Error| RecordError::Damaged {
        place: place(event),
        key: key.to_string(),
        reason: error.to_string(),
    };
    let OnlyVersion { v: version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(RecordError::Newer { place: place(event), key: key.to_string(), version });
    }
    let Versioned { value, .. } = serde_json::from_slice(bytes).map_err(damaged)?;
    Ok(Some(value))
}

fn place(event: &Consumed) -> String {
    event.position().to_string()
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revision(handler, number) => write!(f, "revision/{handler}/{number}"),
            Self::Deployment(handler) => write!(f, "deployment/{handler}"),
            Self::Component(digest) => write!(f, "component/{digest}"),
            Self::Fence(handler, number, first) => write!(f, "fence/{handler}/{number}/{first}"),
        }
    }
}

impl FromStr for Key {
    type Err = ();

    /// Takes a key in the one form that is written: of two that mean the same, a compacted topic
    /// would keep both.
    fn from_str(text: &str) -> Result<Self, ()> {
        let key = Self::in_any_form(text)?;
        if key.to_string() == text { Ok(key) } else { Err(()) }
    }
}

impl Key {
    /// Numbers may have a sign and begin with zeros. Names of handlers hold no slash.
    fn in_any_form(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            ["revision", handler, number] if !handler.is_empty() => {
                Ok(Self::Revision((*handler).to_owned(), number.parse().map_err(drop)?))
            }
            ["deployment", handler] if !handler.is_empty() => {
                Ok(Self::Deployment((*handler).to_owned()))
            }
            ["fence", handler, number, topic, partition, offset] if !handler.is_empty() => {
                let partition = partition.parse().map_err(drop)?;
                let offset = offset.parse().map_err(drop)?;
                let first = Position { topic: (*topic).into(), partition, offset };
                Ok(Self::Fence((*handler).to_owned(), number.parse().map_err(drop)?, first))
            }
            ["component", digest] => Ok(Self::Component(digest.parse().map_err(drop)?)),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn record(key: &str, value: Option<&[u8]>) -> Consumed {
        let event = Event {
            topic: "_lockstep.deployments".into(),
            key: Some(key.as_bytes().to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
            timestamp_ms: Some(0),
        };
        Consumed { event, partition: 0, offset: 7 }
    }

    fn refusal(key: &str, value: &[u8]) -> String {
        decode(&record(key, Some(value))).map_or_else(|e| e.to_string(), |r| format!("{r:?}"))
    }

    #[test]
    fn a_record_is_read_as_it_was_written() -> anyhow::Result<()> {
        let component = Digest::of(b"x");
        let written = ComponentRecord { bytes: 1, chunks: 1, begins: 3, unused_since: None };
        let key = Key::Component(component);
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        let read = decode(&record(&key.to_string(), Some(&encode(&written)?)))?;
        assert_eq!(read, Record::Component(component, Some(written)));
        assert_eq!(
            decode(&record("deployment/a", None))?,
            Record::Deployment("a".to_owned(), None)
        );
        Ok(())
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let place = "_lockstep.deployments/0/7";
        for (key, value, words) in [
            ("elsewhere/a", &b"{}"[..], &["unknown key \"elsewhere/a\""][..]),
            ("revision/a/b/1", b"{}", &["unknown key"]),
            ("revision/a/+7", b"{}", &["unknown key"]),
            ("fence/a/7/orders/03/1", b"{}", &["unknown key"]),
            ("deployment/a", b"{\"v\":1,\"revi", &["deployment/a is damaged", "EOF"]),
            ("deployment/a", b"{\"v\":1}", &["damaged", "missing field"]),
            (
                "fence/a/7/orders/3/1",
                br#"{"v":1,"revision":7,"topic":"orders","partition":3,"from":2,"at":0}"#,
                &["damaged", "of revision 7 at orders/3/2"],
            ),
            ("deployment/a", b"{\"v\":2,\"new\":true}", &["has version 2", "up to 1", "update"]),
        ] {
            let said = refusal(key, value);
            for word in words.iter().chain([&place]) {
                assert!(said.contains(word), "{word:?} is not in {said}");
            }
        }
    }

    #[test]
    fn a_key_that_is_no_text_is_not_taken_for_one() {
        let mut event = record("", Some(b"{}"));
        event.event.key = Some(b"deployment/a\xff".to_vec());
        let error = decode(&event).unwrap_err();
        assert!(matches!(error, RecordError::Unknown { .. }), "{error}");
    }

    #[test]
    fn keys_that_a_later_version_adds_do_no_harm() {
        let value = br#"{"v":1,"revision":3,"at":0,"by":"ada","action":"deploy","shade":"blue"}"#;
        assert!(refusal("deployment/a", value).contains("revision: 3"));
    }
}
