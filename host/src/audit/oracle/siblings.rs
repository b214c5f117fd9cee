//! I3: the outputs of an input are visible together, across topics; I10: a transaction and an input
//! are of one revision.
//!
//! Kafka writes the end of a transaction partition by partition, so a reader of several may see
//! one sibling some moments before another. It may not stay so: once the reader has been at the
//! end of every topic again, later than a transaction may take, it has seen all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::{Facts, words};
use super::verdict::{Findings, Invariant};
use crate::audit::history::At;

/// What a marker may take beyond the timeout of a transaction, in milliseconds: brokers look for
/// transactions that are over time every so often.
const SLACK_MS: u64 = 12_000;

/// Checks them.
pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    check_final(facts, findings);
    check_live(facts, findings);
    check_transactions(facts, findings);
}

fn check_final(facts: &Facts<'_>, findings: &mut Findings) {
    for at in facts.inputs.keys() {
        let Some(results) = facts.by_source.get(*at) else { continue };
        let outputs: Vec<_> = results.iter().filter(|(seen, _)| !facts.is_dead(&seen.at)).collect();
        let case = || outputs.iter().map(|(s, o)| words(s, o)).collect::<Vec<_>>().join("; ");
        let numbers: BTreeSet<_> =
            outputs.iter().map(|(_, origin)| origin.sibling.unwrap_or((1, 1))).collect();
        let wanted = numbers.iter().next().map_or(0, |(_, n)| *n);
        let complete = numbers.iter().map(|(k, _)| *k).eq(1..=wanted)
            && numbers.iter().all(|(_, n)| *n == wanted);
        if !outputs.is_empty() && !complete {
            findings.add(Invariant::I3, "some outputs of an input and not the others", case);
        }
        let transactions: BTreeSet<_> = outputs.iter().map(|(_, o)| &o.transaction).collect();
        if transactions.len() > 1 {
            findings.add(Invariant::I3, "the outputs of an input in two transactions", case);
        }
        let revisions: BTreeSet<_> = outputs.iter().map(|(_, o)| o.revision).collect();
        if revisions.len() > 1 {
            findings.add(Invariant::I10, "the outputs of an input from two revisions", case);
        }
    }
}

/// When a reader saw the first and how many of the siblings so far.
struct Group<'a> {
    first_us: u64,
    seen: BTreeSet<u32>,
    of: u32,
    source: &'a At,
}

fn check_live(facts: &Facts<'_>, findings: &mut Findings) {
    let patience_us =
        (facts.run.map_or(0, |run| run.transaction_timeout_ms) + SLACK_MS).saturating_mul(1_000);
    let mut groups: HashMap<(&str, &At), Group<'_>> = HashMap::new();
    let mut completed_us: HashMap<(&str, &At), u64> = HashMap::new();
    for (at_us, seen) in &facts.live {
        let Some(origin) = &seen.origin else { continue };
        let Some((k, n)) = origin.sibling.filter(|(_, n)| *n > 1) else { continue };
        let key = (&*seen.reader, &origin.source);
        let group = groups.entry(key).or_insert_with(|| Group {
            first_us: *at_us,
            seen: BTreeSet::new(),
            of: n,
            source: &origin.source,
        });
        group.seen.insert(k);
        if group.seen.len() == n as usize {
            completed_us.entry(key).or_insert(*at_us);
        }
    }
    // The last time that each reader was at the end of everything.
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for caught_up in &facts.caught_up {
        let since = last.entry(&caught_up.reader).or_default();
        *since = caught_up.since_us.max(*since);
    }
    for (key @ (reader, _), group) in &groups {
        let due_us = group.first_us.saturating_add(patience_us);
        let whole_us = completed_us.get(key).copied();
        let looked = last.get(reader).is_some_and(|since| *since > due_us);
        if whole_us.is_none_or(|whole| whole > due_us) && looked {
            findings.add(
                Invariant::I3,
                "a reader saw some outputs of an input for too long",
                || {
                    format!(
                        "reader {reader} saw {:?} of the {} outputs of {} from {} us on",
                        group.seen, group.of, group.source, group.first_us
                    )
                },
            );
        }
    }
}

fn check_transactions(facts: &Facts<'_>, findings: &mut Findings) {
    let mut revisions: HashMap<&str, u64> = HashMap::new();
    for (seen, origin) in facts.results.values() {
        let Some(transaction) = &origin.transaction else { continue };
        let first = *revisions.entry(transaction).or_insert(origin.revision);
        if first != origin.revision {
            findings.add(Invariant::I10, "results of two revisions in one transaction", || {
                format!("{}; others of it are of revision {first}", words(seen, origin))
            });
        }
    }
}
