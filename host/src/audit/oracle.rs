//! Whether a run kept the promises: twelve invariants, checked on nothing but its history.
//!
//! Pure: the same history always gets the same verdict. A violation names the events, offsets,
//! transactions and revisions that show it. Each check is a file of its own; what they all look
//! things up in is `facts`.

mod differential;
mod facts;
mod offsets;
mod order;
mod results;
mod siblings;
#[cfg(test)]
mod tests;
mod verdict;
mod visibility;

pub use differential::compare;
pub use verdict::{Invariant, Totals, Verdict, Violation};

use super::history::Entry;
use facts::Facts;
use verdict::Findings;

/// Judges a history.
pub fn check(history: &[Entry]) -> Verdict {
    let facts = Facts::of(history);
    let mut findings = Findings::default();
    results::check(&facts, &mut findings);
    siblings::check(&facts, &mut findings);
    order::check(&facts, &mut findings);
    offsets::check(&facts, &mut findings);
    visibility::check(&facts, &mut findings);
    Verdict { violations: findings.violations(), totals: facts.totals() }
}
