//! `lockstep test`: the cases and properties of handlers, in the sandbox and without a log.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lockstep::property::Property;
use lockstep_tests::build;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{With, event};
use lockstep_tests::folders::Folders;
use lockstep_tests::process::Process;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::{DEADLINE, FIRST_BUILD};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

on_both_logs![the_last_events_of_a_topic_become_cases, a_dead_letter_becomes_a_case];

#[test]
fn all_example_handlers_pass_their_tests() {
    for name in ["filter", "orders", "split", "weather"] {
        let folder = build::example_source(name);
        assert!(folder.join("cases").is_dir(), "{name} has no cases");
        let directory = TempDir::new().expect("a temporary directory can be made");
        let mut command = cli::command([Path::new("test"), &folder]);
        let ran = cli::finish_within(FIRST_BUILD, command.current_dir(directory.path()), b"");
        let left = fs::read_dir(directory.path()).expect("it can be read").count();
        assert_eq!(left, 0, "a test leaves nothing behind");
        let shown = ran.ok();
        assert!(shown.contains(" 0 failed"), "{shown}");
    }
}

#[test]
fn every_case_and_property_has_a_line_with_its_time_and_memory() {
    let folders = Folders::of("scripted", "");
    folders.case("echo", &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    let shown = folders.test(&[]).ok();
    for name in ["echo"].into_iter().chain(Property::ALL.map(Property::as_str)) {
        let line = shown.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        let line = line.unwrap_or_else(|| panic!("no line for {name}: {shown}"));
        assert!(line.starts_with("  ok ") && line.ends_with("MiB"), "{line}");
        assert!(line.contains("s  "), "{line}");
    }
    assert!(shown.contains("8 passed, 0 failed in "), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where no terminal is: {shown:?}");
}

#[test]
fn a_case_that_fails_shows_what_differs_and_what_the_handler_wrote() {
    let folders = Folders::of("scripted", "");
    let script = r#"{"value": {"json": {"do": "print", "text": "working hard", "ms": 0}}}"#;
    let out = r#"{"value": {"json": {"do": "print", "text": "hardly working", "ms": 0}}}"#;
    folders.case("noisy", &[("in.json", script), ("out.json", out)]);
    folders.case("quiet", &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    let ran = folders.test(&["h"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let shown = &ran.stdout;
    for part in [
        "  FAILED   noisy",
        "  ok       quiet",
        "h/noisy failed\n",
        "  the outputs differ: - expected, + returned\n",
        "  -         \"text\": \"hardly working\"\n",
        "  +         \"text\": \"working hard\"\n",
        "  the handler wrote:\n\n    working hard\n",
        "8 passed, 1 failed in ",
    ] {
        assert!(shown.contains(part), "{part:?} is not shown: {shown}");
    }
    assert!(!ran.stderr.contains("working hard"), "what a test keeps is not logged: {ran:?}");
}

#[test]
fn failures_are_expected_by_kind_and_message() {
    let folders = Folders::of("scripted", "limits.time = \"300ms\"\nlimits.memory = \"16MiB\"");
    for (name, script, error) in [
        ("bad", r#"{"do":"permanent","message":"no such unit"}"#, "permanent"),
        ("later", r#"{"do":"retryable","message":"no such unit"}"#, "retryable"),
        ("panics", r#"{"do":"panic","message":"no such unit"}"#, "trap"),
        ("loops", r#"{"do":"loop"}"#, "deadline"),
        ("hoards", r#"{"do":"bomb"}"#, "memory"),
        ("recurses", r#"{"do":"recurse"}"#, "stack"),
        ("strays", r#"{"do":"topic","topic":"elsewhere"}"#, "forbidden-topic"),
        ("floods", r#"{"do":"many","n":5000}"#, "oversized-output"),
        ("garbles", r#"{"do":"bad-header"}"#, "invalid-output"),
        ("anything", r#"{"do":"trap"}"#, "fault"),
    ] {
        let input = format!("{{\"value\": {{\"json\": {script}}}}}");
        let message = if script.contains("unit") { "no such [a-z]+" } else { "" };
        let error = format!("{{\"kind\": {error:?}, \"message\": {message:?}}}");
        folders.case(name, &[("in.json", &input), ("error.json", &error)]);
    }
    folders.case(
        "wrong-kind",
        &[
            ("in.json", r#"{"value": {"json": {"do": "permanent", "message": "it is bad"}}}"#),
            ("error.json", r#"{"kind": "retryable"}"#),
        ],
    );
    folders.case(
        "no-failure",
        &[("in.json", r#"{"value": "fine"}"#), ("error.json", r#"{"kind": "permanent"}"#)],
    );
    let results = folders.results(&[]);
    results.passed(&["bad", "later", "panics", "loops", "hoards", "recurses"]);
    results.passed(&["strays", "floods", "garbles", "anything"]);
    results.failed("wrong-kind", &["expected  retryable", "but got   permanent: it is bad"]);
    results.failed("no-failure", &["permanent", "the handler returned 1 event", "fine"]);
    // What is meant to be a fault is no input of the properties.
    results.passed(&["tombstone", "stays-in-limits"]);
}

#[test]
fn inputs_of_a_case_share_an_instance_as_the_manifest_says() {
    let case = r#"{"steps": [
        {"in": {"value": {"json": {"do": "count"}}}, "out": {"value": {"json": {"calls": 1}}}},
        {"in": {"value": {"json": {"do": "panic"}}}, "error": {"kind": "trap"}},
        {"in": [{"value": {"json": {"do": "count"}}}, {"value": {"json": {"do": "count"}}}],
         "out": [{"value": {"json": {"calls": 1}}}, {"value": {"json": {"calls": SECOND}}}]}
    ]}"#;
    for (instances, second) in [("reused", "2"), ("per-event", "1")] {
        let folders = Folders::of("scripted", &format!("instances = {instances:?}"));
        folders.case("counts", &[("in.json", &case.replace("SECOND", second))]);
        for copy in 0..6 {
            let name = format!("counts-{copy}");
            folders.case(&name, &[("in.json", &case.replace("SECOND", second))]);
        }
        folders.results(&["--filter", "counts", "--jobs", "4"]).passed(&["counts", "counts-5"]);
        folders.case("counts", &[("in.json", &case.replace("SECOND", "9"))]);
        let results = folders.results(&["--filter", "counts"]);
        results.failed("counts", &["step 3: the outputs differ", "-         \"calls\": 9"]);
    }
}

#[test]
fn blessing_writes_what_is_missing_or_different_and_nothing_else() {
    let folders = Folders::of("scripted", "");
    let kept = "{ \"value\":   \"a\" }";
    folders.case("good", &[("in.json", "{\"value\": \"a\"}"), ("out.json", kept)]);
    folders.case("new", &[("in.json", r#"{"key": "k", "value": {"json": {"b": 1, "a": [2]}}}"#)]);
    let fails = r#"{"value": {"json": {"do": "permanent", "message": "bad (unit)"}}}"#;
    folders.case("turned", &[("in.json", fails), ("out.json", "[]")]);
    folders.case("binary", &[("in.json", r#"{"value": {"base64": "//79"}}"#)]);
    let steps = r#"{"steps": [{"in": {"value": "x"}}, {"in": {"value": "y"}, "out": []}]}"#;
    folders.case("steps", &[("in.json", steps)]);
    let early = r#"[{"value": {"json": {"do": "trap"}}}, {"value": "a"}]"#;
    folders.case("early", &[("in.json", early)]);

    let before = folders.results(&["--filter", "h/new"]);
    before.failed("new", &["neither an out.json nor an error.json", "--bless", "\"key\": \"k\""]);
    let results = folders.results(&["--bless"]);
    results.passed(&["good"]);
    results.failed("early", &["input 1 of 2", "not blessed"]);
    for name in ["new", "turned", "binary", "steps"] {
        assert_eq!(results.of(name)["outcome"], "blessed", "{}", results.report);
    }
    assert_eq!(folders.read("h/cases/good/out.json"), kept);
    let json = |name: &str| -> Value {
        serde_json::from_str(&folders.read(&format!("h/cases/{name}"))).expect("JSON")
    };
    let out =
        serde_json::json!([{ "key": "k", "value": {"json": {"a": [2], "b": 1}}, "headers": [] }]);
    assert_eq!(json("new/out.json"), out);
    let error = serde_json::json!({ "kind": "permanent", "message": "bad (unit)" });
    assert_eq!(json("turned/error.json"), error);
    assert!(!folders.path("h/cases/turned/out.json").exists());
    assert_eq!(json("binary/out.json")[0]["value"]["base64"], "//79");
    assert_eq!(json("steps/in.json")["steps"][1]["out"][0]["value"], "y");
    assert!(!folders.path("h/cases/early/out.json").exists());
    let after = folders.results(&[]);
    after.passed(&["good", "new", "turned", "binary", "steps"]);
}

#[test]
fn only_what_is_asked_for_is_run() {
    let folders = Folders::of("scripted", "");
    folders.handler("other", "identity", "");
    for name in ["one", "two"] {
        folders
            .case(name, &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    }
    assert_eq!(folders.results(&["--filter", "h/t"]).names(), ["two", "tombstone"]);
    let shown = folders.test(&["--filter", "other/"]).ok();
    assert!(shown.contains("7 passed, 0 failed") && !shown.contains("two"), "{shown}");
    folders.test(&["--filter", "nothing"]).fails(2, &["nothing has \"nothing\" in its name"]);
    folders.test(&["h", "--report", "xml=a"]).fails(2, &["junit=FILE"]);
    folders.test(&["nowhere"]).fails(2, &["nowhere", "handler.toml"]);
}

#[test]
fn reports_say_everything_to_programs() {
    let folders = Folders::of("scripted", "test.skip = [\"random-bytes\"]");
    folders.case("good", &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    folders.case("bad", &[("in.json", "{\"value\": \"<&>\"}"), ("out.json", "{\"value\": \"b\"}")]);
    let ran =
        folders.test(&["h", "--report", "junit=deep/er/junit.xml", "--report", "json=r.json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let junit = folders.read("deep/er/junit.xml");
    for part in [
        "tests=\"9\" skipped=\"1\" errors=\"0\" failures=\"1\"",
        "<testcase name=\"bad\" classname=\"h.case\"",
        "message=\"the outputs differ",
        "&lt;&amp;&gt;",
        "<testcase name=\"random-bytes\" classname=\"h.property\"",
        "<skipped message=\"test.skip in handler.toml\"/>",
    ] {
        assert!(junit.contains(part), "{part} is not in {junit}");
    }
    let report: Value = serde_json::from_str(&folders.read("r.json")).expect("JSON");
    assert_eq!((&report["ok"], &report["passed"]), (&Value::from(false), &Value::from(7)));
    let bad = &report["handlers"][0]["results"][0];
    assert_eq!((&bad["name"], &bad["kind"]), (&Value::from("bad"), &Value::from("case")));
    assert!(bad["time_ms"].as_f64() > Some(0.0) && bad["memory_bytes"].as_u64() > Some(1 << 16));
}

#[test]
fn a_bad_case_file_is_named_with_place_and_fix_and_nothing_is_run() {
    let folders = Folders::of("scripted", "");
    folders.case("good", &[("in.json", "{\"value\": \"a\"}")]);
    folders.case("bad", &[("in.json", "[{\"value\": \"a\"}, {\"value\": 5}]")]);
    let ran = folders.test(&["--bless"]);
    let file = Path::new("h/cases/bad/in.json").display().to_string();
    ran.fails(2, &[&file, "[1].value", "5 could mean several things", "write {\"json\": 5}"]);
    assert!(!folders.path("h/cases/good/out.json").exists());
    folders.case("bad", &[("in.json", "{\"value\": \"a\",}")]);
    folders.test(&[]).fails(2, &[&file, "line 1, column 15", "is not JSON"]);
}

#[test]
fn watching_tests_again_after_every_change_until_it_is_told_to_stop() {
    let folders = Folders::of("scripted", "");
    folders.case("c", &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    let mut command = cli::command(["test", "--no-build", "--watch"]);
    let mut watching = Process::start("lockstep test", command.current_dir(folders.path("")));
    let mut seen = 0;
    let mut shown = |watching: &Process, text: &str| {
        let mut number = 0;
        let found = watching.find_line(DEADLINE, |line| {
            number += 1;
            (number > seen && line.contains(text)).then_some(number)
        });
        seen = found.unwrap_or_else(|| panic!("{text:?} is not shown: {}", watching.output()));
    };
    shown(&watching, "8 passed, 0 failed");
    shown(&watching, "waiting for changes");
    folders.case("c", &[("out.json", "{\"value\": \"b\"}")]);
    shown(&watching, "changed: h/cases/c/out.json");
    shown(&watching, "7 passed, 1 failed");
    folders.case("new", &[("in.json", "{")]);
    shown(&watching, "is not JSON");
    folders.write("h/handler.toml", "name = 5");
    shown(&watching, "handler.toml: name");
    folders.handler("h", "scripted", "");
    folders.case("c", &[("out.json", "{\"value\": \"a\"}")]);
    folders.case("new", &[("in.json", "{\"value\": \"a\"}"), ("out.json", "{\"value\": \"a\"}")]);
    shown(&watching, "9 passed, 0 failed");
    watching.signal(Signal::INT);
    let status = watching.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{}", watching.output());
}

/// `lockstep test --from-topic TOPIC --last N` on the log of the scenario.
#[track_caller]
fn record(world: &Scenario, folders: &Folders, topic: &str, last: &str) -> Ran {
    let log = world.log_args();
    let args = ["h", "--from-topic", topic, "--last", last].into_iter();
    folders.test(&args.chain(log.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn the_last_events_of_a_topic_become_cases(world: Scenario) {
    let (topic, empty) = (world.topic("in", 2), world.topic("empty", 1));
    let stamped = |n: i64, value: &str| {
        let mut event = event(&topic, value).key("k").header("trace", "a1");
        event.timestamp_ms = Some(1_700_000_000_000 + n);
        event
    };
    world.produce_to(0, [stamped(1, "oldest"), stamped(4, "{\"b\":1,\"a\":2}")]);
    world.produce_to(1, [stamped(2, "older"), stamped(3, "{\"do\":\"permanent\"}")]);
    let folders = Folders::of("scripted", "");
    let manifest = folders.read("h/handler.toml").replace("\"in\"", &format!("{topic:?}"));
    folders.write("h/handler.toml", &manifest);

    let shown = record(&world, &folders, &topic, "2").ok();
    let (good, bad) = (format!("{topic}-0-1"), format!("{topic}-1-1"));
    assert!(shown.contains(&good) && shown.contains(&bad), "{shown}");
    let made = fs::read_dir(folders.path("h/cases")).expect("it is there").count();
    assert_eq!(made, 2, "{shown}");
    let input: Value =
        serde_json::from_str(&folders.read(&format!("h/cases/{good}/in.json"))).expect("JSON");
    assert_eq!(input["value"], serde_json::json!({"json": {"a": 2, "b": 1}}));
    assert_eq!((&input["offset"], &input["key"]), (&Value::from(1), &Value::from("k")));
    assert!(folders.read(&format!("h/cases/{bad}/error.json")).contains("permanent"));
    folders.results(&[]).passed(&[&good, &bad]);

    let edited = "{\"value\": \"mine\"}";
    folders.write(&format!("h/cases/{good}/in.json"), edited);
    let shown = record(&world, &folders, &topic, "100").ok();
    assert!(shown.contains("it exists already"), "{shown}");
    assert_eq!(folders.read(&format!("h/cases/{good}/in.json")), edited);
    assert_eq!(fs::read_dir(folders.path("h/cases")).expect("it is there").count(), 4);

    record(&world, &folders, &empty, "1").fails(1, &["holds no event"]);
    record(&world, &folders, "nowhere", "1").fails(3, &["nowhere"]);
}

fn a_dead_letter_becomes_a_case(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let bad = r#"{"do":"permanent","message":"no such unit"}"#;
    world.produce([event(&input, "good"), event(&input, bad)]);
    let mut host = world.start();
    world.settle(&handler);
    host.terminate();

    let folders = Folders::new();
    let manifest = world.directory().join("handlers").join(&handler.name).join("handler.toml");
    folders.write("h/handler.toml", &fs::read_to_string(manifest).expect("it was deployed"));
    record(&world, &folders, &handler.dead_letters, "5").ok();
    let cases: Vec<_> = fs::read_dir(folders.path("h/cases")).expect("made").flatten().collect();
    let [case] = cases.as_slice() else { panic!("one dead letter: {cases:?}") };
    let name = case.file_name().to_string_lossy().into_owned();
    assert!(name.starts_with(&handler.dead_letters), "{name}");
    let made: Value =
        serde_json::from_str(&folders.read(&format!("h/cases/{name}/in.json"))).expect("JSON");
    assert_eq!((&made["topic"], &made["offset"]), (&Value::from(input), &Value::from(1)));
    assert_eq!(made["headers"], serde_json::json!([]));
    assert!(folders.read(&format!("h/cases/{name}/error.json")).contains("no such unit"));
}
