//! I11: the same inputs on two logs have the same results, in the same order per key.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::verdict::{Findings, Invariant, Violation};
use crate::audit::history::Entry;

/// What came of an input: topic and digest of each output, or the failure of its dead letter.
type Results<'a> = Vec<(String, &'a str)>;

/// Compares the histories of two runs with the same inputs, which have ids.
pub fn compare(one: &[Entry], other: &[Entry]) -> Vec<Violation> {
    let (one, other) = (Facts::of(one), Facts::of(other));
    let mut findings = Findings::default();
    let (left, right) = (by_id(&one), by_id(&other));
    for id in left.keys().chain(right.keys()).filter(|id| left.get(*id) != right.get(*id)) {
        findings.add(Invariant::I11, "an input with other results", || {
            format!("input {id}: {:?} and {:?}", left.get(id), right.get(id))
        });
    }
    let (left, right) = (by_key(&one), by_key(&other));
    for key in left.keys().filter(|key| left.get(*key) != right.get(*key)) {
        findings.add(Invariant::I11, "a key with another order of results", || {
            let first = left[key].iter().zip(right.get(key).into_iter().flatten());
            let first = first.enumerate().find(|(_, (a, b))| a != b);
            format!("{key:?}: {first:?}")
        });
    }
    findings.violations()
}

/// A topic without the name that makes it unique to a run.
fn role(facts: &Facts<'_>, topic: &str) -> String {
    let Some(run) = facts.run else { return topic.to_owned() };
    match run.to.iter().position(|to| **to == *topic) {
        Some(index) => format!("output {index}"),
        None => "dead letters".to_owned(),
    }
}

fn by_id<'a>(facts: &Facts<'a>) -> BTreeMap<&'a str, Results<'a>> {
    let mut all = BTreeMap::new();
    for (at, input) in &facts.inputs {
        let Some(id) = input.id.as_deref() else { continue };
        let results = facts.by_source.get(*at).into_iter().flatten();
        let mut results: Vec<_> = results
            .map(|(seen, origin)| {
                let digest = origin.failure.as_deref().unwrap_or(&seen.digest);
                (role(facts, &seen.at.0.topic), digest)
            })
            .collect();
        results.sort();
        all.insert(id, results);
    }
    all
}

/// The digests of each output topic and key, in the order of the log.
fn by_key<'a>(facts: &Facts<'a>) -> BTreeMap<(String, &'a str), Vec<&'a str>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (at, (seen, _)) in &facts.results {
        if let Some(key) = seen.key.as_deref() {
            all.entry((role(facts, &at.0.topic), key)).or_default().push(&*seen.digest);
        }
    }
    all
}
