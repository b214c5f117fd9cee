//! Puts the properties of a handler to the test, with events made of its own cases.
//!
//! A property fails on a fault, which is the host's verdict: a trap, a limit, a forbidden topic.
//! What the handler itself calls a failure is an answer like any other.

mod variants;

use std::time::{Duration, Instant};

use super::case::Case;
use super::diff;
use super::expectation::{Expectation, Output};
use super::play::{Cost, Player};
use super::shown::{Shown, pretty};
use crate::event::Consumed;
use crate::handler::{Failure, FailureKind, Handler, Instances};
use crate::property::Property;
use crate::wasm::Program;
use variants::Variant;
pub(super) use variants::plain;

/// What a property may take once it has tried something.
const BUDGET: Duration = Duration::from_millis(500);
/// The same for the one that just goes on and on.
const ENDURANCE: Duration = Duration::from_millis(300);
/// Events after which it has gone on for long enough.
const ENDURANCE_EVENTS: usize = 10_000;
/// Events that variants are made of.
const INPUTS: usize = 20;

/// What the properties of one handler are tested with.
pub(super) struct Bench<'a> {
    program: &'a Program,
    /// Events that make sense to the handler, at least one.
    inputs: Vec<Consumed>,
    seed: u64,
}

/// What is wrong, if anything, and what the calls have taken.
pub(super) type Verdict = (Option<String>, Cost);

type Handled = Result<Vec<Output>, Failure>;

impl<'a> Bench<'a> {
    /// Takes the inputs of the cases, without those that are meant to be faults; or else the
    /// sample, which is a value; or else something small.
    pub(super) fn new(
        program: &'a Program,
        cases: &[Case],
        sample: Option<Vec<u8>>,
        seed: u64,
    ) -> Self {
        let mut inputs: Vec<Consumed> = Vec::new();
        for step in cases.iter().flat_map(|case| &case.steps) {
            let meant_to_fault = matches!(
                &step.expected,
                Some(Expectation::Failure(failure)) if failure.kind.is_none_or(FailureKind::is_fault)
            );
            if !meant_to_fault {
                inputs.extend(step.inputs.iter().cloned());
            }
        }
        inputs.truncate(INPUTS);
        if inputs.is_empty() {
            inputs.push(variants::plain(program.handler(), sample));
        }
        Self { program, inputs, seed }
    }

    /// Tests one property.
    pub(super) fn test(&self, property: Property) -> anyhow::Result<Verdict> {
        let inputs = self.inputs.as_slice();
        match property {
            Property::Deterministic => self.deterministic(),
            Property::NullKey => self.no_fault(inputs.iter().map(variants::without_key)),
            Property::Tombstone => self.no_fault(inputs.iter().map(variants::tombstone)),
            Property::EmptyValue => self.no_fault(inputs.iter().map(variants::empty)),
            Property::MaximumSize => {
                let size = variants::maximum_size(self.handler());
                self.no_fault(variants::enlarged(inputs, size))
            }
            Property::RandomBytes => self.no_fault(variants::random(inputs, self.seed)),
            Property::StaysInLimits => self.endurance(),
        }
    }

    fn handler(&self) -> &Handler {
        self.program.handler()
    }

    /// All of these on one instance, as on a host.
    fn no_fault(&self, variants: impl Iterator<Item = Variant>) -> anyhow::Result<Verdict> {
        let begun = Instant::now();
        let mut player = Player::new(self.program)?;
        for variant in variants {
            if let Err(failure) = player.handle(&variant.input)?
                && failure.kind.is_fault()
            {
                let text = fault(&variant.what, &failure, &variant.input);
                return Ok((Some(text + &player.told()), player.cost()));
            }
            if begun.elapsed() > BUDGET {
                break;
            }
        }
        Ok((None, player.cost()))
    }

    fn endurance(&self) -> anyhow::Result<Verdict> {
        let begun = Instant::now();
        let mut player = Player::new(self.program)?;
        for (number, input) in self.inputs.iter().cycle().take(ENDURANCE_EVENTS).enumerate() {
            if let Err(failure) = player.handle(input)?
                && failure.kind.is_fault()
            {
                let what = match number {
                    0 => "the first event on an instance".to_owned(),
                    _ => format!("after {number} events on one instance, the next one"),
                };
                let text = fault(&what, &failure, input);
                return Ok((Some(text + &player.told()), player.cost()));
            }
            if begun.elapsed() > ENDURANCE {
                break;
            }
        }
        Ok((None, player.cost()))
    }

    /// Twice on fresh instances, and twice on the same one: an event may be handled again on an
    /// instance that has seen it, or on another.
    fn deterministic(&self) -> anyhow::Result<Verdict> {
        let begun = Instant::now();
        let mut cost = Cost::default();
        for input in &self.inputs {
            let mut player = Player::new(self.program)?;
            let first = player.handle(input)?;
            let again = player.handle(input)?;
            cost = cost.and(player.cost());
            drop(player);
            let mut player = Player::new(self.program)?;
            let fresh = player.handle(input)?;
            cost = cost.and(player.cost());
            let difference = if differ(&first, &fresh) {
                Some(("two fresh instances answer the same event differently", &fresh, CHANCE))
            } else if differ(&first, &again) && self.handler().instances == Instances::Reused {
                Some((
                    "an instance answers the same event differently the second time",
                    &again,
                    STATE,
                ))
            } else {
                None
            };
            if let Some((what, other, hint)) = difference {
                let lines = diff::lines(&shown(&first), &shown(other));
                let text = format!(
                    "{what}: - first, + second\n\n{lines}\n\n{hint}\n\n{}",
                    shown_input(input)
                );
                return Ok((Some(text), cost));
            }
            if begun.elapsed() > BUDGET {
                break;
            }
        }
        Ok((None, cost))
    }
}

const CHANCE: &str = "\
Look for a clock, random numbers, or the order of a hash map. An event is handled again when a
transaction is aborted, and its outputs should be the same.";

const STATE: &str = "\
The handler keeps something from one event to the next. An event is handled again when a
transaction is aborted, on an instance that may or may not have seen it. If that is as it should
be, write skip = [\"deterministic\"] below [test] in handler.toml.";

/// Whether the outputs or the dead letter would be others. The message of a retryable failure may
/// tell the time, and that of a fault is the host's.
fn differ(one: &Handled, other: &Handled) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one != other,
        (Err(one), Err(other)) => {
            one.kind != other.kind
                || one.kind == FailureKind::Permanent && one.message != other.message
        }
        _ => true,
    }
}

fn shown(handled: &Handled) -> String {
    match handled {
        Ok(outputs) => pretty(&outputs.iter().map(Output::shown).collect::<Vec<_>>()),
        Err(Failure { kind, message, .. }) => format!("{kind}: {message}"),
    }
}

fn fault(what: &str, failure: &Failure, input: &Consumed) -> String {
    format!("{what} is a fault: {}\n\n{}", failure.explained(), shown_input(input))
}

/// An event that somebody may want to make a case of, unless nobody could read it.
fn shown_input(input: &Consumed) -> String {
    /// Bytes that anybody reads.
    const READABLE: usize = 4 << 10;
    if input.event.size() > READABLE {
        return format!("the event has {} bytes, too many to be shown", input.event.size());
    }
    format!(
        "the event, for the in.json of a case:\n\n{}",
        diff::readable(&pretty(&Shown::input(input)))
    )
}
