//! I5, I6 and I8: committed offsets say exactly which inputs have results, never go back, and are
//! behind every input when the run is over. I12: what hosts used is bounded.

use std::collections::{BTreeMap, HashMap};

use super::facts::Facts;
use super::verdict::{Findings, Invariant};
use crate::audit::history::{At, Bounds, Outcome, Resources};

/// Checks them.
pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    check_resources(facts, findings);
    check_monotonic(facts, findings);
    if facts.frozen {
        check_agreement(facts, findings);
        check_samples(facts, findings);
        check_ends(facts, findings);
    }
}

fn check_monotonic(facts: &Facts<'_>, findings: &mut Findings) {
    let mut last: HashMap<(&str, i32), i64> = HashMap::new();
    for (offsets, reset) in facts.samples.iter().filter(|(offsets, _)| !offsets.undecided) {
        for (partition, next) in &offsets.committed {
            let before = last.insert((&offsets.topic, *partition), *next);
            if !reset && let Some(before) = before.filter(|before| before > next) {
                findings.add(Invariant::I6, "a committed offset went back", || {
                    format!("{}/{partition}: from {before} to {next}", offsets.topic)
                });
            }
        }
    }
}

/// Whether an input has what shows that it was handled; `None` when nothing would.
fn is_handled(facts: &Facts<'_>, at: &At) -> Option<bool> {
    match facts.expected.get(at) {
        Some(Outcome::Outputs(outputs)) if outputs.is_empty() => None,
        Some(_) => Some(facts.by_source.contains_key(at)),
        // Without a model it may have been filtered out.
        None => facts.by_source.contains_key(at).then_some(true),
    }
}

fn check_agreement(facts: &Facts<'_>, findings: &mut Findings) {
    let committed = facts.committed();
    for (at, input) in &facts.inputs {
        let position = &at.0;
        let Some(known) = committed.get(&*position.topic) else {
            findings.add(Invariant::I8, "nobody knows where the group is", || at.to_string());
            continue;
        };
        let Some(known) = known else {
            findings.add(Invariant::I8, "offsets are undecided at the end", || at.to_string());
            continue;
        };
        let next = known.get(&position.partition).copied().unwrap_or(0);
        let case = || format!("{} with committed offset {next}", input.at);
        match (position.offset < next, is_handled(facts, at)) {
            (true, Some(false)) => {
                findings.add(Invariant::I5, "an input below the offset has no result", case);
            }
            (false, Some(true)) => {
                findings.add(Invariant::I5, "an input from the offset on has a result", case);
            }
            _ => {}
        }
        if position.offset >= next {
            findings.add(Invariant::I8, "an input was not handled", case);
        }
    }
    check_beyond(facts, &committed, findings);
}

/// No group is beyond the end of its topic.
fn check_beyond(
    facts: &Facts<'_>,
    committed: &BTreeMap<&str, Option<BTreeMap<i32, i64>>>,
    findings: &mut Findings,
) {
    for (topic, known) in committed {
        let Some(ends) = facts.ends.get(topic) else { continue };
        for (partition, _, end) in &ends.partitions {
            let next = known.as_ref().and_then(|known| known.get(partition)).copied();
            if let Some(next) = next.filter(|next| next > end) {
                findings.add(Invariant::I5, "a committed offset is beyond the end", || {
                    format!("{topic}/{partition}: committed {next}, end {end}")
                });
            }
        }
    }
}

/// What was below a committed offset at any time has its result.
fn check_samples(facts: &Facts<'_>, findings: &mut Findings) {
    let mut highest: BTreeMap<(&str, i32), i64> = BTreeMap::new();
    for (offsets, _) in facts.samples.iter().filter(|(offsets, _)| !offsets.undecided) {
        for (partition, next) in &offsets.committed {
            let high = highest.entry((&offsets.topic, *partition)).or_default();
            *high = (*next).max(*high);
        }
    }
    for at in facts.inputs.keys() {
        let high = highest.get(&(&*at.0.topic, at.0.partition)).copied().unwrap_or(0);
        if at.0.offset < high && is_handled(facts, at) == Some(false) {
            findings.add(Invariant::I5, "an input below an offset seen has no result", || {
                format!("{at}, and {high} was committed")
            });
        }
    }
}

fn check_ends(facts: &Facts<'_>, findings: &mut Findings) {
    for ends in facts.ends.values() {
        for (partition, stable, high) in &ends.partitions {
            if stable != high {
                findings.add(Invariant::I8, "a transaction is open at the end", || {
                    format!("{}/{partition}: stable {stable}, end {high}", ends.topic)
                });
            }
        }
    }
}

fn check_resources(facts: &Facts<'_>, findings: &mut Findings) {
    let Some(bounds) = facts.run.and_then(|run| run.bounds) else { return };
    let Bounds { memory_bytes, file_descriptors, threads } = bounds;
    for Resources { host, memory_bytes: memory, file_descriptors: files, threads: number } in
        &facts.resources
    {
        let mut above = |what: &'static str, used: &u64, bound: u64| {
            if *used > bound {
                findings.add(Invariant::I12, what, || format!("{host}: {used}, bound {bound}"));
            }
        };
        above("more bytes of memory than allowed", memory, memory_bytes);
        above("more open files than allowed", files, file_descriptors);
        above("more threads than allowed", number, threads);
    }
}
