//! The properties that `lockstep test` looks for in every handler, and guests that lack them.

use lockstep_tests::folders::{Folders, Results};

/// What every handler is tested for.
const PROPERTIES: [&str; 7] = [
    "deterministic",
    "null-key",
    "tombstone",
    "empty-value",
    "maximum-size",
    "random-bytes",
    "stays-in-limits",
];

#[test]
fn a_misbehaving_handler_fails_the_properties_with_what_it_did() {
    for (guest, limits, kind) in [
        ("trap", "", "trap"),
        ("endless-loop", "limits.time = \"100ms\"", "deadline"),
        ("memory-bomb", "limits.memory = \"16MiB\"\nlimits.time = \"10s\"", "memory"),
        ("stack-overflow", "", "stack"),
        ("forbidden-topic", "", "forbidden-topic"),
        ("huge-output", "limits.time = \"10s\"", "oversized-output"),
    ] {
        let results = Folders::of(guest, limits).results(&[]);
        for property in &PROPERTIES[1..] {
            results.failed(property, &[&format!("is a fault: {kind}: ")]);
        }
        results.passed(&["deterministic"]);
    }
}

#[test]
fn state_that_outlives_an_event_is_not_deterministic() {
    let folders = Folders::of("scripted", "");
    let count = r#"{"value": {"json": {"do": "count"}}}"#;
    let one = r#"{"value": {"json": {"calls": 1}}}"#;
    folders.case("counts", &[("in.json", count), ("out.json", one)]);
    let results = folders.results(&[]);
    results.failed("deterministic", &["differently the second time", "- ", "\"calls\": 1"]);
    results.failed("deterministic", &["\"calls\": 2", "skip = [\"deterministic\"]"]);
    results.passed(&["counts", "random-bytes"]);
    folders.handler("h", "scripted", "instances = \"per-event\"");
    folders.results(&[]).passed(&["deterministic"]);
}

#[test]
fn properties_are_tested_with_the_inputs_of_the_cases() {
    let folders = Folders::of("scripted", "");
    let input = r#"{"value": {"json": {"do": "topic", "topic": "elsewhere"}}}"#;
    folders.case("strays", &[("in.json", input), ("out.json", "[]")]);
    let results = folders.results(&["--seed", "7"]);
    results
        .failed("null-key", &["an event without a key is a fault: forbidden-topic", "elsewhere"]);
    results.failed("random-bytes", &["(seed 7)", "the event, for the in.json of a case"]);
    results.passed(&["tombstone", "empty-value"]);
    let again = folders.results(&["--seed", "7"]);
    let message = |results: &Results| results.of("random-bytes")["message"].clone();
    assert_eq!(message(&again), message(&results), "the same seed makes the same bytes");
}

#[test]
fn properties_that_do_not_hold_are_left_out_by_name() {
    let skip = PROPERTIES[1..].iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
    let folders = Folders::of("trap", &format!("test.skip = [{}]", skip.join(", ")));
    let results = folders.results(&[]);
    results.passed(&["deterministic"]);
    for name in &PROPERTIES[1..] {
        assert_eq!(results.of(name)["outcome"], "skipped", "{}", results.report);
    }
    folders.handler("h", "trap", "test.skip = [\"tombstones\"]");
    folders
        .test(&[])
        .fails(2, &["handler.toml", "test.skip[0]", "\"tombstones\"", "\"tombstone\""]);
}

#[test]
fn the_largest_event_is_the_one_that_the_source_topic_takes() {
    let topic = "[[topics]]\nname = \"in\"\nsettings = { \"max.message.bytes\" = 3000000 }";
    let limits = "limits.output_bytes = \"2MiB\"\n";
    let folders = Folders::of("identity", limits);
    folders.results(&[]).passed(&["maximum-size"]);
    folders.handler("h", "identity", &format!("{limits}{topic}"));
    let results = folders.results(&[]);
    results.failed("maximum-size", &["an event of 3000000 bytes", "oversized-output"]);
}
