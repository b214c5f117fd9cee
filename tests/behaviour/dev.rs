//! `lockstep dev`: from a handler's folder to events that come out, in one command.

use lockstep_tests::build;
use lockstep_tests::cli;
use lockstep_tests::event::{Has, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::eventually;

on_both_logs![the_weather_example_runs_from_its_folder];

const GOOD: &str = r#"{"date":"2026-01-31","temperatureC":21,"summary":"Mild"}"#;
const BAD: &str = r#"{"date":"2026-01-31","temperatureC":-300,"summary":"Impossible"}"#;

fn the_weather_example_runs_from_its_folder(world: Scenario) {
    // The command builds what it finds, and this is where cargo would put it.
    let folder = build::example_source("weather").display().to_string();
    build::example("weather");
    let log = world.log_args();
    let mut host = Host::dev(world.directory(), &[&folder, &log[0], &log[1]]);
    host.wait_until_ready();
    assert_eq!(host.post("source-topic", &[], GOOD.as_bytes()).status, 200);
    let mut produce = cli::command(["produce", "source-topic", "--value", BAD]);
    cli::finish(produce.args(&log).current_dir(world.directory()), b"").ok();

    let mut consumed = String::new();
    eventually("the forecast comes out", || {
        let mut consume = cli::command(["consume", "destination-topic", "--max", "1"]);
        consume.args(["--output", "json"]).args(&log).current_dir(world.directory());
        consumed = cli::finish(&mut consume, b"").ok();
        !consumed.is_empty()
    });
    let line: serde_json::Value = serde_json::from_str(consumed.trim()).expect("one line of JSON");
    let value: serde_json::Value =
        serde_json::from_str(line["value"].as_str().unwrap_or_default()).expect("a forecast");
    assert_eq!(value["temperatureF"], 70, "{consumed}");
    let dead = world.wait_for("weather.dead-letters", 1);
    assert_eq!(sorted_texts(&dead), [BAD]);
    assert_eq!(dead[0].last_header("lockstep-failure").as_deref(), Some("permanent"));
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}
