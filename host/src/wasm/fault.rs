//! What went wrong in a call, as a [`Failure`] that tells the handler's author what happened,
//! which limit was in the way, and where in the guest.

use std::collections::VecDeque;
use std::time::Duration;

use bytesize::ByteSize;
use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limiter::LimitExceeded;
use crate::handler::{Failure, FailureKind, Limits};

/// The longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 2048;
/// The longest part of it that the guest wrote.
const MAX_GUEST_BYTES: usize = 1024;
/// Functions named of a backtrace.
const NAMED_FRAMES: usize = 8;

/// How a Rust guest begins its last words.
const PANIC: &str = "panicked at ";

/// Functions that only carry a panic out of a Rust guest, by the beginning of their names.
const PANIC_MACHINERY: &[&str] = &[
    "__rust",
    "__rustc",
    "abort",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking",
    "core::result::unwrap_failed",
    "rust_panic",
    "std::alloc::rust_oom",
    "std::panicking",
    "std::process::abort",
    "std::sys",
];

/// The error of a call as a failure. `said` is what the guest wrote last on stderr.
pub(super) fn classify(error: &Error, limits: &Limits, said: &VecDeque<String>) -> Failure {
    let (kind, mut message) = verdict(error, limits);
    if kind == FailureKind::Trap
        && let Some(said) = last_words(said)
    {
        let said = truncated(&said, MAX_GUEST_BYTES);
        match said.find(PANIC) {
            // That `unreachable` was executed is how a panic ends, and no news.
            Some(panic) => message = said[panic..].to_owned(),
            None => message = format!("{message}: {said}"),
        }
    }
    if let Some(frames) = frames(error) {
        message.push_str("; in ");
        message.push_str(&frames);
    }
    message.truncate(truncated(&message, MAX_MESSAGE_BYTES).len());
    Failure::new(kind, message)
}

/// Why an instance could not be made, in one line. `time` is what it was given.
pub(super) fn startup(
    error: &Error,
    limits: &Limits,
    time: Duration,
    said: &VecDeque<String>,
) -> String {
    let reason = reason(error);
    if reason.contains("instance count too high") {
        let limit = limits.instances;
        return format!("it consists of more core instances than limits.instances = {limit}");
    }
    if !error.is::<WasmBacktrace>() && !error.is::<LimitExceeded>() {
        return reason;
    }
    let failure = classify(error, limits, said);
    match failure.kind {
        FailureKind::Deadline => {
            format!("its initialisation took longer than {}", humantime::format_duration(time))
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

fn verdict(error: &Error, limits: &Limits) -> (FailureKind, String) {
    if let Some(limit) = error.downcast_ref::<LimitExceeded>() {
        return match limit {
            LimitExceeded::Memory { .. } => (FailureKind::Memory, limit.to_string()),
            LimitExceeded::Tables { .. } => (FailureKind::Resources, limit.to_string()),
            LimitExceeded::Deadline => (FailureKind::Deadline, too_long(limits)),
        };
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return (FailureKind::Trap, format!("called exit({status})"));
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return (FailureKind::Resources, "holds too many WASI resources".to_owned());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (FailureKind::Deadline, too_long(limits)),
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
    if reason.contains("cannot allocate another handle") {
        return (FailureKind::Resources, "holds too many component handles".to_owned());
    }
    (FailureKind::Trap, format!("broke the component model: {reason}"))
}

fn too_long(limits: &Limits) -> String {
    format!("took longer than limits.time = {}", humantime::format_duration(limits.time))
}

/// The panic message among the last lines of stderr, or else all of them.
fn last_words(said: &VecDeque<String>) -> Option<String> {
    let panic = said.iter().rposition(|line| line.contains(PANIC)).unwrap_or(0);
    let lines: Vec<&str> = said
        .iter()
        .skip(panic)
        .map(String::as_str)
        .filter(|line| !line.starts_with("note: run with `RUST_BACKTRACE"))
        .collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

/// The guest's functions that were running, innermost first, as far as they have names.
fn frames(error: &Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let names: Vec<String> = backtrace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| format!("{:#}", rustc_demangle::demangle(name)))
        .filter(|name| !PANIC_MACHINERY.iter().any(|prefix| name.starts_with(prefix)))
        .take(NAMED_FRAMES)
        .collect();
    (!names.is_empty()).then(|| names.join(" < "))
}

fn truncated(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> VecDeque<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn the_last_words_are_the_panic_without_its_hint() {
        let said = said(&[
            "loading",
            "thread '<unnamed>' panicked at src/lib.rs:5:9:",
            "no such unit",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ]);
        let words = "thread '<unnamed>' panicked at src/lib.rs:5:9: no such unit";
        assert_eq!(last_words(&said).as_deref(), Some(words));
    }

    #[test]
    fn without_a_panic_the_last_words_are_all_of_them() {
        assert_eq!(last_words(&said(&["a", "b"])).as_deref(), Some("a b"));
        assert_eq!(last_words(&said(&[])), None);
    }
}
