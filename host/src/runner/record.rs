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
use crate::handler::{
    ATTEMPTS_HEADER, FAILURE_HEADER, FAILURE_MESSAGE_HEADER, HANDLER_HEADER, Handler,
    SOURCE_HEADER, TRANSACTION_HEADER,
};
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
        revive(&mut input);
    }
    if !handler.from.contains(&input.event.topic)
        && let Some(source) = handler.from.first()
    {
        input.event.topic = Arc::clone(source);
    }
    input
}

/// Takes the headers off that made it a dead letter; where names repeat, the last are the host's.
fn revive(input: &mut Consumed) {
    let headers = &mut input.event.headers;
    for name in [
        TRANSACTION_HEADER,
        ATTEMPTS_HEADER,
        FAILURE_MESSAGE_HEADER,
        FAILURE_HEADER,
        SOURCE_HEADER,
        HANDLER_HEADER,
    ] {
        let Some(index) = headers.iter().rposition(|header| header.name == name) else { continue };
        let header = headers.remove(index);
        if name == SOURCE_HEADER
            && let Some((topic, partition, offset)) = position(header.value.as_deref())
        {
            input.event.topic = topic;
            input.partition = partition;
            input.offset = offset;
        }
    }
}

/// Reads `orders/3/1042`. The name of a topic holds no slash.
fn position(text: Option<&[u8]>) -> Option<(Arc<str>, i32, i64)> {
    let mut parts = std::str::from_utf8(text?).ok()?.split('/');
    let (topic, partition, offset) = (parts.next()?, parts.next()?, parts.next()?);
    Some((topic.into(), partition.parse().ok()?, offset.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Header};

    #[test]
    fn a_dead_letter_becomes_the_input_it_was() {
        let event = Event {
            topic: "weather.dead-letters".into(),
            key: None,
            value: Some(b"bad".to_vec()),
            headers: vec![
                Header::text("trace", "a"),
                Header::text(SOURCE_HEADER, "upstream/9/9"),
                Header::text(HANDLER_HEADER, "weather@1"),
                Header::text(SOURCE_HEADER, "orders/3/1042"),
                Header::text(FAILURE_HEADER, "permanent"),
                Header::text(FAILURE_MESSAGE_HEADER, "no"),
                Header::text(ATTEMPTS_HEADER, "1"),
            ],
            timestamp_ms: Some(1),
        };
        let mut input = Consumed { event, partition: 0, offset: 5 };
        revive(&mut input);
        assert_eq!(input.position().to_string(), "orders/3/1042");
        let names: Vec<_> = input.event.headers.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["trace", SOURCE_HEADER]);
    }
}
