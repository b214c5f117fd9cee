//! Writes what a handler did into the files of a case, as what is expected from now on.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::case::{Case, ERROR, IN, OUT};
use super::expectation::{Answer, Output};
use super::shown::{Shown, pretty};
use crate::handler::{Failure, FailureKind, Handler};

/// What a step came to.
pub(super) struct Done {
    pub(super) answer: Answer,
    /// Whether that was expected, so that there is nothing to write.
    pub(super) expected: bool,
}

/// A file of steps, in the order in which people read it.
#[derive(Serialize)]
struct StepsFile {
    steps: Vec<StepNote>,
}

#[derive(Serialize)]
struct StepNote {
    #[serde(rename = "in")]
    input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<Events>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Events {
    AsBefore(Value),
    New(Vec<Shown>),
}

/// Accepts what the steps of a case came to. The failure of an input that is not the last of its
/// step cannot be written down; the caller has seen to it that there is none.
pub(super) fn accept(handler: &Handler, case: &Case, done: &[Done]) -> anyhow::Result<()> {
    if case.stepwise {
        return accept_steps(handler, case, done);
    }
    let (out, error) = (case.folder.join(OUT), case.folder.join(ERROR));
    match done.first().map(|done| &done.answer) {
        Some(Answer::Outputs(outputs)) => {
            write(&out, &events(handler, outputs))?;
            remove(&error)
        }
        Some(Answer::Failure(_, failure)) => {
            write(&error, &expected(failure))?;
            remove(&out)
        }
        None => Ok(()),
    }
}

fn accept_steps(handler: &Handler, case: &Case, done: &[Done]) -> anyhow::Result<()> {
    let file = case.folder.join(IN);
    let mut json = super::place::read(&file)?;
    let steps = json.get_mut("steps").and_then(Value::as_array_mut).into_iter().flatten();
    let note = |(step, done): (&mut Value, &Done)| {
        let mut take = |name: &str| step.get_mut(name).map(Value::take);
        let input = take("in");
        let (out, error) = match &done.answer {
            _ if done.expected => (take("out").map(Events::AsBefore), take("error")),
            Answer::Outputs(outputs) => (Some(Events::New(events(handler, outputs))), None),
            Answer::Failure(_, failure) => (None, Some(expected(failure))),
        };
        StepNote { input, out, error }
    };
    write(&file, &StepsFile { steps: steps.zip(done).map(note).collect() })
}

/// Outputs as they are expected: strictly, but without the topic where there is only one.
fn events(handler: &Handler, outputs: &[Output]) -> Vec<Shown> {
    let shown = |output: &Output| {
        let mut shown = output.shown();
        if handler.to.len() < 2 {
            shown.topic = None;
        }
        shown
    };
    outputs.iter().map(shown).collect()
}

/// What the handler says itself is expected word for word. The message of a fault names places in
/// the code, which move.
fn expected(failure: &Failure) -> Value {
    let kind = failure.kind.as_str();
    match failure.kind {
        FailureKind::Permanent | FailureKind::Retryable => {
            json!({ "kind": kind, "message": failure.message })
        }
        _ => json!({ "kind": kind }),
    }
}

fn write(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    fs::write(file, pretty(value) + "\n").with_context(|| format!("failed to write {file:?}"))
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {file:?}"))
        }
        _ => Ok(()),
    }
}
