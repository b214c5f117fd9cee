//! I4: in each output partition, the results of one source partition are in the order of their
//! inputs, and siblings in theirs.

use std::collections::HashMap;

use super::facts::{Facts, words};
use super::verdict::{Findings, Invariant};

/// Checks it.
pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    // By the partition that a result lies in and the one that its input lies in.
    let mut last: HashMap<_, (i64, u32, String)> = HashMap::new();
    for (at, (seen, origin)) in &facts.results {
        let (at, source) = (&at.0, &origin.source.0);
        let place = (&at.topic, at.partition, &source.topic, source.partition);
        let number = origin.sibling.map_or(1, |(k, _)| k);
        let now = (source.offset, number);
        if let Some((offset, number, before)) = last.get(&place)
            && (*offset, *number) >= now
        {
            findings.add(Invariant::I4, "results out of the order of their inputs", || {
                format!("{before}, then {}", words(seen, origin))
            });
        }
        last.insert(
            place,
            (now.0, now.1, seen.at.to_string() + " from " + &origin.source.to_string()),
        );
    }
}
