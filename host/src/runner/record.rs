//! Makes cases of events that were recorded, with what the handler does as what is expected.
//! Never touches a case that is there.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::case::{self, CASES, IN};
use super::play::Cost;
use super::pool::{self, Task};
use super::{CaseResult, Kind, Options, Outcome, Report, jobs, result, run_case, shown};
use crate::event::Consumed;
use crate::handler::{Handler, revive};
use crate::wasm::{self, Program};

/// Writes a case for each event, named by its topic, partition and offset, into the folder of the
/// program's handler.
pub fn record(program: &Program, folder: &Path, events: Vec<Consumed>) -> anyhow::Result<Report> {
    let handler = program.handler();
    let mut cases = Vec::new();
    let mut there = Vec::new();
    for event in events {
        let name = format!("{}-{}-{}", event.event.topic, event.partition, event.offset);
        let place = folder.join(CASES).join(&name);
        if place.exists() {
            let outcome = Outcome::Skipped("it exists already".to_owned());
            there.push(result(name, Kind::Case, outcome, Cost::default()));
            continue;
        }
        let file = place.join(IN);
        fs::create_dir_all(&place)
            .and_then(|()| fs::write(&file, shown::input_json(&as_input(handler, event))))
            .with_context(|| format!("failed to write {file:?}"))?;
        cases.push(case::load(handler, place)?);
    }
    let task = |case| -> Task<'_, CaseResult> { Box::new(move || run_case(program, case, true)) };
    let tasks = cases.iter().map(task).collect();
    let threads = jobs(handler, &Options::default());
    let mut results = pool::run(threads, wasm::native_stack(handler), tasks)?;
    results.extend(there);
    Ok(Report { handler: handler.name.clone(), results })
}

/// The event as the handler gets it. One of its own dead letters becomes the input it was; one of
/// a topic that it does not read comes from its first source topic.
fn as_input(handler: &Handler, mut input: Consumed) -> Consumed {
    if input.event.topic == handler.dead_letter_topic {
        input = revive(input);
    }
    if !handler.from.contains(&input.event.topic)
        && let Some(source) = handler.from.first()
    {
        input.event.topic = Arc::clone(source);
    }
    input
}
