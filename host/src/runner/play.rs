//! Events through an instance as a worker would hand them over: the same sandbox, the same limits
//! and routes, no log. Measures what it takes.

use std::time::{Duration, Instant};

use super::expectation::{Answer, Output};
use crate::event::{Consumed, Event};
use crate::handler::{
    Failure, HANDLER_HEADER, Handler, OUTPUT_HEADER, SOURCE_HEADER, TRANSACTION_HEADER,
};
use crate::wasm::{Instance, KeptLines, Program};

/// One instance at work for one test.
pub(super) struct Player<'a> {
    handler: &'a Handler,
    instance: Instance,
    lines: KeptLines,
    cost: Cost,
}

/// What calls have taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// The time of all calls together.
    pub(super) time: Duration,
    /// The most linear memory after any call, in bytes.
    pub(super) memory: usize,
}

impl Cost {
    /// What two instances have taken, one after the other.
    pub(super) fn and(self, other: Self) -> Self {
        Self { time: self.time + other.time, memory: self.memory.max(other.memory) }
    }
}

impl<'a> Player<'a> {
    /// A fresh instance.
    pub(super) fn new(program: &'a Program) -> anyhow::Result<Self> {
        let lines = KeptLines::default();
        let instance = program.instantiate_keeping(&lines)?;
        let cost = Cost { memory: instance.memory(), ..Cost::default() };
        Ok(Self { handler: program.handler(), instance, lines, cost })
    }

    /// Hands one event over and routes what comes back. The outer error is the host's.
    pub(super) fn handle(
        &mut self,
        input: &Consumed,
    ) -> anyhow::Result<Result<Vec<Output>, Failure>> {
        let begun = Instant::now();
        let handled = self.instance.handle(input)?;
        self.cost.time += begun.elapsed();
        self.cost.memory = self.cost.memory.max(self.instance.memory());
        let routed = handled.and_then(|outputs| self.handler.route(input, outputs));
        if routed.as_ref().is_err_and(|failure| failure.kind.is_fault()) {
            // As a worker does: an instance that broke a rule is not used again.
            self.instance.discard();
        }
        let output = |event: Event| Output {
            own_timestamp: event.timestamp_ms != input.event.timestamp_ms,
            event: without_provenance(event),
        };
        Ok(routed.map(|events| events.into_iter().map(output).collect()))
    }

    /// Hands several events over, one after the other, until one fails.
    pub(super) fn handle_all(&mut self, inputs: &[Consumed]) -> anyhow::Result<Answer> {
        let mut outputs = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            match self.handle(input)? {
                Ok(more) => outputs.extend(more),
                Err(failure) => return Ok(Answer::Failure(index, failure)),
            }
        }
        Ok(Answer::Outputs(outputs))
    }

    /// What it has taken so far.
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// What the handler has written since this was asked last, as a text to follow a problem;
    /// empty when it was nothing.
    pub(super) fn told(&self) -> String {
        match self.lines.take() {
            lines if lines.is_empty() => String::new(),
            lines => format!("\n\nthe handler wrote:\n\n  {}", lines.join("\n  ")),
        }
    }
}

/// Whether a header says where an event comes from, which no test compares.
pub(super) fn is_provenance(name: &str) -> bool {
    [HANDLER_HEADER, SOURCE_HEADER, TRANSACTION_HEADER, OUTPUT_HEADER].contains(&name)
}

fn without_provenance(mut event: Event) -> Event {
    event.headers.retain(|header| !is_provenance(&header.name));
    event
}
