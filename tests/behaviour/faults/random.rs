//! Faults drawn at random, from the seeds that are kept.

use std::time::Duration;

use lockstep_tests::chaos;
use lockstep_tests::log::LogKind;
use lockstep_tests::paths;
use serde_json::Value;

const LENGTH: Duration = Duration::from_secs(20);

fn run(kind: LogKind, seed: u64) {
    let report = chaos::run(kind, seed, LENGTH, None);
    let verdict = report.verdict;
    assert!(verdict.violations.is_empty(), "seed {seed}: {verdict}\n{:?}", report.history);
}

fn seeds() -> Vec<u64> {
    let file = paths::tests().join("faults/seeds.toml");
    let text = std::fs::read_to_string(file).expect("the seeds can be read");
    let table: Value = toml::from_str(&text).expect("the seeds are TOML");
    let seeds = table["seed"].as_array().expect("there are seeds");
    seeds.iter().map(|seed| seed["seed"].as_u64().expect("a seed is a number")).collect()
}

#[test]
fn on_kafka_seeds_that_have_found_something_find_nothing_any_more() {
    seeds().into_iter().for_each(|seed| run(LogKind::Kafka, seed));
}

#[test]
fn on_embedded_seeds_that_have_found_something_find_nothing_any_more() {
    seeds().into_iter().for_each(|seed| run(LogKind::Embedded, seed));
}
