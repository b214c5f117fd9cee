//! Events to try a handler with, as people have written them down: in its cases, in its sample, or
//! one a line in a file.

use std::fs;
use std::path::Path;

use super::case;
use super::expectation::Expectation;
use super::place::Place;
use super::{SAMPLE, properties};
use crate::config::ConfigError;
use crate::event::Event;
use crate::handler::{FailureKind, Handler};

/// The inputs of the cases of the handler in this folder, or else its sample, or else nothing. What
/// is meant to be a fault is left out, and so is what the handler is meant to ask for again: it would
/// only hold up what comes behind it.
pub fn samples(handler: &Handler, folder: &Path) -> Result<Vec<Event>, ConfigError> {
    let cases = case::load_all(handler, folder)?;
    let steps = cases.iter().flat_map(|case| &case.steps).filter(|step| match &step.expected {
        Some(Expectation::Failure(failure)) => failure.kind == Some(FailureKind::Permanent),
        Some(Expectation::Outputs(_)) | None => true,
    });
    let mut events: Vec<_> =
        steps.flat_map(|step| &step.inputs).map(|input| input.event.clone()).collect();
    if events.is_empty()
        && let Ok(sample) = fs::read(folder.join(SAMPLE))
    {
        events.push(properties::plain(handler, Some(sample)).event);
    }
    Ok(events)
}

/// The events of a file that has one a line, in the form of `lockstep consume --output json`, which
/// is also that of cases. Empty lines are none. An event without a topic is of the first source
/// topic.
pub fn read_events(handler: &Handler, file: &Path) -> Result<Vec<Event>, ConfigError> {
    let text = fs::read_to_string(file).map_err(|error| {
        let fix = "name a text file that this user may read";
        ConfigError::new(file, "", format!("cannot be read: {error}"), fix)
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut events = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = Place::file(file).member(&format!("line {}", index + 1));
        let json = serde_json::from_str(line).map_err(|error| {
            let fix = "write one event a line, for example {\"key\": \"a\", \"value\": \"b\"}, as \
                       `lockstep consume --output json` does";
            place.wrong(format!("is not JSON: {error}"), fix)
        })?;
        events.push(case::input(handler, &place, &json, folder)?.event);
    }
    if events.is_empty() {
        let fix = "write one event a line, for example {\"key\": \"a\", \"value\": \"b\"}";
        return Err(ConfigError::new(file, "", "holds no event", fix));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::deployment::manifest;

    const MANIFEST: &str =
        "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"in\"]\nto = [\"out\"]\n";

    fn read(text: &str) -> Result<Vec<Event>, ConfigError> {
        let handler = manifest::parse(Path::new("handler.toml"), MANIFEST)?;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_events(&handler, file.path())
    }

    #[test]
    fn a_file_holds_an_event_a_line_and_empty_lines_are_none() {
        let events = read("{\"key\":\"a\",\"value\":{\"json\":{\"n\":1}}}\n\n{\"value\":null}\n");
        let events = events.unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].value.as_deref(), Some(&b"{\"n\":1}"[..]));
        assert_eq!((events[1].key.as_deref(), events[1].value.as_deref()), (None, None));
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        for (text, part) in [
            ("{\"value\":\"a\"}\nno\n", "line 2"),
            ("{\"value\":\"a\"}\n{\"valu\":\"b\"}", "line 2"),
            ("\n", "holds no event"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
