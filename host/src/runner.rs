//! Tests of handlers: runs the cases and the properties of one in the real sandbox, with the
//! limits and routes that a host gives it, and without any log.
//!
//! A case is a directory below the handler's `cases`; a property holds for a handler whatever it
//! does, and needs no author. Every case gets a fresh instance, and several run at once. Knows the
//! sandbox, handlers and events, and neither the log nor the terminal: what is wrong is told as
//! text without colours.

mod bless;
mod case;
mod diff;
mod expectation;
mod notation;
mod place;
mod play;
mod pool;
mod properties;
mod record;
mod replay;
mod samples;
mod shown;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::thread;
use std::time::Duration;

pub use record::record;
pub use replay::{Handled, Order, replay};
pub use samples::{read_events, samples};

use crate::handler::{Handler, Instances};
use crate::property::Property;
use crate::wasm::{self, Program};
use bless::Done;
use case::Case;
use expectation::Answer;
use play::{Cost, Player};
use pool::Task;
use properties::Bench;

/// A file of a handler's folder with a value to try it with.
const SAMPLE: &str = "sample.json";

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only what has this in its name, `handler/case`.
    pub filter: Option<String>,
    /// Whether what a handler does becomes what is expected.
    pub bless: bool,
    /// How many run at once; by default as many as there are processors.
    pub jobs: Option<usize>,
    /// Whether the cases are run.
    pub cases: bool,
    /// Whether the properties are tested.
    pub properties: bool,
    /// What random bytes are made of. The same seed makes the same bytes.
    pub seed: u64,
}

impl Default for Options {
    /// Everything, and nothing is written.
    fn default() -> Self {
        Self { filter: None, bless: false, jobs: None, cases: true, properties: true, seed: 0 }
    }
}

/// What came of the tests of one handler.
#[derive(Clone, Debug)]
pub struct Report {
    /// The handler's name.
    pub handler: String,
    /// Cases by name, then properties.
    pub results: Vec<CaseResult>,
}

/// What came of one case or property.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The name of the case's directory, or of the property.
    pub name: String,
    /// Which of the two.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// What the calls of the handler took together.
    pub time: Duration,
    /// The most linear memory that an instance held after a call, in bytes.
    pub memory: usize,
}

/// What was tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A case that the author wrote.
    Case,
    /// A property of every handler.
    Property,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected; the text says what is wrong, over several lines.
    Failed(String),
    /// Not run, for this reason.
    Skipped(String),
    /// Not as expected, and expected from now on.
    Blessed,
}

impl Report {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        !self.results.iter().any(CaseResult::failed)
    }

    /// What failed and why, for people, without colours. Empty when nothing did.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for result in &self.results {
            if let Outcome::Failed(reason) = &result.outcome {
                let gap = if text.is_empty() { "" } else { "\n" };
                text += &format!("{gap}{}/{}\n", self.handler, result.name);
                reason
                    .lines()
                    .for_each(|line| text += &format!("{}\n", format!("  {line}").trim_end()));
            }
        }
        text
    }
}

impl CaseResult {
    /// Whether it failed.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

/// Runs the cases and properties of the program's handler, whose folder this is. The error is a
/// case file that is wrong, named with place and fix, or the host's own trouble; a handler that
/// does not do what is expected of it is none.
pub fn run(program: &Program, folder: &Path, options: &Options) -> anyhow::Result<Report> {
    let handler = program.handler();
    let cases = case::load_all(handler, folder)?;
    let sample = std::fs::read(folder.join(SAMPLE)).ok();
    let bench = Bench::new(program, &cases, sample, options.seed);
    let chosen = |name: &str| {
        let name = format!("{}/{name}", handler.name);
        options.filter.as_ref().is_none_or(|filter| name.contains(filter))
    };
    let mut tasks: Vec<Task<'_, CaseResult>> = Vec::new();
    for case in cases.iter().filter(|case| options.cases && chosen(&case.name)) {
        tasks.push(Box::new(move || run_case(program, case, options.bless)));
    }
    for property in Property::ALL {
        if options.properties && chosen(property.as_str()) {
            let bench = &bench;
            tasks.push(Box::new(move || run_property(handler, bench, property)));
        }
    }
    let results = pool::run(jobs(handler, options), wasm::native_stack(handler), tasks)?;
    Ok(Report { handler: handler.name.clone(), results })
}

/// How many tests may run at once. A handler with an instance for each event has room for one a
/// worker.
fn jobs(handler: &Handler, options: &Options) -> usize {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or_else(processors);
    match handler.instances {
        Instances::Reused => jobs,
        Instances::PerEvent => jobs.min(handler.workers as usize),
    }
}

fn run_case(program: &Program, case: &Case, bless: bool) -> anyhow::Result<CaseResult> {
    let mut player = Player::new(program)?;
    let mut done = Vec::new();
    let mut problem = None;
    for (index, step) in case.steps.iter().enumerate() {
        let answer = player.handle_all(&step.inputs)?;
        let found = match &step.expected {
            Some(expected) => expectation::check(expected, &answer, step.inputs.len()),
            None => Some(unsaid(case, &answer, step.inputs.len())),
        };
        let told = player.told();
        let expected = found.is_none();
        if let (Some(found), None) = (found, &problem) {
            let place = if case.stepwise { format!("step {}: ", index + 1) } else { String::new() };
            problem = Some(format!("{place}{found}{told}"));
        }
        done.push(Done { answer, expected });
    }
    let outcome = match problem {
        None => Outcome::Passed,
        Some(problem) if bless => match unwritable(case, &done) {
            Some(reason) => Outcome::Failed(format!("{problem}\n\n{reason}")),
            None => {
                bless::accept(program.handler(), case, &done)?;
                Outcome::Blessed
            }
        },
        Some(problem) => Outcome::Failed(problem),
    };
    Ok(result(case.name.clone(), Kind::Case, outcome, player.cost()))
}

/// Nobody has said what is expected, so the author is shown what there is.
fn unsaid(case: &Case, answer: &Answer, inputs: usize) -> String {
    let place = if case.stepwise {
        "the step has neither \"out\" nor \"error\""
    } else {
        "there is neither an out.json nor an error.json"
    };
    let did = match answer {
        Answer::Outputs(outputs) => {
            format!("the handler returned {}", expectation::returned(outputs))
        }
        Answer::Failure(index, failure) => expectation::failed(*index, inputs, failure),
    };
    format!("{place}; `lockstep test --bless` writes down what the handler does:\n\n{did}")
}

/// Why what the handler did cannot become what is expected.
fn unwritable(case: &Case, done: &[Done]) -> Option<&'static str> {
    let early = case.steps.iter().zip(done).any(|(step, done)| {
        matches!(done.answer, Answer::Failure(index, _) if index + 1 < step.inputs.len())
    });
    early.then_some(
        "not blessed: only the last input of a step can be expected to fail; make the one that \
         fails a step of its own, {\"steps\": [{\"in\": …}, …]}",
    )
}

fn run_property(
    handler: &Handler,
    bench: &Bench<'_>,
    property: Property,
) -> anyhow::Result<CaseResult> {
    let name = property.to_string();
    if handler.test_skip.contains(&property) {
        let outcome = Outcome::Skipped("test.skip in handler.toml".to_owned());
        return Ok(result(name, Kind::Property, outcome, Cost::default()));
    }
    let (problem, cost) = bench.test(property)?;
    let outcome = problem.map_or(Outcome::Passed, Outcome::Failed);
    Ok(result(name, Kind::Property, outcome, cost))
}

fn result(name: String, kind: Kind, outcome: Outcome, cost: Cost) -> CaseResult {
    let outcome = match outcome {
        Outcome::Failed(reason) => Outcome::Failed(harmless(&reason)),
        outcome => outcome,
    };
    CaseResult { name, kind, outcome, time: cost.time, memory: cost.memory }
}

/// A text that may hold what a handler said, without what would steer a terminal.
fn harmless(text: &str) -> String {
    let reorders = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => harmless.push(c),
            c if c.is_control() || reorders(c) => harmless.extend(c.escape_default()),
            c => harmless.push(c),
        }
    }
    harmless
}
