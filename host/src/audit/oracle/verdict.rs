//! What the oracle says: violations with their evidence, and how much was looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// What must hold; the numbers are those of the project's fault matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// The results are those of the model, as a multiset.
    I1,
    /// Each input has exactly one of outputs and dead letter.
    I2,
    /// All outputs of an input are visible, or none.
    I3,
    /// The results of a source partition keep its order.
    I4,
    /// The committed offset says exactly which inputs have results.
    I5,
    /// Committed offsets never go back.
    I6,
    /// Nothing of an aborted transaction is read.
    I7,
    /// When the faults are over everything is handled and readable.
    I8,
    /// Nothing that a fenced host did is read.
    I9,
    /// One transaction is of one revision.
    I10,
    /// Both logs give the same results.
    I11,
    /// What a host uses is bounded.
    I12,
}

impl Invariant {
    /// What a violation of it means to whoever owns the events.
    pub fn means(self) -> &'static str {
        match self {
            Self::I1 => "lost or wrong results",
            Self::I2 => "lost or repeated events",
            Self::I3 => "torn fan-out",
            Self::I4 => "reordered events",
            Self::I5 => "offsets and results disagree",
            Self::I6 => "offsets went back",
            Self::I7 => "aborted records were read",
            Self::I8 => "not everything was handled",
            Self::I9 => "a fenced host's work was read",
            Self::I10 => "two revisions in one transaction",
            Self::I11 => "the logs differ",
            Self::I12 => "a host used too much",
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// In which way.
    pub summary: String,
    /// How often.
    pub count: usize,
    /// The first cases: events, offsets, transactions, revisions.
    pub evidence: Vec<String>,
}

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Events in the source topics.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// Dead letters.
    pub dead_letters: usize,
    /// Inputs that the model says become nothing.
    pub filtered: usize,
    /// Transactions that results name.
    pub transactions: usize,
    /// Transactions that hosts gave up.
    pub abandoned: usize,
    /// Revisions that results name.
    pub revisions: usize,
    /// Faults, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Events that readers saw during the run.
    pub reads: usize,
    /// Committed offsets that were looked at.
    pub offset_samples: usize,
}

/// What the oracle says of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The promises that were broken; none in a run that kept them all.
    pub violations: Vec<Violation>,
    /// How much was looked at.
    pub totals: Totals,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, summary, count, evidence } = self;
        write!(f, "{invariant:?}, {}: {summary} ({count})", invariant.means())?;
        evidence.iter().try_for_each(|line| write!(f, "\n    {line}"))?;
        match count - evidence.len() {
            0 => Ok(()),
            more => write!(f, "\n    and {more} more"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let Totals { inputs, outputs, dead_letters, transactions, faults, .. } = &self.totals;
        let faults: usize = faults.values().sum();
        write!(
            f,
            "{}: {inputs} inputs, {outputs} outputs, {dead_letters} dead letters, \
             {transactions} transactions, {faults} faults",
            if self.is_clean() { "every promise was kept" } else { "promises were broken" }
        )
    }
}

/// Violations in the making: cases of the same kind are one violation.
#[derive(Default)]
pub(super) struct Findings(BTreeMap<(Invariant, &'static str), (usize, Vec<String>)>);

/// So many cases of a kind are shown; the others are counted.
const SHOWN: usize = 10;

impl Findings {
    /// Adds a case.
    pub(super) fn add(
        &mut self,
        invariant: Invariant,
        summary: &'static str,
        evidence: impl FnOnce() -> String,
    ) {
        let (count, shown) = self.0.entry((invariant, summary)).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            shown.push(evidence());
        }
    }

    /// What was found.
    pub(super) fn violations(self) -> Vec<Violation> {
        let violation = |((invariant, summary), (count, evidence)): ((_, &str), _)| Violation {
            invariant,
            summary: summary.to_owned(),
            count,
            evidence,
        };
        self.0.into_iter().map(violation).collect()
    }
}
