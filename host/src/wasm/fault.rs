//! What went wrong in a call, as a [`Failure`] that tells the handler's author what happened,
//! which limit was in the way, and where in the guest.
//!
//! The message is the essence in one line: it becomes a header of the dead letter. What helps to
//! mend it, and the functions that were running, are the details, for the log and for tests.

use std::collections::VecDeque;
use std::time::Duration;

use bytesize::ByteSize;
use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::backtrace::{Backtrace, NO_NAMES};
use super::last_words::LastWords;
use super::limiter::LimitExceeded;
use crate::handler::{Failure, FailureKind, Limits};

/// The longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 2048;

/// What is known of a call that failed, beside its error.
pub(super) struct Call<'a> {
    /// The handler's limits.
    pub(super) limits: &'a Limits,
    /// What the guest wrote last on stderr.
    pub(super) said: &'a VecDeque<String>,
    /// How long it ran, to the tick.
    pub(super) took: Duration,
}

/// The error of a call as a failure.
pub(super) fn classify(error: &Error, call: &Call<'_>) -> Failure {
    let (kind, mut message) = verdict(error, call);
    if kind == FailureKind::Trap {
        match LastWords::of(call.said) {
            // That `unreachable` was executed is how a panic ends, and no news.
            Some(LastWords::Error(text)) => message = text,
            Some(LastWords::Lines(text)) => message = format!("{message}: {text}"),
            None => {}
        }
    }
    let backtrace = Backtrace::of(error);
    if let Some(functions) = backtrace.as_ref().and_then(Backtrace::in_line) {
        message.push_str("; in ");
        message.push_str(&functions);
    }
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    let mut details: Vec<_> = backtrace.iter().flat_map(Backtrace::lines).collect();
    details.extend(advice(kind, error).map(str::to_owned));
    Failure { kind, message, details: details.join("\n") }
}

/// How to go on, where the message alone does not say it.
fn advice(kind: FailureKind, error: &Error) -> Option<&'static str> {
    if error.is::<I32Exit>() {
        return Some("a handler returns instead of ending its process");
    }
    match kind {
        FailureKind::Memory => Some(
            "raise limits.memory in handler.toml if the handler needs more for one event; if it \
             grows from event to event, something keeps what it should drop",
        ),
        FailureKind::Deadline => Some(
            "raise limits.time in handler.toml if the work takes that long; otherwise look for a \
             loop or a wait without end",
        ),
        FailureKind::Stack => {
            Some("look for recursion without end; raise limits.stack in handler.toml if it has one")
        }
        _ => None,
    }
}

/// Why an instance could not be made, in one line. `given` is how long it might take.
pub(super) fn startup(error: &Error, call: &Call<'_>, given: Duration) -> String {
    let reason = reason(error);
    if reason.contains("instance count too high") {
        let limit = call.limits.instances;
        return format!(
            "it consists of more core instances than limits.instances = {limit}; raise it in \
             handler.toml"
        );
    }
    if !error.is::<WasmBacktrace>() && !error.is::<LimitExceeded>() {
        return reason;
    }
    let failure = classify(error, call);
    match failure.kind {
        FailureKind::Deadline => {
            format!("its initialisation took longer than {}", humantime::format_duration(given))
        }
        FailureKind::Memory | FailureKind::Resources => {
            format!("{}; raise the limit in handler.toml", failure.message)
        }
        _ if Backtrace::of(error).is_some_and(|backtrace| backtrace.lacks_names()) => {
            format!("{}; {NO_NAMES}", failure.message)
        }
        _ => failure.message,
    }
}

/// A wasmtime error that is not an event's fault.
pub(super) fn host_error(error: Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error.into_boxed_dyn_error())
}

/// What wasmtime itself says of an error, without the backtrace.
pub(super) fn reason(error: &Error) -> String {
    let causes: Vec<String> = error
        .chain()
        .map(ToString::to_string)
        .filter(|cause| !cause.starts_with("error while executing at wasm backtrace"))
        .collect();
    causes.join(": ")
}

fn verdict(error: &Error, call: &Call<'_>) -> (FailureKind, String) {
    let limits = call.limits;
    if let Some(limit) = error.downcast_ref::<LimitExceeded>() {
        return match limit {
            LimitExceeded::Memory(_) => (FailureKind::Memory, limit.to_string()),
            LimitExceeded::Tables(_) | LimitExceeded::Write { .. } => {
                (FailureKind::Resources, limit.to_string())
            }
            LimitExceeded::Deadline => {
                (FailureKind::Deadline, format!("{}, waiting in the host", too_long(call)))
            }
        };
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return (FailureKind::Trap, format!("called exit({status})"));
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return (FailureKind::Resources, "holds too many WASI resources".to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (FailureKind::Deadline, too_long(call)),
        Some(Trap::StackOverflow) => {
            let stack = ByteSize::b(limits.stack as u64);
            (FailureKind::Stack, format!("went deeper than limits.stack = {stack}"))
        }
        Some(trap) => {
            let text = trap.to_string();
            let text = text.strip_prefix("wasm trap: ").unwrap_or(&text);
            (FailureKind::Trap, format!("trapped: {text}"))
        }
        None => unnamed(error, limits),
    }
}

/// Errors of wasmtime that have no type of their own: known by their text, which tests hold to
/// the version in use.
fn unnamed(error: &Error, limits: &Limits) -> (FailureKind, String) {
    let reason = reason(error);
    if reason.contains("fuel allocated for hostcalls has been exhausted") {
        // Within a guest it was an argument of a WASI call; otherwise the outputs.
        return if error.is::<WasmBacktrace>() {
            (FailureKind::Resources, "passed too much to the host in one call".to_owned())
        } else {
            let bytes = ByteSize::b(limits.output_bytes as u64);
            let message = format!(
                "returned far more than limits.output_events = {} or limits.output_bytes = {bytes} \
                 allow",
                limits.output_events
            );
            (FailureKind::OversizedOutput, message)
        };
    }
    if let Some((_, asked)) = reason.split_once("requested len ") {
        let asked = asked.split(' ').next().unwrap_or_default();
        let message = format!("asked the host for {asked} random bytes in one call");
        return (FailureKind::Resources, message);
    }
    // Handles that it has, and those that it lends to the host for the length of a call.
    if reason.contains("cannot allocate another handle")
        || reason.contains("store handle limit exceeded")
    {
        return (FailureKind::Resources, "holds too many component handles".to_owned());
    }
    (FailureKind::Trap, format!("broke the component model: {reason}"))
}

fn too_long(call: &Call<'_>) -> String {
    // Ticks that a busy machine lost are not counted, and would make it look too short.
    let took = call.took.max(call.limits.time);
    format!(
        "took longer than limits.time = {}: stopped after {}",
        humantime::format_duration(call.limits.time),
        humantime::format_duration(took)
    )
}
