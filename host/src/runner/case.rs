//! The cases of a handler: directories below `cases`, read and checked before any of them runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::expectation::{Expectation, ExpectedEvent, ExpectedFailure, FAULT, KINDS};
use super::notation::{self, Content, Noted};
use super::place::{self, Place, short};
use crate::config::ConfigError;
use crate::event::{Consumed, Event, Header};
use crate::handler::Handler;

/// The folder of a handler's cases.
pub(super) const CASES: &str = "cases";
/// What goes in.
pub(super) const IN: &str = "in.json";
/// The outputs that are expected.
pub(super) const OUT: &str = "out.json";
/// The failure that is expected instead.
pub(super) const ERROR: &str = "error.json";

/// The timestamp of an input that has none of its own: a log gives one to every event, and a test
/// must not depend on the clock.
const TIMESTAMP_MS: i64 = 0;

type Read<T> = Result<T, ConfigError>;

/// One case.
#[derive(Debug)]
pub(super) struct Case {
    /// The name of its directory.
    pub(super) name: String,
    /// The directory.
    pub(super) folder: PathBuf,
    pub(super) steps: Vec<Step>,
    /// Whether the expectations stand in `in.json`, beside the inputs.
    pub(super) stepwise: bool,
}

/// Inputs that are handled one after the other, and what they are to become.
#[derive(Debug)]
pub(super) struct Step {
    /// At least one.
    pub(super) inputs: Vec<Consumed>,
    /// `None` when nobody has said it yet.
    pub(super) expected: Option<Expectation>,
}

/// All cases of a handler, by name. None is no error.
pub(super) fn load_all(handler: &Handler, folder: &Path) -> Read<Vec<Case>> {
    let root = folder.join(CASES);
    let mut folders = Vec::new();
    if root.is_dir() {
        let unreadable = |error: std::io::Error| {
            let fix = "check that this user may read the folder";
            ConfigError::new(&root, "", format!("cannot be read: {error}"), fix)
        };
        for entry in fs::read_dir(&root).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                folders.push(path);
            }
        }
    }
    folders.sort();
    folders.into_iter().map(|folder| load(handler, folder)).collect()
}

/// The case in this folder.
pub(super) fn load(handler: &Handler, folder: PathBuf) -> Read<Case> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = folder.join(IN);
    if !file.is_file() {
        let fix = "a case is a folder with an in.json, for example {\"value\": {\"json\": \
                   {\"id\": 1}}}, and an out.json or error.json";
        return Err(ConfigError::new(&folder, "", "holds no in.json", fix));
    }
    let json = place::read(&file)?;
    let reader = Reader { handler, folder: &folder };
    let stepwise = json.get("steps").is_some();
    let steps = if stepwise {
        reader.without_files()?;
        reader.steps(&Place::file(&file), &json)?
    } else {
        let inputs = reader.inputs(&Place::file(&file), &json, 0)?;
        vec![Step { inputs, expected: reader.expected_in_files()? }]
    };
    Ok(Case { name, folder, steps, stepwise })
}

/// An event that goes in, written down outside of any case; files that it names lie in `folder`.
pub(super) fn input(
    handler: &Handler,
    place: &Place<'_>,
    json: &Value,
    folder: &Path,
) -> Read<Consumed> {
    Reader { handler, folder }.input(place, json, 0)
}

/// Reads the files of one case.
struct Reader<'a> {
    handler: &'a Handler,
    folder: &'a Path,
}

impl Reader<'_> {
    fn steps(&self, place: &Place<'_>, json: &Value) -> Read<Vec<Step>> {
        let members = place.object(json, "a case of several steps", &["steps"])?;
        let place = place.member("steps");
        let list = match members.get("steps") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            _ => {
                let fix = "write \"steps\": [{\"in\": {\"value\": \"a\"}, \"out\": []}]";
                return Err(place.wrong("is not a list of at least one step", fix));
            }
        };
        let mut count = 0;
        let read = |(index, value): (usize, &Value)| {
            let step = self.step(&place.element(index), value, count)?;
            count += step.inputs.len();
            Ok(step)
        };
        list.iter().enumerate().map(read).collect()
    }

    fn step(&self, place: &Place<'_>, json: &Value, first: usize) -> Read<Step> {
        let members = place.object(json, "a step", &["in", "out", "error"])?;
        let Some(input) = members.get("in") else {
            let fix = "write {\"in\": {\"value\": \"a\"}, \"out\": []}";
            return Err(place.wrong("is a step without \"in\"", fix));
        };
        let inputs = self.inputs(&place.member("in"), input, first)?;
        let expected = match (members.get("out"), members.get("error")) {
            (Some(_), Some(_)) => {
                let fix = "keep the one that is meant";
                return Err(place.wrong("expects both outputs and a failure", fix));
            }
            (Some(out), None) => Some(self.outputs(&place.member("out"), out)?),
            (None, Some(error)) => Some(self.failure(&place.member("error"), error)?),
            (None, None) => None,
        };
        Ok(Step { inputs, expected })
    }

    fn expected_in_files(&self) -> Read<Option<Expectation>> {
        let (out, error) = (self.folder.join(OUT), self.folder.join(ERROR));
        match (out.exists(), error.exists()) {
            (true, true) => {
                let problem = "expects both outputs and a failure";
                let fix = "remove out.json or error.json, whichever is not meant";
                Err(ConfigError::new(self.folder, "", problem, fix))
            }
            (true, false) => self.outputs(&Place::file(&out), &place::read(&out)?).map(Some),
            (false, true) => self.failure(&Place::file(&error), &place::read(&error)?).map(Some),
            (false, false) => Ok(None),
        }
    }

    /// The steps say what they expect themselves.
    fn without_files(&self) -> Read<()> {
        match [OUT, ERROR].iter().map(|name| self.folder.join(name)).find(|file| file.exists()) {
            None => Ok(()),
            Some(file) => {
                let problem = "is not read, because the steps in in.json say what they expect";
                let fix = "remove it, and write \"out\" or \"error\" in each step";
                Err(ConfigError::new(&file, "", problem, fix))
            }
        }
    }

    /// One event or several; the first of them is number `first` of the case.
    fn inputs(&self, place: &Place<'_>, json: &Value, first: usize) -> Read<Vec<Consumed>> {
        match json {
            Value::Array(list) if list.is_empty() => {
                let fix = "write at least one event, for example [{\"value\": \"a\"}]";
                Err(place.wrong("is an empty list", fix))
            }
            Value::Array(list) => {
                let read = |(index, value): (usize, &Value)| {
                    self.input(&place.element(index), value, first + index)
                };
                list.iter().enumerate().map(read).collect()
            }
            single => Ok(vec![self.input(place, single, first)?]),
        }
    }

    fn input(&self, place: &Place<'_>, json: &Value, number: usize) -> Read<Consumed> {
        let Noted { topic, partition, offset, timestamp_ms, key, value, headers } =
            notation::event(place, json, self.folder)?;
        let bytes = |content: Option<Option<Content>>| content.flatten().map(Content::into_bytes);
        let header = |(name, value): (String, Option<Content>)| Header {
            name,
            value: value.map(Content::into_bytes),
        };
        let headers = headers.map(|headers| headers.list).unwrap_or_default();
        // A checked handler has a source topic.
        let source = || self.handler.from.first().cloned().unwrap_or_default();
        let event = Event {
            topic: topic.map_or_else(source, Arc::from),
            key: bytes(key),
            value: bytes(value),
            headers: headers.into_iter().map(header).collect(),
            timestamp_ms: timestamp_ms.unwrap_or(Some(TIMESTAMP_MS)),
        };
        let offset = offset.unwrap_or_else(|| i64::try_from(number).unwrap_or(i64::MAX));
        Ok(Consumed { event, partition: partition.unwrap_or(0), offset })
    }

    /// An object with one event means a list of one.
    fn outputs(&self, place: &Place<'_>, json: &Value) -> Read<Expectation> {
        let events = match json {
            Value::Array(list) => {
                let read =
                    |(index, value): (usize, &Value)| self.output(&place.element(index), value);
                list.iter().enumerate().map(read).collect::<Read<_>>()?
            }
            single => vec![self.output(place, single)?],
        };
        Ok(Expectation::Outputs(events))
    }

    fn output(&self, place: &Place<'_>, json: &Value) -> Read<ExpectedEvent> {
        let mut noted = notation::event(place, json, self.folder)?;
        let Some(value) = noted.value.take() else {
            let fix = "write \"value\": {\"json\": …}, a string, or null for a tombstone";
            return Err(place.wrong("expects an event without saying its value", fix));
        };
        if let Some(headers) = &mut noted.headers {
            headers.list.retain(|(name, _)| !super::play::is_provenance(name));
        }
        let default_route = self.handler.to.first().map_or("", |topic| &**topic);
        Ok(ExpectedEvent::new(noted, value, default_route))
    }

    fn failure(&self, place: &Place<'_>, json: &Value) -> Read<Expectation> {
        let members = place.object(json, "an expected failure", &["kind", "message"])?;
        let kind = kind(&place.member("kind"), members)?;
        let message = match members.get("message") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => {
                let problem = format!("{} is not a string", short(other));
                let fix = "write a part of the message, or a regular expression";
                return Err(place.member("message").wrong(problem, fix));
            }
        };
        Ok(Expectation::Failure(ExpectedFailure { kind, message }))
    }
}

/// `None` is any fault.
fn kind(
    place: &Place<'_>,
    members: &Map<String, Value>,
) -> Read<Option<crate::handler::FailureKind>> {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.as_str()).collect();
    let fix = format!("write one of {}, or {FAULT} for any but the first two", names.join(", "));
    match members.get("kind") {
        Some(Value::String(name)) if name == FAULT => Ok(None),
        Some(Value::String(name)) => {
            let found = KINDS.into_iter().find(|kind| kind.as_str() == name);
            let refuse = || place.wrong(format!("{name:?} is no kind of failure"), fix);
            found.map(Some).ok_or_else(refuse)
        }
        Some(other) => Err(place.wrong(format!("{} is not a string", short(other)), fix)),
        None => Err(place.wrong("is missing", fix)),
    }
}
