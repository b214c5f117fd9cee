//! I7 and I9: nothing of a transaction that was given up or fenced is read; what was read once
//! stays, and stays the same.

use std::collections::HashMap;

use super::facts::{Facts, words};
use super::verdict::{Findings, Invariant};

/// Checks them.
pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut known: HashMap<_, &str> = HashMap::new();
    for (at, (seen, _)) in &facts.results {
        known.insert(*at, &seen.digest);
    }
    for (at, seen) in &facts.inputs {
        known.insert(*at, &seen.digest);
    }
    for (_, seen) in &facts.live {
        match known.get(&seen.at) {
            Some(digest) if *digest != seen.digest => {
                let case = || format!("{}, seen by {}", seen.at, seen.reader);
                findings.add(Invariant::I7, "an event is another one now", case);
            }
            None if facts.frozen => {
                let case = || match &seen.origin {
                    Some(origin) => format!("{}, seen by {}", words(seen, origin), seen.reader),
                    None => format!("{}, seen by {}", seen.at, seen.reader),
                };
                findings.add(Invariant::I7, "what a reader saw is not there any more", case);
            }
            _ => {}
        }
    }
    if facts.abandoned.is_empty() {
        return;
    }
    let live = facts.live.iter().filter_map(|(_, seen)| Some((*seen, seen.origin.as_ref()?)));
    for (seen, origin) in facts.results.values().copied().chain(live) {
        let transaction = origin.transaction.as_deref();
        if transaction.is_some_and(|name| facts.abandoned.contains(name)) {
            findings.add(Invariant::I7, "a result of a transaction that was given up", || {
                words(seen, origin)
            });
        }
    }
    check_zombies(facts, findings);
}

/// Sessions number their transactions. One that was overtaken in a partition, by another session
/// of the same worker slot, must not write there again: that one was fenced.
fn check_zombies(facts: &Facts<'_>, findings: &mut Findings) {
    // By slot and by the partition of the input: the sessions that wrote, in their order.
    let mut writers: HashMap<_, Vec<&str>> = HashMap::new();
    let mut results: Vec<_> = facts.results.values().collect();
    results.sort_by_key(|(_, origin)| &origin.source);
    for (seen, origin) in results {
        let Some(session) = origin.transaction.as_deref().and_then(session) else { continue };
        let Some((slot, _)) = session.rsplit_once('/') else { continue };
        let source = &origin.source.0;
        let order = writers.entry((slot, &source.topic, source.partition)).or_default();
        if order.last() == Some(&session) {
            continue;
        }
        if order.contains(&session) {
            findings.add(Invariant::I9, "a session wrote after another of its slot did", || {
                words(seen, origin)
            });
        }
        order.push(session);
    }
}

/// `host/slot/nonce` of `host/slot/nonce-number`.
fn session(transaction: &str) -> Option<&str> {
    transaction.rsplit_once('-').map(|(session, _)| session)
}
