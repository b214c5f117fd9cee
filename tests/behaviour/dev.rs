//! `lockstep dev`: from a handler's folder to events that come out, in one command.

use lockstep_tests::build;
use lockstep_tests::cli;
use lockstep_tests::event::{Has, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

on_both_logs![
    the_weather_example_runs_from_its_folder,
    without_a_folder_the_handlers_below_the_current_one_run,
];

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

fn without_a_folder_the_handlers_below_the_current_one_run(mut world: Scenario) {
    let (input, middle, output) = (world.name("in"), world.name("middle"), world.name("out"));
    for (label, from, to) in [("first", &input, &middle), ("second", &middle, &output)] {
        let manifest = Manifest::component(label, &build::guest("identity"));
        world.deploy(manifest.from(&[from]).to(&[to]));
    }
    let log = world.log_args();
    let mut host = Host::dev(world.directory(), &["--no-build", &log[0], &log[1]]);
    host.wait_until_ready();
    assert_eq!(host.post(&input, &[], b"through both").status, 200);
    assert_eq!(sorted_texts(&world.wait_for(&output, 1)), ["through both"]);
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

#[test]
fn without_any_handler_folder_dev_explains_what_one_is() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let ran = cli::run(directory.path(), ["dev"]);
    let explained = ["handler.toml", "name =", "component =", "from =", "lockstep dev path/to/"];
    ran.fails(2, &explained);
    let ran = cli::run(directory.path(), ["dev", "no/such/folder"]);
    ran.fails(2, &["no/such/folder", "handler.toml"]);
    let left = std::fs::read_dir(directory.path()).expect("the directory can be read").count();
    assert_eq!(left, 0, "a refused command leaves nothing behind");
}
