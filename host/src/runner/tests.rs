//! Case files: what they may say, what they mean, and what is said about those that are wrong.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::case::{self, Case};
use super::expectation::{Answer, Expectation, Output, check};
use crate::config::ConfigError;
use crate::event::{Event, Header};
use crate::handler::{Failure, FailureKind, Handler};

const MANIFEST: &str = "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"first\", \"second\"]\nto = [\"out\", \"more\"]\n";

/// A handler's folder with one case, `c`.
struct Folder {
    root: TempDir,
    handler: Handler,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let root = TempDir::new().expect("a temporary directory can be made");
        fs::write(root.path().join("handler.toml"), MANIFEST).expect("it can be written");
        let handler = crate::deployment::load(root.path()).expect("the manifest is good");
        let folder = Self { root, handler };
        fs::create_dir_all(folder.case()).expect("it can be written");
        for (name, content) in files {
            fs::write(folder.case().join(name), content).expect("it can be written");
        }
        folder
    }

    fn case(&self) -> PathBuf {
        self.root.path().join("cases/c")
    }

    fn load(&self) -> Result<Vec<Case>, ConfigError> {
        case::load_all(&self.handler, self.root.path())
    }

    fn loaded(&self) -> Case {
        self.load().expect("the case is good").pop().expect("there is one")
    }
}

/// What is wrong with the one case made of these files.
fn mistake(files: &[(&str, &str)]) -> ConfigError {
    let folder = Folder::with(files);
    let mut error = folder.load().map(drop).expect_err(&format!("{files:?}"));
    error.file = error.file.strip_prefix(folder.case()).unwrap_or(&error.file).to_owned();
    error
}

#[test]
fn every_mistake_in_what_goes_in_is_named_with_its_place_and_fix() {
    for (json, place, problem, fix) in [
        ("", "line 1, column 0", "is not JSON: EOF", "correct the syntax"),
        ("{\"value\": 'a'}", "line 1, column 11", "is not JSON", "double quotes"),
        ("[]", "", "is an empty list", "at least one event"),
        ("7", "", "7 is not an event", "write an object"),
        ("{\"id\": 1}", "", "is no event", "{\"value\": {\"json\": {\"id\":1}}}"),
        ("{\"value\": \"a\", \"vlaue\": 1}", "vlaue", "unknown here", "did you mean \"value\"?"),
        ("{\"value\": 5}", "value", "5 could mean several things", "write {\"json\": 5}"),
        ("{\"value\": {\"a\": 1}}", "value", "several things", "write {\"json\": {\"a\":1}}"),
        ("[{\"key\": [1]}]", "[0].key", "[1] could mean several things", "{\"base64\": \"…\"}"),
        ("{\"value\": {\"base64\": \"!\"}}", "value.base64", "is not base64", "for example"),
        (
            "{\"value\": {\"base64\": 1}}",
            "value.base64",
            "1 is not a string",
            "{\"base64\": \"…\"}",
        ),
        (
            "{\"value\": {\"file\": \"no\"}}",
            "value.file",
            "no cannot be read",
            "folder of the case",
        ),
        ("{\"value\": {\"json\": [1e300]}}", "value.json[0]", "may not be exact", "as a string"),
        ("{\"topic\": \"a b\"}", "topic", "may not contain", "\"orders\""),
        ("{\"offset\": -1}", "offset", "-1 is not a whole number", "for example 0"),
        ("{\"partition\": 3000000000}", "partition", "that fits", "for example 0"),
        ("{\"timestamp_ms\": \"now\"}", "timestamp_ms", "\"now\" is not", "for example 0"),
        ("{\"headers\": 1}", "headers", "1 is not a list of headers", "{\"trace\": \"a1\"}"),
        ("{\"headers\": [{}]}", "headers[0]", "without a name", "{\"name\": \"trace\""),
        ("{\"headers\": {\"a\": 1}}", "headers.a", "several things", "{\"json\": 1}"),
        ("{\"steps\": []}", "steps", "at least one step", "\"in\""),
        ("{\"steps\": [{\"out\": []}]}", "steps[0]", "without \"in\"", "\"in\""),
        ("{\"steps\": [{\"in\": {}, \"put\": 1}]}", "steps[0].put", "unknown", "in, out, error"),
        (
            "{\"steps\": [{\"in\": {}, \"out\": [], \"error\": {}}]}",
            "steps[0]",
            "both outputs and a failure",
            "keep the one",
        ),
    ] {
        let error = mistake(&[("in.json", json), ("out.json", "[]")]);
        // The steps are read before anything else is compared with them.
        let error = if json.contains("steps") { mistake(&[("in.json", json)]) } else { error };
        assert_eq!((error.file.to_str(), error.key.as_str()), (Some("in.json"), place), "{error}");
        assert!(error.problem.contains(problem), "{json}: {error}");
        assert!(error.fix.contains(fix), "{json}: {error}");
    }
}

#[test]
fn every_mistake_in_what_is_expected_is_named_with_its_place_and_fix() {
    let good = ("in.json", "{}");
    for (name, json, place, problem, fix) in [
        ("out.json", "[{}]", "[0]", "without saying its value", "null for a tombstone"),
        ("out.json", "{\"value\": 1}", "value", "1 could mean", "{\"json\": 1}"),
        ("error.json", "[]", "", "[] is not an expected failure", "kind, message"),
        ("error.json", "{}", "kind", "is missing", "permanent, retryable, trap"),
        ("error.json", "{\"kind\": \"panic\"}", "kind", "\"panic\" is no kind", "or fault for any"),
        ("error.json", "{\"kind\": \"rejected\"}", "kind", "is no kind", "trap"),
        ("error.json", "{\"kind\": 1}", "kind", "1 is not a string", "permanent"),
        ("error.json", "{\"kind\": \"trap\", \"message\": 1}", "message", "1 is not", "a part of"),
        ("error.json", "{\"kind\": \"trap\", \"text\": 1}", "text", "unknown", "kind, message"),
    ] {
        let error = mistake(&[good, (name, json)]);
        assert_eq!((error.file.to_str(), error.key.as_str()), (Some(name), place), "{error}");
        assert!(error.problem.contains(problem), "{json}: {error}");
        assert!(error.fix.contains(fix), "{json}: {error}");
    }
    let error = mistake(&[good, ("out.json", "[]"), ("error.json", "{}")]);
    assert!(error.problem.contains("both outputs and a failure"), "{error}");
    assert!(mistake(&[]).problem.contains("holds no in.json"));
    let steps = ("in.json", "{\"steps\": [{\"in\": {}, \"out\": []}]}");
    let error = mistake(&[steps, ("out.json", "[]")]);
    assert!(error.problem.contains("the steps in in.json say"), "{error}");
}

#[test]
fn what_an_input_leaves_out_has_its_default() {
    let folder = Folder::with(&[("in.json", "[{}, {\"value\": \"a\"}]")]);
    let inputs = &folder.loaded().steps[0].inputs;
    assert_eq!(inputs[0].position().to_string(), "first/0/0");
    assert_eq!(inputs[1].position().to_string(), "first/0/1");
    let Event { key, value, headers, timestamp_ms, .. } = &inputs[0].event;
    assert_eq!((key, value, headers.len(), timestamp_ms), (&None, &None, 0, &Some(0)));
}

#[test]
fn a_line_that_consume_prints_can_be_pasted() {
    let line = r#"{"topic":"second","partition":2,"offset":7,"timestamp_ms":5,"key":"k",
        "value":{"base64":"/w=="},"headers":[{"name":"a","value":null},{"name":"a","value":"x"}]}"#;
    let folder = Folder::with(&[("in.json", line)]);
    let input = &folder.loaded().steps[0].inputs[0];
    assert_eq!(input.position().to_string(), "second/2/7");
    assert_eq!(
        (input.event.timestamp_ms, input.event.value.as_deref()),
        (Some(5), Some(&b"\xff"[..]))
    );
    let null = Header { name: "a".to_owned(), value: None };
    assert_eq!(input.event.headers, [null, Header::text("a", "x")]);
}

#[test]
fn values_come_from_files_and_json_is_compact() {
    let json = r#"[{"value": {"file": "v.bin"}}, {"value": {"json": {"b": [1, 2], "a": "x y"}}}]"#;
    let folder = Folder::with(&[("in.json", json), ("v.bin", "from a file")]);
    let inputs = &folder.loaded().steps[0].inputs;
    assert_eq!(inputs[0].event.value.as_deref(), Some(&b"from a file"[..]));
    assert_eq!(inputs[1].event.value.as_deref(), Some(&br#"{"a":"x y","b":[1,2]}"#[..]));
}

#[test]
fn offsets_go_on_from_step_to_step() {
    let json = r#"{"steps": [{"in": [{}, {}]}, {"in": {}, "error": {"kind": "fault"}}]}"#;
    let case = Folder::with(&[("in.json", json)]).loaded();
    assert!(case.stepwise && case.steps[0].expected.is_none());
    assert_eq!(case.steps[1].inputs[0].offset, 2);
}

/// What is said about this output when `out.json` is this.
fn verdict(out: &str, event: Event) -> Option<String> {
    let folder = Folder::with(&[("in.json", "{}"), ("out.json", out)]);
    let expected = folder.loaded().steps.remove(0).expected.expect("it is there");
    check(&expected, &Answer::Outputs(vec![Output { event, own_timestamp: false }]), 1)
}

fn output() -> Event {
    Event {
        topic: "out".into(),
        key: Some(b"k".to_vec()),
        value: Some(br#"{"b": 1, "a": [true]}"#.to_vec()),
        headers: vec![Header::text("z", "1"), Header::text("a", "2")],
        timestamp_ms: Some(5),
    }
}

#[test]
fn what_is_left_out_is_not_compared_and_json_has_no_order() {
    for out in [
        r#"{"value": {"json": {"a": [true], "b": 1}}}"#,
        r#"[{"topic": "out", "key": "k", "value": "{\"b\": 1, \"a\": [true]}", "timestamp_ms": 5}]"#,
        r#"{"value": {"json": {"a": [true], "b": 1}}, "headers": {"a": "2", "z": "1"}}"#,
        r#"{"value": {"json": {"a": [true], "b": 1}}, "partition": 9, "offset": 9, "headers":
            [{"name": "z", "value": "1"}, {"name": "a", "value": {"json": 2}},
             {"name": "lockstep-handler", "value": "h@7"}]}"#,
    ] {
        assert_eq!(verdict(out, output()), None, "{out}");
    }
}

#[test]
fn every_field_that_is_given_is_compared() {
    for (out, removed, added) in [
        (r#"{"value": {"json": {"a": [false], "b": 1}}}"#, "- ", "false"),
        (r#"{"topic": "more", "value": {"json": {"a": [true], "b": 1}}}"#, "\"more\"", "\"out\""),
        (r#"{"key": null, "value": {"json": {"a": [true], "b": 1}}}"#, "null", "\"k\""),
        (r#"{"timestamp_ms": 6, "value": {"json": {"a": [true], "b": 1}}}"#, "6", "5"),
        (r#"{"headers": {}, "value": {"json": {"a": [true], "b": 1}}}"#, "[]", "\"z\""),
        (r#"{"value": "{\"b\":1,\"a\":[true]}"}"#, r#"{\"b\":1,"#, r#"{\"b\": 1,"#),
        (
            r#"{"value": {"json": {"a": [true], "b": 1}}, "headers":
                [{"name": "a", "value": "2"}, {"name": "z", "value": "1"}]}"#,
            "\"a\"",
            "\"z\"",
        ),
        (r#"{"value": null}"#, "\"value\": null", "\"json\""),
        ("[]", "expected no event, returned 1 event", "\"json\""),
    ] {
        let text = verdict(out, output()).unwrap_or_else(|| panic!("{out} is no match"));
        assert!(text.contains(removed) && text.contains(added), "{out}: {text}");
    }
    let named = Event { topic: "more".into(), ..output() };
    let text = verdict(r#"{"value": {"json": {"a": [true], "b": 1}}}"#, named).unwrap_or_default();
    assert!(
        text.contains("-     \"topic\": \"out\"") && text.contains("+     \"topic\": \"more\"")
    );
}

#[test]
fn a_failure_is_expected_by_kind_and_by_a_part_or_a_pattern_of_its_message() {
    let failed = |kind, message: &str| Answer::Failure(0, Failure::new(kind, message));
    let verdict = |error: &str, answer: &Answer| {
        let folder = Folder::with(&[("in.json", "{}"), ("error.json", error)]);
        let expected = folder.loaded().steps.remove(0).expected.expect("it is there");
        check(&expected, answer, 1)
    };
    let permanent = failed(FailureKind::Permanent, "field \"date\" (2026-13) is wrong");
    for error in [
        r#"{"kind": "permanent"}"#,
        r#"{"kind": "permanent", "message": "field \"date\" ("}"#,
        r#"{"kind": "permanent", "message": "^field .* wrong$"}"#,
    ] {
        assert_eq!(verdict(error, &permanent), None, "{error}");
    }
    for error in [
        r#"{"kind": "retryable"}"#,
        r#"{"kind": "fault"}"#,
        r#"{"kind": "permanent", "message": "^date"}"#,
    ] {
        let text = verdict(error, &permanent).unwrap_or_default();
        assert!(
            text.contains("expected  ") && text.contains("but got   permanent: field"),
            "{text}"
        );
    }
    let trap = failed(FailureKind::Trap, "unreachable");
    assert_eq!(verdict(r#"{"kind": "fault"}"#, &trap), None);
    let none = Answer::Outputs(Vec::new());
    let text = verdict(r#"{"kind": "fault"}"#, &none).unwrap_or_default();
    assert!(text.contains("but the handler returned no event"), "{text}");
    let outputs = Expectation::Outputs(Vec::new());
    let text = check(&outputs, &trap, 2).unwrap_or_default();
    assert!(text.contains("failed at input 1 of 2: trap: unreachable"), "{text}");
}
