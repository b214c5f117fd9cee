//! `lockstep audit`, as its users run it: what it says of handlers that are good and of histories
//! that are not, and that it leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::event;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::Process;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::{build, seam};
use serde_json::Value;

on_both_logs![
    an_identity_handler_keeps_every_promise_while_hosts_are_killed,
    a_handler_that_routes_by_name_is_audited_with_its_own_cases,
    a_stop_ends_an_audit_early_and_removes_what_it_made,
    a_host_that_breaks_promises_is_found_out_and_its_history_kept,
];

/// What an audit of a test takes at most, with its recoveries.
const DEADLINE: Duration = Duration::from_secs(180);

/// The command `lockstep audit`, in the directory of the world and on its brokers, if it has any.
fn audit(world: &Scenario, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("audit").args(args).current_dir(world.directory());
    // What is kept lies in the world, and goes with it.
    command.env_remove("LOCKSTEP_LOG").env("TMPDIR", world.directory());
    if let Some(broker) = world.broker() {
        command.args(["--brokers", broker]);
    }
    command
}

#[track_caller]
fn run(mut command: Command) -> Ran {
    cli::finish_within(DEADLINE, &mut command, b"")
}

#[track_caller]
fn report(world: &Scenario, file: &str) -> Value {
    let text = fs::read_to_string(world.directory().join(file)).expect("the report is written");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

/// Topics and groups with this in their names. Other tests may audit at the same time.
fn names_with(world: &Scenario, part: &str) -> Vec<String> {
    let log = seam::open(world);
    let topics = log.admin().topics().expect("the log answers").into_iter().map(|t| t.name);
    let groups = log.admin().groups().expect("the log answers");
    topics.chain(groups).filter(|name| name.contains(part)).collect()
}

/// What lies in the directory of the world and begins like this.
fn files(world: &Scenario, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(world.directory()).expect("it can be read").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn an_identity_handler_keeps_every_promise_while_hosts_are_killed(world: Scenario) {
    let bystander = world.topic("bystander", 1);
    world.produce([event(&bystander, "untouched")]);
    let component = build::guest("identity").display().to_string();
    let args = ["--for", "8s", "--rate", "300", "--seed", "11", "--report", "report.json"];
    let args = [&[component.as_str(), "--history", "history.ndjson"], &args[..]].concat();
    let ran = run(audit(&world, build::lockstep(), &args));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("kept every promise"), "{ran:?}");
    let report = report(&world, "report.json");
    assert_eq!(report["kept"], true, "{report}");
    assert_eq!(report["run"]["seed"], 11);
    assert!(report["totals"]["inputs"].as_u64() > Some(500), "{report}");
    assert_eq!(report["totals"]["inputs"], report["totals"]["outputs"], "{report}");
    assert_eq!(report["totals"]["inputs"], report["model"]["expects"], "{report}");
    assert!(report["totals"]["faults"]["kill -9"].as_u64() >= Some(1), "{report}");
    let recovery = report["recovery"].as_array().into_iter().flatten();
    assert_eq!(recovery.filter(|line| line["fault"] == "kill -9").count(), 1, "{report}");
    assert_eq!(report["promises"].as_array().map(Vec::len), Some(9), "{report}");

    let group = report["run"]["group"].as_str().expect("the run has a group");
    assert!(group.starts_with("lockstep-audit-"), "{group}");
    assert_eq!(names_with(&world, group), Vec::<String>::new());
    assert_eq!(world.read(&bystander).len(), 1);
    assert_eq!(files(&world, "lockstep-audit-"), Vec::<String>::new());

    // The same history is judged the same, and one that was doctored is not.
    let again = cli::run(world.directory(), ["audit", "check", "history.ndjson"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("kept every promise"), "{again:?}");
    let lost = without_a_result(&world.directory().join("history.ndjson"));
    let check = ["audit", "check", "history.ndjson", "--report", "again.json"];
    let again = cli::run(world.directory(), check);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stdout.contains(&lost), "{lost} is not named: {again:?}");
    assert!(again.stdout.contains("an input without its results"), "{again:?}");
    let report = self::report(&world, "again.json");
    assert_eq!(broken(&report, "lost"), 1, "{report}");
    assert_eq!(report["kept"], false);
}

/// How often a promise was broken.
fn broken(report: &Value, promise: &str) -> u64 {
    let lines = report["promises"].as_array().into_iter().flatten();
    let line = lines.into_iter().find(|line| line["promise"] == promise);
    line.and_then(|line| line["broken"].as_u64()).unwrap_or_else(|| panic!("{promise}: {report}"))
}

/// Takes one result out of a history, wherever it was seen, and names its input.
fn without_a_result(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("there is a history");
    let entries = text.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).expect("a history is JSON");
        (line, entry)
    });
    let entries: Vec<_> = entries.collect();
    let source = |entry: &Value| entry["origin"]["source"].as_str().map(str::to_owned);
    let lost = entries.iter().rev().find_map(|(_, entry)| source(entry));
    let lost = lost.expect("the history has results");
    let kept = entries.iter().filter(|(_, entry)| source(entry).as_ref() != Some(&lost));
    let kept: Vec<_> = kept.map(|(line, _)| *line).collect();
    fs::write(file, kept.join("\n") + "\n").expect("the history can be written");
    lost
}

fn a_handler_that_routes_by_name_is_audited_with_its_own_cases(world: Scenario) {
    example(&world, "split");
    let args = ["split", "--no-build", "--for", "4s", "--rate", "100", "--report", "report.json"];
    let ran = run(audit(&world, build::lockstep(), &args));
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = report(&world, "report.json");
    let total = |name: &str| report["totals"][name].as_u64().unwrap_or_default();
    assert!(total("inputs") > 50, "{report}");
    assert_eq!(report["totals"]["inputs"], report["model"]["expects"], "{report}");
    // It names its topics in its code; whatever they are called in the audit, it finds them.
    assert_eq!(total("dead_letters"), 0, "{report}");
    assert!(total("outputs") >= 2 * total("inputs"), "{report}");
}

fn a_stop_ends_an_audit_early_and_removes_what_it_made(world: Scenario) {
    let component = build::guest("identity").display().to_string();
    let mut command = audit(&world, build::lockstep(), &[&component, "--for", "5m"]);
    let mut running = Process::start("lockstep audit", &mut command);
    let killed = running.find_line(DEADLINE, |line| line.contains("kill -9").then_some(()));
    assert!(killed.is_some(), "{}", running.output());
    running.signal(rustix::process::Signal::TERM);
    let status = running.wait(DEADLINE);
    assert_eq!(status.code(), Some(1), "{}", running.output());
    let said = running.output();
    assert!(said.contains("stopped before"), "{said}");
    if world.kind == LogKind::Kafka {
        let (_, rest) = said.split_once("made topics ").expect("it says what it makes");
        let prefix: String = rest.chars().take("lockstep-audit-00000000".len()).collect();
        assert_eq!(names_with(&world, &prefix), Vec::<String>::new());
    }
    assert_eq!(files(&world, "lockstep-audit-"), Vec::<String>::new());
}

fn a_host_that_breaks_promises_is_found_out_and_its_history_kept(world: Scenario) {
    let component = build::guest("identity").display().to_string();
    let args = [component.as_str(), "--for", "5s", "--rate", "200", "--report", "report.json"];
    let mut command = audit(&world, build::lockstep_failpoints(), &args);
    let ran = run({
        // What it gives up it does not try again.
        command.env("FAILPOINTS", "abort-transaction=2*off->3*return;mutant-skip-rewind=return");
        command
    });
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("an input without its results"), "{ran:?}");
    let report = report(&world, "report.json");
    assert!(broken(&report, "lost") > 0, "{report}");
    let history = report["left"]["history"].as_str().expect("the history is kept");
    let again = cli::run(world.directory(), ["audit", "check", history]);
    assert_eq!(again.code, 1, "{again:?}");
    let group = report["run"]["group"].as_str().expect("the run has a group");
    if world.kind == LogKind::Kafka {
        assert!(!names_with(&world, group).is_empty(), "what shows the trouble is kept");
    }
}

#[test]
fn on_embedded_a_handler_that_keeps_state_has_no_model_and_is_checked_all_the_same() {
    let world = Scenario::new(LogKind::Embedded, "audit-state");
    let component = build::guest("scripted").display().to_string();
    let count = "{\"key\":\"a\",\"value\":{\"json\":{\"do\":\"count\"}}}\n";
    fs::write(world.directory().join("inputs.ndjson"), count).expect("it can be written");
    let inputs = ["--inputs", "inputs.ndjson", "--report", "report.json"];
    let args = [&[component.as_str(), "--for", "3s", "--rate", "100"], &inputs[..]].concat();
    let ran = run(audit(&world, build::lockstep(), &args));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("compared with no model"), "{ran:?}");
    let report = report(&world, "report.json");
    let reason = report["model"]["none"].as_str().unwrap_or_default();
    assert!(reason.contains("made different things of event"), "{report}");
    assert_eq!(report["model"]["expects"], 0);
    assert_eq!(report["totals"]["inputs"], report["totals"]["outputs"], "{report}");
}

#[test]
fn on_embedded_a_handler_that_would_halt_without_end_is_refused() {
    let world = Scenario::new(LogKind::Embedded, "audit-halt");
    let component = build::guest("scripted").display().to_string();
    let manifest = format!(
        "name = \"h\"\ncomponent = {component:?}\nfrom = [\"in\"]\nto = [\"out\"]\n\
         on_failure = \"stop\"\n"
    );
    let bad = "{\"value\":{\"json\":{\"do\":\"permanent\",\"message\":\"no good\"}}}\n";
    fs::write(world.directory().join("handler.toml"), manifest).expect("it can be written");
    fs::write(world.directory().join("bad.ndjson"), bad).expect("it can be written");
    let args = ["--no-build", "--inputs", "bad.ndjson"];
    let ran = run(audit(&world, build::lockstep(), &args));
    ran.fails(1, &["on_failure", "permanent: no good", "--inputs"]);
}

#[test]
fn on_embedded_what_is_no_component_no_event_and_no_history_is_refused_by_name() {
    let world = Scenario::new(LogKind::Embedded, "audit-mistakes");
    let write = |name: &str, text: &str| {
        fs::write(world.directory().join(name), text).expect("it can be written");
    };
    write("text.wasm", "not a component");
    write("inputs.ndjson", "{\"value\":\"a\"}\n{\"valu\":\"b\"}\n");
    write("history.ndjson", "{\"at_us\":1,\"what\":\"frozen\"}\n");
    let lockstep = |args: &[&str]| cli::run(world.directory(), ["audit"].iter().chain(args));
    lockstep(&["text.wasm"]).fails(1, &["text.wasm"]);
    lockstep(&["gone.wasm"]).fails(1, &["gone.wasm", "build it"]);
    lockstep(&["nowhere"]).fails(2, &["nowhere", "handler.toml"]);
    let component = build::guest("identity").display().to_string();
    lockstep(&[&component, "--inputs", "inputs.ndjson"]).fails(2, &["inputs.ndjson", "line 2"]);
    lockstep(&[&component, "--for", "0s"]).fails(2, &["--for"]);
    lockstep(&["check", "history.ndjson"]).fails(2, &["history.ndjson", "audit --history"]);
    lockstep(&["check", "gone.ndjson"]).fails(2, &["gone.ndjson"]);
    assert_eq!(files(&world, "lockstep"), Vec::<String>::new());
}

/// The folder of an example in a copy, with a component that is built.
fn example(world: &Scenario, name: &str) {
    let folder = world.directory().join(name);
    copy(&build::example_source(name), &folder);
    let manifest = fs::read_to_string(folder.join("handler.toml")).expect("a manifest");
    let mut manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
    let component = build::example(name).display().to_string();
    manifest.insert("component".to_owned(), component.into());
    fs::write(folder.join("handler.toml"), manifest.to_string()).expect("it can be written");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory can be written");
    for entry in fs::read_dir(from).expect("the example can be read").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a file can be copied");
        }
    }
}
