//! One instance at work: an event in, outputs or a failure out.
//!
//! A fault costs the instance: the next call gets a fresh one. What a handler reports itself does
//! not.

use std::sync::Arc;

use anyhow::bail;

use super::bindings::{event_handler, fallible_event_handler, types};
use super::fault;
use super::log_lines::LogLines;
use super::program::{Live, Parts};
use crate::event::{Consumed, Header};
use crate::failpoint;
use crate::handler::{Failure, FailureKind, Instances, Output};

/// An instance of a handler's component, for one worker.
pub struct Instance {
    parts: Arc<Parts>,
    /// Where its guests' lines go.
    log: Arc<LogLines>,
    /// `None` after a fault, and between events that each get their own.
    live: Option<Live>,
    /// Kept for its allocation; empty between calls.
    headers: Vec<types::HeaderParam<'static>>,
    /// The linear memory that the last call left behind.
    memory: usize,
}

/// The function to call.
pub(super) enum Guest {
    Infallible(event_handler::Guest),
    Fallible(fallible_event_handler::Guest),
}

impl Instance {
    pub(super) fn new(parts: Arc<Parts>, log: Arc<LogLines>, live: Live) -> Self {
        let memory = live.memory();
        Self { parts, log, live: Some(live), headers: Vec::new(), memory }
    }

    /// Calls the handler with one event. The thread must have [`super::native_stack`] bytes of
    /// stack and must not be driving an async runtime.
    ///
    /// The outer error says that no instance could be made, or that the call was interrupted:
    /// that is not the event's fault, and another call may succeed.
    pub fn handle(&mut self, input: &Consumed) -> anyhow::Result<Result<Vec<Output>, Failure>> {
        let live = match &mut self.live {
            Some(live) => live,
            none => none.insert(self.parts.start(&self.log)?),
        };
        let (headers, result) =
            call(&self.parts, live, recycle(std::mem::take(&mut self.headers)), input);
        self.headers = recycle(headers);
        self.memory = live.memory();
        let faulted = result.as_ref().is_err_and(|failure| failure.kind.is_fault());
        let reused = faulted && failpoint::mutant("mutant-reuse-faulted");
        if (faulted || self.parts.handler.instances == Instances::PerEvent) && !reused {
            self.live = None;
        }
        if faulted && self.parts.interrupted() {
            bail!("the call was interrupted, because the host stops");
        }
        Ok(result)
    }

    /// The linear memory, in bytes, that the instance had at the end of the last call, also when
    /// the call has cost it. Memory only grows, so within a call there was never more.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Drops the instance's state; the next call gets a fresh instance.
    pub fn discard(&mut self) {
        if failpoint::mutant("mutant-reuse-faulted") {
            return;
        }
        self.live = None;
    }
}

/// Calls the guest and hands the list of headers back, for its allocation.
fn call<'a>(
    parts: &'a Parts,
    live: &mut Live,
    mut headers: Vec<types::HeaderParam<'a>>,
    input: &'a Consumed,
) -> (Vec<types::HeaderParam<'a>>, Result<Vec<Output>, Failure>) {
    let event = &input.event;
    headers.extend(event.headers.iter().map(|header| types::HeaderParam {
        name: &header.name,
        value: header.value.as_deref().unwrap_or_default(),
    }));
    let topic = parts.handler.called(&event.topic);
    let param = types::EventParam {
        topic: Some(topic),
        key: event.key.as_deref(),
        value: event.value.as_deref(),
        headers: &headers,
        timestamp_ms: event.timestamp_ms,
        source: Some(types::SourceParam {
            topic,
            // Never negative: the types are Kafka's.
            partition: input.partition.cast_unsigned(),
            offset: input.offset.cast_unsigned(),
        }),
    };
    let store = &mut live.store;
    store.set_epoch_deadline(parts.call_ticks);
    store.data_mut().clock.start(parts.call_ticks);
    let result = match &live.guest {
        Guest::Infallible(guest) => guest.call_handle(&mut *store, param).map(Ok),
        Guest::Fallible(guest) => guest.call_handle(&mut *store, param),
    };
    let said = live.output.end_call();
    let result = match result {
        Ok(Ok(outputs)) => Ok(outputs.into_iter().map(output).collect()),
        Ok(Err(types::Failure::Permanent(message))) => {
            Err(Failure::new(FailureKind::Permanent, message))
        }
        Ok(Err(types::Failure::Retryable(message))) => {
            Err(Failure::new(FailureKind::Retryable, message))
        }
        Err(error) => {
            let took = store.data().clock.elapsed();
            let call = fault::Call { limits: &parts.handler.limits, said: &said, took };
            Err(fault::classify(&error, &call))
        }
    };
    (headers, result)
}

fn output(event: types::EventResult) -> Output {
    Output {
        topic: event.topic,
        key: event.key,
        value: event.value,
        headers: event
            .headers
            .into_iter()
            .map(|header| Header { name: header.name, value: Some(header.value) })
            .collect(),
        timestamp_ms: event.timestamp_ms,
    }
}

/// The same allocation for borrows of another lifetime: collecting an emptied vector of the same
/// layout keeps it.
fn recycle<'to>(mut headers: Vec<types::HeaderParam<'_>>) -> Vec<types::HeaderParam<'to>> {
    headers.clear();
    headers.into_iter().map(|_| types::HeaderParam { name: "", value: &[] }).collect()
}
