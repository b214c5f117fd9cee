//! The component itself is the model: what two fresh instances make of the same events, in opposite
//! order, is what the hosts must have made of them.
//!
//! A component whose instances do not agree is not deterministic, or keeps something from one event
//! to the next. Then nothing is expected of it, and only those promises are checked that need no
//! model: each input has its outputs or one dead letter, complete, once, in order, and so on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::history::{At, Content, Entry, Expected, Outcome, Record};
use super::observer::content_digest;
use crate::event::{Consumed, Event};
use crate::handler::{Failure, FailureKind};
use crate::log::{Log, ReadFrom};
use crate::runner::{Handled, Order, replay};
use crate::stop::Stop;
use crate::wasm::Program;

/// Events of one read.
const PORTION: usize = 5_000;
/// How long a read waits.
const WAIT: Duration = Duration::from_millis(200);
/// Failures that hang on the machine or the log, and not on the event alone.
const CIRCUMSTANCES: [FailureKind; 4] =
    [FailureKind::Deadline, FailureKind::Memory, FailureKind::Resources, FailureKind::Rejected];

/// A component that says what it makes of events.
pub(super) struct Model<'a> {
    program: &'a Program,
    stop: &'a Stop,
    /// What it was tried with before the run, and what it made of that.
    trial: Vec<Consumed>,
    tried: Vec<Handled>,
}

/// What a trial showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trial {
    /// Events that it was tried with.
    pub(super) events: usize,
    /// Of these, how many failed.
    pub(super) failed: usize,
    /// The first failure, with the event.
    pub(super) first: Option<String>,
}

/// What the model says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// This is what the hosts must have made of the inputs. Some are left out when their failure hung
    /// on circumstances.
    Expects(Vec<Expected>),
    /// It has none, for this reason.
    None(String),
}

impl<'a> Model<'a> {
    /// Tries the component with these events, in the topics of the run.
    pub(super) fn new(
        program: &'a Program,
        trial: Vec<Event>,
        stop: &'a Stop,
    ) -> anyhow::Result<Self> {
        let consumed = |(offset, event): (i64, Event)| Consumed {
            event: Event { timestamp_ms: Some(0), ..event },
            partition: 0,
            offset,
        };
        let trial: Vec<_> = (0..).zip(trial).map(consumed).collect();
        let tried = replay(program, &trial, Order::Forward, stop)?;
        Ok(Self { program, stop, trial, tried })
    }

    /// What the trial showed.
    pub(super) fn trial(&self) -> Trial {
        let mut trial = Trial { events: self.trial.len(), ..Trial::default() };
        for (input, handled) in self.trial.iter().zip(&self.tried) {
            let Err(failure) = handled else { continue };
            trial.failed += 1;
            trial.first.get_or_insert_with(|| {
                let value = input.event.value.as_deref().map(String::from_utf8_lossy);
                let value: String = value.unwrap_or_default().chars().take(100).collect();
                format!("{}: {}, for {value:?}", failure.kind, failure.message)
            });
        }
        trial
    }

    /// What it makes of the inputs of a run. The trial is made again first: what depends on the time
    /// shows then, and not only what depends on chance.
    pub(super) fn opinion(
        &self,
        inputs: &[Consumed],
        history: &[Entry],
    ) -> anyhow::Result<Opinion> {
        let again = replay(self.program, &self.trial, Order::Backward, self.stop)?;
        if let Some(reason) = difference(&self.trial, &self.tried, &again) {
            return Ok(Opinion::None(reason));
        }
        let forward = replay(self.program, inputs, Order::Forward, self.stop)?;
        let backward = replay(self.program, inputs, Order::Backward, self.stop)?;
        if let Some(reason) = difference(inputs, &forward, &backward) {
            return Ok(Opinion::None(reason));
        }
        let circumstances = circumstances(history);
        let mut expected = Vec::with_capacity(inputs.len());
        for ((input, one), other) in inputs.iter().zip(&forward).zip(&backward) {
            let source = At(input.position());
            if circumstances.contains(&source) || hangs_on_them(one) || hangs_on_them(other) {
                continue;
            }
            expected.push(Expected { source, result: outcome(one) });
        }
        Ok(Opinion::Expects(expected))
    }
}

/// Where the two did not make the same of an event.
fn difference(inputs: &[Consumed], one: &[Handled], other: &[Handled]) -> Option<String> {
    let pairs = inputs.iter().zip(one.iter().zip(other));
    let mut differing = pairs.filter(|(_, (one, other))| {
        !hangs_on_them(one) && !hangs_on_them(other) && outcome(one) != outcome(other)
    });
    let (input, (one, other)) = differing.next()?;
    let id = input.event.headers.iter().rfind(|header| header.name == super::observer::ID_HEADER);
    let id = id.and_then(|header| header.value.as_deref()).map(String::from_utf8_lossy);
    Some(format!(
        "two instances of the component made different things of event {}: {} and {}",
        id.unwrap_or_default(),
        words(one),
        words(other)
    ))
}

fn words(handled: &Handled) -> String {
    match handled {
        Ok(outputs) => {
            let digests: Vec<_> = outputs.iter().map(content_digest).collect();
            format!("{} outputs [{}]", outputs.len(), digests.join(", "))
        }
        Err(Failure { kind, .. }) => format!("a failure ({kind})"),
    }
}

fn hangs_on_them(handled: &Handled) -> bool {
    handled.as_ref().is_err_and(|failure| CIRCUMSTANCES.contains(&failure.kind))
}

fn outcome(handled: &Handled) -> Outcome {
    match handled {
        Ok(outputs) => Outcome::Outputs(outputs.iter().map(content).collect()),
        Err(failure) => Outcome::DeadLetter(failure.kind.to_string()),
    }
}

fn content(event: &Event) -> Content {
    Content { topic: Arc::clone(&event.topic), digest: content_digest(event) }
}

/// The inputs whose dead letters say that circumstances were the reason.
fn circumstances(history: &[Entry]) -> HashSet<At> {
    let source = |entry: &Entry| {
        let Record::Seen(seen) = &entry.record else { return None };
        let origin = seen.origin.as_ref()?;
        let failure = origin.failure.as_deref()?;
        let hangs = CIRCUMSTANCES.iter().any(|kind| kind.as_str() == failure);
        hangs.then(|| origin.source.clone())
    };
    history.iter().filter_map(source).collect()
}

/// Everything in these topics.
pub(super) fn inputs(log: &dyn Log, topics: &[Arc<str>]) -> anyhow::Result<Vec<Consumed>> {
    let mut inputs = Vec::new();
    for topic in topics {
        let mut reader = log.reader(topic, ReadFrom::Earliest)?;
        while !reader.at_end() {
            let read = reader.read(PORTION, WAIT);
            inputs.extend(read.with_context(|| format!("failed to read topic {topic:?}"))?);
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Header;

    fn input(offset: i64) -> Consumed {
        let event = Event {
            topic: "in".into(),
            key: None,
            value: Some(b"v".to_vec()),
            headers: vec![Header::text(super::super::observer::ID_HEADER, "00000007")],
            timestamp_ms: Some(1),
        };
        Consumed { event, partition: 0, offset }
    }

    fn failure(kind: FailureKind) -> Handled {
        Err(Failure::new(kind, "no"))
    }

    #[test]
    fn instances_that_do_not_agree_are_named_with_the_event() {
        let inputs = [input(0), input(1)];
        let same = [Ok(vec![input(0).event]), failure(FailureKind::Permanent)];
        assert_eq!(difference(&inputs, &same, &same), None);
        let other = [Ok(vec![]), failure(FailureKind::Permanent)];
        let reason = difference(&inputs, &same, &other).unwrap();
        assert!(reason.contains("event 00000007: 1 outputs"), "{reason}");
        assert!(reason.contains("and 0 outputs"), "{reason}");
    }

    #[test]
    fn what_hangs_on_circumstances_is_no_disagreement() {
        let one = [Ok(vec![input(0).event])];
        let late = [failure(FailureKind::Deadline)];
        assert_eq!(difference(&[input(0)], &one, &late), None);
        let trap = [failure(FailureKind::Trap)];
        assert!(difference(&[input(0)], &one, &trap).is_some());
    }
}
