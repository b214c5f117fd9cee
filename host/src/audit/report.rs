//! What is said of a run: each promise in words and how often it was broken, how much was looked at,
//! how long recoveries took, and the verdict. Plain data, with a JSON form that is kept.

use serde::Serialize;

use super::history::{Entry, Record, Run};
use super::oracle::{self, Invariant, Totals, Violation};
use super::recovery::{Recovery, recoveries};
use super::site::Kept;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// What is said of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this form, 1.
    pub version: u32,
    /// Whether every promise was kept.
    pub kept: bool,
    /// The same in words.
    pub verdict: String,
    /// What the run was about.
    pub run: Option<Run>,
    /// Each promise.
    pub promises: Vec<PromiseLine>,
    /// How much was looked at.
    pub totals: Totals,
    /// How often hosts were given partitions; absent when a history is judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalances: Option<usize>,
    /// How long events waited after the faults.
    pub recovery: Vec<Recovery>,
    /// What the results were compared with.
    pub model: Model,
    /// What was broken, with evidence.
    pub violations: Vec<Violation>,
    /// What was left where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// What a run leaves behind.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// Its history.
    pub history: std::path::PathBuf,
    /// Its topics.
    #[serde(flatten)]
    pub site: Kept,
}

/// What the results were compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// Inputs whose results are known beforehand.
    pub expects: usize,
    /// Why there is no model, when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
}

/// A promise, and how it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromiseLine {
    /// Which one.
    pub promise: Promise,
    /// In words.
    pub means: &'static str,
    /// How much was looked at.
    pub checked: usize,
    /// How often it was broken.
    pub broken: usize,
}

/// What whoever owns the events is promised, named by how it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Every event has its results.
    Lost,
    /// And has them once.
    Repeated,
    /// All of them, or none.
    Torn,
    /// In the order of the events.
    Reordered,
    /// And they are what the handler makes.
    Wrong,
    /// What was given up, or fenced, is not there.
    Aborted,
    /// Offsets are true.
    Offsets,
    /// No transaction mixes revisions.
    Revisions,
    /// The hosts get done.
    Unfinished,
}

impl Promise {
    const ALL: [Self; 9] = [
        Self::Lost,
        Self::Repeated,
        Self::Torn,
        Self::Reordered,
        Self::Wrong,
        Self::Aborted,
        Self::Offsets,
        Self::Revisions,
        Self::Unfinished,
    ];

    /// The promise that a violation breaks.
    fn broken_by(violation: &Violation) -> Self {
        match (violation.invariant, &*violation.summary) {
            (
                Invariant::I1 | Invariant::I2,
                "some results of an input are missing"
                | "an input without its results"
                | "an acknowledged input is not in the log",
            ) => Self::Lost,
            (Invariant::I1 | Invariant::I11, _) => Self::Wrong,
            (Invariant::I2, _) => Self::Repeated,
            (Invariant::I3, _) => Self::Torn,
            (Invariant::I4, _) => Self::Reordered,
            (Invariant::I5 | Invariant::I6, _) => Self::Offsets,
            (Invariant::I7 | Invariant::I9, _) => Self::Aborted,
            (Invariant::I10, _) => Self::Revisions,
            (Invariant::I8 | Invariant::I12, _) => Self::Unfinished,
        }
    }

    fn means(self) -> &'static str {
        match self {
            Self::Lost => "every event has its outputs or its dead letter",
            Self::Repeated => "and has them once",
            Self::Torn => "all outputs of an event are there, or none",
            Self::Reordered => "outputs keep the order of their events",
            Self::Wrong => "outputs are what the handler makes of the event",
            Self::Aborted => "nothing that was given up or fenced is read",
            Self::Offsets => "offsets say what was handled, and never go back",
            Self::Revisions => "a transaction is of one revision",
            Self::Unfinished => "when the faults are over, everything is handled",
        }
    }

    fn checked(self, totals: &Totals, model: &Model) -> usize {
        let results = totals.outputs + totals.dead_letters;
        match self {
            Self::Lost | Self::Repeated | Self::Unfinished => totals.inputs,
            Self::Torn | Self::Reordered => results,
            Self::Wrong => model.expects,
            Self::Aborted => totals.reads,
            Self::Offsets => totals.offset_samples,
            Self::Revisions => totals.transactions,
        }
    }
}

impl Report {
    /// Judges a history.
    pub fn of(history: &[Entry]) -> Self {
        let verdict = oracle::check(history);
        let expects =
            history.iter().filter(|entry| matches!(entry.record, Record::Expected(_))).count();
        let run = history.iter().find_map(|entry| match &entry.record {
            Record::Run(run) => Some(run.clone()),
            _ => None,
        });
        let none = (expects == 0).then(|| "the history has no model".to_owned());
        let model = Model { expects, none };
        let promises: Vec<_> =
            Promise::ALL.into_iter().map(|promise| line(promise, &verdict, &model)).collect();
        let broken = promises.iter().filter(|line| line.broken > 0).count();
        Self {
            version: VERSION,
            kept: verdict.is_clean(),
            verdict: match broken {
                0 => "kept every promise".to_owned(),
                1 => "broke 1 promise".to_owned(),
                more => format!("broke {more} promises"),
            },
            run,
            promises,
            totals: verdict.totals,
            rebalances: None,
            recovery: recoveries(history),
            model,
            violations: verdict.violations,
            left: None,
        }
    }
}

fn line(promise: Promise, verdict: &oracle::Verdict, model: &Model) -> PromiseLine {
    let of = |violation: &&Violation| Promise::broken_by(violation) == promise;
    PromiseLine {
        promise,
        means: promise.means(),
        checked: promise.checked(&verdict.totals, model),
        broken: verdict.violations.iter().filter(of).map(|violation| violation.count).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(invariant: Invariant, summary: &str) -> Violation {
        Violation { invariant, summary: summary.to_owned(), count: 1, evidence: Vec::new() }
    }

    #[test]
    fn lost_and_repeated_are_told_apart() {
        for (invariant, summary, promise) in [
            (Invariant::I2, "an input without its results", Promise::Lost),
            (Invariant::I2, "an input with more than its results", Promise::Repeated),
            (Invariant::I1, "some results of an input are missing", Promise::Lost),
            (Invariant::I1, "outputs that the handler does not make", Promise::Wrong),
            (Invariant::I8, "an input was not handled", Promise::Unfinished),
        ] {
            assert_eq!(Promise::broken_by(&violation(invariant, summary)), promise, "{summary}");
        }
    }

    #[test]
    fn an_empty_history_proves_nothing() {
        let report = Report::of(&[]);
        assert!(!report.kept);
        assert_eq!(report.verdict, "broke 1 promise");
    }
}
