//! How long events waited after each kind of fault: from the fault until everything that had been
//! written before it had its result. Pure, from the history alone, and as a reader saw it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::history::{Entry, Phase, Record};

/// How long events waited after the faults of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// What was done.
    pub fault: String,
    /// How often.
    pub times: usize,
    /// In half of the cases not longer than this, in milliseconds.
    pub p50_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// By kind of fault, in the order of their names.
pub fn recoveries(history: &[Entry]) -> Vec<Recovery> {
    let waits = waits(history);
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for entry in history {
        let Record::Fault(fault) = &entry.record else { continue };
        if fault.phase != Phase::Ends {
            kinds.entry(&fault.kind).or_default().push(recovery_us(entry.at_us, &waits));
        }
    }
    let of_kind = |(fault, mut times): (&str, Vec<u64>)| {
        times.sort_unstable();
        Recovery {
            fault: fault.to_owned(),
            times: times.len(),
            p50_ms: times[(times.len() - 1) / 2] / 1_000,
            max_ms: times.last().copied().unwrap_or_default() / 1_000,
        }
    };
    kinds.into_iter().map(of_kind).collect()
}

/// When each input was seen first, and when its first result was. Inputs without a result are left
/// out: whether they are lost is for the oracle to say.
fn waits(history: &[Entry]) -> Vec<(u64, u64)> {
    let mut inputs: HashMap<_, u64> = HashMap::new();
    let mut results: HashMap<_, u64> = HashMap::new();
    for entry in history {
        let Record::Seen(seen) = &entry.record else { continue };
        match &seen.origin {
            None => inputs.entry(&seen.at).or_insert(entry.at_us),
            Some(origin) => results.entry(&origin.source).or_insert(entry.at_us),
        };
    }
    let wait = |(at, seen): (_, u64)| Some((seen, *results.get(at)?));
    inputs.into_iter().filter_map(wait).collect()
}

fn recovery_us(fault_us: u64, waits: &[(u64, u64)]) -> u64 {
    let waiting = waits.iter().filter(|(seen, _)| *seen <= fault_us);
    waiting.map(|(_, done)| done.saturating_sub(fault_us)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::history::{At, Fault, Origin, Seen};
    use crate::event::Position;

    fn at(topic: &str, offset: i64) -> At {
        At(Position { topic: topic.into(), partition: 0, offset })
    }

    fn seen(at_ms: u64, at: At, source: Option<At>) -> Entry {
        let origin = source.map(|source| Origin {
            source,
            revision: 1,
            transaction: None,
            sibling: None,
            failure: None,
        });
        let (reader, digest) = ("live".into(), String::new());
        let seen = Seen { reader, at, id: None, key: None, digest, origin };
        Entry { at_us: at_ms * 1_000, record: Record::Seen(seen) }
    }

    fn fault(at_ms: u64, kind: &str, phase: Phase) -> Entry {
        let fault = Fault { kind: kind.to_owned(), target: "host-1".to_owned(), phase };
        Entry { at_us: at_ms * 1_000, record: Record::Fault(fault) }
    }

    #[test]
    fn recovery_lasts_until_what_was_there_before_the_fault_has_its_results() {
        let history = [
            seen(10, at("in", 0), None),
            seen(20, at("in", 1), None),
            fault(25, "kill -9", Phase::Instant),
            seen(30, at("in", 2), None),
            seen(700, at("out", 0), Some(at("in", 0))),
            seen(725, at("out", 1), Some(at("in", 1))),
            seen(900, at("out", 2), Some(at("in", 2))),
            fault(950, "kill -9", Phase::Instant),
            fault(960, "freeze", Phase::Begins),
            fault(990, "freeze", Phase::Ends),
            // Again, by a reader that began anew.
            seen(2_000, at("in", 0), None),
            seen(2_000, at("out", 0), Some(at("in", 0))),
            // Lost, or filtered out.
            seen(2_010, at("in", 3), None),
        ];
        let of = |fault: &str, times, p50_ms, max_ms| Recovery {
            fault: fault.to_owned(),
            times,
            p50_ms,
            max_ms,
        };
        assert_eq!(recoveries(&history), [of("freeze", 1, 0, 0), of("kill -9", 2, 0, 700)]);
    }
}
