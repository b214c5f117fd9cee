//! Manifests: every key broken in turn, and the checks that need more than one key.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::testing::KeyTable;
use crate::config::{ConfigError, MANIFEST};
use crate::handler::{Instances, OnFailure, Provenance};
use crate::log::Start;
use crate::property::Property;

const VALID: &str = r#"
name = "weather"
component = "target/weather.wasm"
from = ["source-topic", "second"]
to = ["destination-topic"]
group = "source-group"
dead_letter_topic = "weather.dead-letters"
start = "latest"
workers = 2
instances = "per-event"
on_failure = "stop"
on_fault = "rollback"
provenance = false

[retry]
attempts = 7
initial = "200ms"
max = "1m 30s"
multiplier = 3
jitter = 0.25

[rollback]
faults = 1

[limits]
memory = "128MiB"
time = "2s"
stack = 1048576
table_elements = 10
instances = 3
output_events = 5
output_bytes = "1MiB"
log_lines_per_second = 0
log_line_bytes = "1KiB"

[batch]
events = 100
bytes = "1MiB"
interval = "50ms"

[aliases]
orders = "second"

[config]
unit = "fahrenheit"
api_token = "x"

[build]
command = "make"
watch = ["src", "../wit"]

[test]
skip = ["tombstone", "random-bytes"]

[[topics]]
name = "source-topic"
partitions = 6
replication_factor = 1
settings = { "retention.ms" = 604800000 }
"#;

const MINIMAL: &str = "name = \"weather\"\ncomponent = \"a.wasm\"\nfrom = [\"in\"]\n";

fn load_text(text: &str) -> Result<Handler, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MANIFEST), text).unwrap();
    load(dir.path())
}

fn error(text: &str) -> ConfigError {
    load_text(text).map(drop).expect_err(text)
}

#[test]
fn every_broken_key_is_named_with_its_fix() {
    let dir = tempfile::tempdir().unwrap();
    let table = KeyTable {
        file: dir.path().join(MANIFEST),
        valid: VALID,
        load: |file| load(file).map(drop),
        cases: &[
            ("name", "\"weather\"", r#" 3 | "" | "Weather" | "a_b" | "-a" | "a-" "#),
            ("component", "for example", r#" 3 | "" "#),
            ("from[0]", "\"orders\"", r#" 3 | "" | "a b" | "_lockstep.components" | "." "#),
            ("from[1]", "", r#" "source-topic" "#),
            ("to[0]", "for example", r#" 3 | "" | "a/b" | "_lockstep.x" | "source-topic" "#),
            ("group", "\"weather-group\"", r#" 3 | "" | " a" | "a\nb" "#),
            ("dead_letter_topic", "for example", r#" 3 | "" | "a b" | "_lockstep.x" | "second" "#),
            ("start", "\"earliest\"", r#" 3 | "" | "Latest" | "newest" "#),
            ("workers", "example 1", r#" "2" | 0 | 65 | -1 | 1.5 "#),
            ("instances", "\"reused\"", r#" 1 | "per_event" "#),
            ("on_failure", "\"dead-letter\"", r#" true | "skip" "#),
            ("on_fault", "\"rollback\"", r#" true | "dead-letter" | 5 "#),
            ("provenance", "example true", r#" "no" | 0 "#),
            ("retry.attempts", "example 5", r#" "5" | 0 | 1001 "#),
            ("retry.initial", "for example", r#" 5 | "" | "0s" | "2 days" "#),
            ("retry.max", "\"30s\"", r#" 5 | "long" | "0ms" | "2days" "#),
            ("retry.multiplier", "example 2.0", r#" "2" | 0.9 | 10.1 | nan | inf | 11 "#),
            ("retry.jitter", "example 0.5", r#" "0" | -0.1 | 1.1 | nan | -inf | 2 "#),
            ("rollback.faults", "example 5", r#" "x" | 0 | 1001 "#),
            ("limits.memory", "\"64MiB\"", r#" true | "63KiB" | "5GiB" | -1 | "lots" | 1.5 "#),
            ("limits.time", "\"1s\"", r#" 1 | "0s" | "11m" | "999us" "#),
            ("limits.stack", "\"512KiB\"", r#" "1KiB" | "9MiB" | "x" "#),
            ("limits.table_elements", "example 100000", r#" "x" | 0 | 10000001 "#),
            ("limits.instances", "example 64", r#" "x" | 0 | 10001 "#),
            ("limits.output_events", "example 1000", r#" "x" | 0 | 1000001 "#),
            ("limits.output_bytes", "\"4MiB\"", r#" "x" | 0 | "2GiB" "#),
            ("limits.log_lines_per_second", "example 100", r#" "x" | -1 | 1000001 "#),
            ("limits.log_line_bytes", "\"4KiB\"", r#" "x" | 0 | "2MiB" "#),
            ("batch.events", "example 10000", r#" "x" | 0 | 1000001 "#),
            ("batch.bytes", "\"8MiB\"", r#" "x" | 0 | "2GiB" "#),
            ("batch.interval", "\"100ms\"", r#" 100 | "0s" | "11s" "#),
            ("aliases.orders", "", r#" 3 | "" | "a b" | "_lockstep.x" | "elsewhere" "#),
            ("config.unit", "with the quotes", r#" 3 | true "#),
            ("config.api_token", "with the quotes", r#" 3 | true "#),
            ("build.command", "cargo build", r#" 3 | "" | " " "#),
            ("test.skip[0]", "\"deterministic\"", r#" 3 | "" | "tombstones" "#),
            ("test.skip[1]", "\"deterministic\"", r#" true | "Random-Bytes" "#),
            ("build.watch[0]", "for example", r#" 3 | "" "#),
            ("build.watch[1]", "for example", r#" 3 | "" "#),
            ("topics[0].name", "\"orders\"", r#" 3 | "" | "a b" | "_lockstep.x" "#),
            ("topics[0].partitions", "example 3", r#" "x" | 0 | 10001 "#),
            ("topics[0].replication_factor", "example 1", r#" "x" | 0 | -1 "#),
            ("topics[0].settings.\"retention.ms\"", "in quotes", ""),
        ],
        required: &[
            ("name", "name = \"weather\""),
            ("component", "component = \"target/"),
            ("from", "from = [\"orders\"]"),
            // Without it the table [rollback] would say nothing.
            ("on_fault", "on_fault = \"rollback\""),
            ("topics[0].name", "name = "),
        ],
        free: &["aliases", "config", "topics[0].settings"],
    };
    table.check();
}

#[test]
fn an_alias_stands_for_one_topic_of_the_handler_and_is_none_itself() {
    let aliases = |lines: &str| load_text(&format!("{MINIMAL}to = [\"out\"]\n[aliases]\n{lines}"));
    let handler = aliases("orders = \"in\"\n\"v1.results\" = \"out\"").unwrap();
    assert_eq!((handler.called("in"), handler.called("out")), ("orders", "v1.results"));
    for (lines, key, problem) in [
        ("a = \"elsewhere\"", "aliases.a", "neither in `from` nor in `to`"),
        ("in = \"out\"", "aliases.in", "the name of another topic"),
        ("a = \"in\"\nb = \"in\"", "aliases.b", "called \"a\" too"),
        ("\"a b\" = \"in\"", "aliases.\"a b\"", "may not contain"),
    ] {
        let error = aliases(lines).map(drop).expect_err(lines);
        assert_eq!(error.key, key, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
}

#[test]
fn a_complete_manifest_becomes_what_it_says() {
    let handler = load_text(VALID).unwrap();
    assert_eq!((handler.label(), handler.workers), ("weather@1".to_owned(), 2));
    assert_eq!(handler.start, Start::Latest);
    assert_eq!(handler.instances, Instances::PerEvent);
    assert_eq!(handler.on_failure, OnFailure::Stop);
    assert_eq!(handler.rollback_after, Some(1));
    assert_eq!(handler.retry.max, Duration::from_secs(90));
    assert_eq!((handler.retry.multiplier, handler.retry.jitter), (3.0, 0.25));
    assert_eq!((handler.limits.stack, handler.limits.log_line_bytes), (1 << 20, 1024));
    assert_eq!(handler.config["unit"], "fahrenheit");
    assert_eq!(
        (handler.called("second"), handler.called("source-topic")),
        ("orders", "source-topic")
    );
    assert_eq!(handler.test_skip, [Property::Tombstone, Property::RandomBytes]);
    assert_eq!(handler.topics[0].settings["retention.ms"], "604800000");
    assert!(handler.component.ends_with("target/weather.wasm") && handler.component.is_absolute());
}

#[test]
fn provenance_is_a_switch_or_a_word() {
    for (value, provenance) in [
        ("true", Provenance::Source),
        ("false", Provenance::None),
        ("\"transaction\"", Provenance::Transaction),
    ] {
        let handler = load_text(&format!("provenance = {value}\n{MINIMAL}")).unwrap();
        assert_eq!(handler.provenance, provenance, "{value}");
    }
}

#[test]
fn a_minimal_manifest_has_the_documented_defaults() {
    let handler = load_text(MINIMAL).unwrap();
    assert_eq!((&*handler.group, handler.workers), ("lockstep-weather", 1));
    assert_eq!(&*handler.dead_letter_topic, "weather.dead-letters");
    assert!(handler.to.is_empty() && handler.topics.is_empty());
    assert_eq!(handler.provenance, Provenance::Source);
    assert_eq!((handler.start, handler.instances), (Start::Earliest, Instances::Reused));
    assert_eq!(handler.on_failure, OnFailure::DeadLetter);
    assert_eq!(handler.rollback_after, None);
    let retry = &handler.retry;
    assert_eq!((retry.attempts, retry.multiplier, retry.jitter), (5, 2.0, 0.5));
    assert_eq!((retry.initial, retry.max), (Duration::from_millis(100), Duration::from_secs(30)));
    let limits = &handler.limits;
    assert_eq!((limits.memory, limits.stack), (64 << 20, 512 << 10));
    assert_eq!((limits.time, limits.table_elements), (Duration::from_secs(1), 100_000));
    assert_eq!((limits.instances, limits.output_events), (64, 1_000));
    assert_eq!((limits.output_bytes, limits.log_line_bytes), (4 << 20, 4 << 10));
    assert_eq!(limits.log_lines_per_second, 100);
    assert_eq!((handler.batch.events, handler.batch.bytes), (10_000, 8 << 20));
    assert_eq!(handler.interval, Duration::from_millis(100));
    assert!(handler.test_skip.is_empty());
    assert_eq!(handler.build_command, None);
}

#[test]
fn checks_that_need_more_than_one_key() {
    for (more, key, problem) in [
        ("to = [\"in\"]", "to[0]", "without end"),
        ("to = [\"a\", \"b\", \"a\"]", "to[2]", "named twice"),
        ("dead_letter_topic = \"in\"", "dead_letter_topic", "without end"),
        ("[retry]\ninitial = \"1m\"", "retry.initial", "longer than retry.max"),
        ("[rollback]\nfaults = 3", "on_fault", "the table [rollback] says nothing"),
        (
            "on_fault = \"rollback\"\non_failure = \"stop\"\n[rollback]\nfaults = 2",
            "rollback.faults",
            "halts a partition at its first one",
        ),
        ("[[topics]]\nname = \"a\"\n[[topics]]\nname = \"a\"", "topics[1].name", "declared twice"),
    ] {
        let error = error(&format!("{MINIMAL}{more}"));
        assert_eq!(error.key, key, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
    let default = error("name = \"a\"\ncomponent = \"a.wasm\"\nfrom = [\"a.dead-letters\"]");
    assert_eq!(default.key, "dead_letter_topic");
    let empty = error("name = \"a\"\ncomponent = \"a.wasm\"\nfrom = []");
    assert_eq!(empty.key, "from");
}

#[test]
fn a_rollback_comes_after_five_faults_or_after_the_one_that_stops() {
    let after = |more: &str| load_text(&format!("{MINIMAL}{more}")).unwrap().rollback_after;
    assert_eq!(after("on_fault = \"rollback\""), Some(5));
    assert_eq!(after("on_fault = \"rollback\"\n[rollback]\nfaults = 7"), Some(7));
    assert_eq!(after("on_fault = \"rollback\"\non_failure = \"stop\""), Some(1));
}

#[test]
fn an_unknown_property_is_answered_with_all_of_them() {
    let error = error(&format!("{MINIMAL}[test]\nskip = [\"null-keys\"]"));
    assert_eq!(error.key, "test.skip[0]");
    for property in Property::ALL {
        assert!(error.problem.contains(&format!("{:?}", property.as_str())), "{error}");
    }
}

#[test]
fn wrong_values_of_a_handlers_own_configuration_are_not_shown() {
    let error = error(&format!("{MINIMAL}[config]\napi = 12345678"));
    assert!(!error.to_string().contains("12345678"), "{error}");
}

#[test]
fn a_folder_without_a_manifest_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(dir.path()).unwrap_err();
    assert_eq!(error.file, dir.path().join(MANIFEST));
    assert!(error.fix.contains("name = \"weather\""), "{error}");
}

#[test]
fn a_component_that_is_missing_is_named_with_the_way_to_build_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.toml");
    std::fs::write(&file, MINIMAL).unwrap();
    let handler = load(Path::new(&file)).unwrap();
    let error = read_component(&handler).unwrap_err().to_string();
    assert!(error.contains("a.wasm") && error.contains("`lockstep build`"), "{error}");
    std::fs::write(dir.path().join("a.wasm"), b"\0asm").unwrap();
    assert_eq!(read_component(&handler).unwrap(), b"\0asm");
}

#[test]
fn everything_wrong_with_a_manifest_is_told_at_once() {
    let text =
        "nam = \"h\"\nfrom = \"in\"\nto = [7]\nworkers = 0\n[limits]\nmemory = 3.5\ntime = \"1\"";
    let error = error(text);
    let mut keys: Vec<_> = error.more.iter().map(|error| error.key.as_str()).collect();
    keys.push(&error.key);
    keys.sort_unstable();
    let expected =
        ["component", "from", "limits.memory", "limits.time", "nam", "name", "to[0]", "workers"];
    assert_eq!(keys, expected, "{error}");
}
