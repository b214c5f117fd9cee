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

/// Accepts the answers to the steps of a case. The failure of an input that is not the last of
/// its step cannot be written down; the caller has seen to it that there is none.
pub(super) fn accept(handler: &Handler, case: &Case, answers: &[Answer]) -> anyhow::Result<()> {
    if case.stepwise {
        return accept_steps(handler, case, answers);
    }
    let (out, error) = (case.folder.join(OUT), case.folder.join(ERROR));
    match answers.first() {
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

fn accept_steps(handler: &Handler, case: &Case, answers: &[Answer]) -> anyhow::Result<()> {
    let file = case.folder.join(IN);
    let mut json = super::place::read(&file)?;
    let steps = json.get_mut("steps").and_then(Value::as_array_mut).into_iter().flatten();
    for (step, answer) in steps.zip(answers) {
        let Some(members) = step.as_object_mut() else { continue };
        let (name, value) = match answer {
            Answer::Outputs(outputs) => ("out", serde_json::to_value(events(handler, outputs))?),
            Answer::Failure(_, failure) => ("error", expected(failure)),
        };
        members.retain(|name, _| name == "in");
        members.insert(name.to_owned(), value);
    }
    write(&file, &json)
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
