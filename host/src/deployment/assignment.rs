//! What the workers of a host have, as the host tells the fleet every second: small, because a
//! host may have thousands of partitions, and its report is one event.

use serde::{Deserialize, Serialize};

use crate::status::{PartitionState, PartitionStatus, WorkerStatus};

/// The longest text of an error in a report, in bytes.
const ERROR: usize = 300;
/// What the texts of all errors in one report may take together, in bytes: the rest is left out.
/// With 30 bytes for a partition and 120 for one that waits, a report on 1,000 partitions that all
/// wait fits into a fourth of what brokers take by default (`message.max.bytes`, 1 MiB).
const ERRORS: usize = 64 << 10;

/// The partitions of one topic that a worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The worker's number within its handler on this host, from 0.
    pub worker: u32,
    /// The revision that the worker runs.
    pub revision: u64,
    /// The topic.
    pub topic: String,
    /// Each partition, and its events that became outputs or dead letters since the worker got it.
    pub partitions: Vec<(i32, u64)>,
    /// What there is to say about those that wait, or in which something went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
}

/// How a partition is, of which there is more to say than that its events are processed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The partition.
    pub partition: i32,
    /// Whether it goes on.
    #[serde(flatten)]
    pub state: PartitionState,
    /// The last failure of one of its events; cut when it is long, and left out where it would
    /// make the report too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Makes the assignments of one report.
#[derive(Debug)]
pub struct Assignments {
    /// Bytes left for the texts of errors.
    errors: usize,
}

impl Default for Assignments {
    fn default() -> Self {
        Self { errors: ERRORS }
    }
}

impl Assignments {
    /// What these workers have.
    pub fn of(&mut self, workers: &[WorkerStatus]) -> Vec<Assignment> {
        let mut assignments: Vec<Assignment> = Vec::new();
        for worker in workers {
            // In order, so that a topic's partitions stand together.
            for one in worker.partitions.chunk_by(|one, next| one.topic == next.topic) {
                let Some(first) = one.first() else { continue };
                assignments.push(Assignment {
                    worker: worker.slot,
                    revision: worker.revision,
                    topic: first.topic.to_string(),
                    partitions: one.iter().map(|one| (one.partition, one.events)).collect(),
                    remarks: one.iter().filter_map(|one| self.remark(one)).collect(),
                });
            }
        }
        assignments
    }

    fn remark(&mut self, status: &PartitionStatus) -> Option<Remark> {
        if status.state == PartitionState::Running && status.last_error.is_none() {
            return None;
        }
        let error = status.last_error.as_deref().map(|error| cut(error, ERROR));
        let error = error.filter(|error| error.len() <= self.errors);
        self.errors -= error.as_ref().map_or(0, String::len);
        Some(Remark { partition: status.partition, state: status.state, error })
    }
}

/// The beginning of a text, in at most so many bytes.
fn cut(text: &str, bytes: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes - MORE.len());
    format!("{}{MORE}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::WorkerState;

    fn worker(partitions: Vec<PartitionStatus>) -> WorkerStatus {
        WorkerStatus {
            slot: 2,
            revision: 7,
            state: WorkerState::Running,
            events: 0,
            dead_letters: 0,
            last_error: None,
            stopped_at: Vec::new(),
            partitions,
        }
    }

    fn partition(topic: &str, partition: i32, state: PartitionState) -> PartitionStatus {
        let last_error = (state != PartitionState::Running).then(|| "no".to_owned());
        PartitionStatus { topic: topic.into(), partition, state, events: 3, last_error }
    }

    #[test]
    fn partitions_are_told_by_topic_and_only_those_that_wait_at_length() {
        let waits = PartitionState::Retrying { offset: 5, until: 1_000 };
        let all = worker(vec![
            partition("a", 0, PartitionState::Running),
            partition("a", 1, waits),
            partition("b", 0, PartitionState::Halted { offset: 9 }),
        ]);
        let told = serde_json::to_value(Assignments::default().of(&[all])).unwrap();
        let expected = serde_json::json!([
            {
                "worker": 2, "revision": 7, "topic": "a", "partitions": [[0, 3], [1, 3]],
                "remarks": [{
                    "partition": 1, "state": "retrying", "offset": 5, "until": 1_000, "error": "no",
                }],
            },
            {
                "worker": 2, "revision": 7, "topic": "b", "partitions": [[0, 3]],
                "remarks": [{ "partition": 0, "state": "halted", "offset": 9, "error": "no" }],
            },
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn a_thousand_partitions_that_wait_with_long_errors_fit_an_event_and_are_read_again() {
        let offset = i64::MAX;
        let waits = PartitionState::Retrying { offset, until: i64::MAX };
        let status = |number| PartitionStatus {
            last_error: Some("ü".repeat(100_000)),
            events: u64::MAX,
            ..partition("orders", number, waits)
        };
        let all = worker((0..1_000).map(status).collect());
        let told = Assignments::default().of(&[all]);
        let text = serde_json::to_string(&told).unwrap();
        assert!(text.len() < 256 << 10, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Vec<Assignment>>(&text).unwrap(), told);
        let remarks = &told[0].remarks;
        assert_eq!(remarks.len(), 1_000, "all of them wait");
        assert!(remarks[0].error.as_ref().is_some_and(|error| error.ends_with("ü…")));
        assert_eq!(remarks[999].error, None);
    }
}
