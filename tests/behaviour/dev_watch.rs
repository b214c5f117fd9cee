//! `lockstep dev` watches: a save is built and swapped, or the old revision goes on.

use std::fs;
use std::path::Path;
use std::process::Command;

use lockstep_tests::build;
use lockstep_tests::cli;
use lockstep_tests::developer::Developer;
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::paths;
use lockstep_tests::process::{Process, code};
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::{DEADLINE, eventually, eventually_some};
use rustix::process::{Pid, Signal, test_kill_process};

on_both_logs![
    an_edit_is_built_and_swapped,
    what_does_not_build_leaves_the_old_revision_running_until_it_is_mended,
];

fn developer(world: Scenario) -> (Developer, String, String) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let developer = Developer::new(world, "identity", &[&input], &[&output]);
    (developer, input, output)
}

/// Sends an event and gives the revision that answers it.
#[track_caller]
fn answered_by(developer: &Developer, input: &str, output: &str) -> String {
    let before = developer.world.read(output).len();
    developer.world.produce([event(input, "x")]);
    let outputs = developer.world.wait_for(output, before + 1);
    outputs[before].last_header("lockstep-handler").unwrap_or_default()
}

fn an_edit_is_built_and_swapped(world: Scenario) {
    let (developer, input, output) = developer(world);
    let mut host = developer.dev(&[]);
    let name = developer.handler.name.clone();
    assert_eq!(answered_by(&developer, &input, &output), format!("{name}@1"));
    developer.edit("stamp");
    developer.runs(&host, 2);
    assert_eq!(answered_by(&developer, &input, &output), format!("{name}@2"));
    for part in ["changed", "built", "component loaded", "swapped"] {
        host.logged(&[part, &name]);
    }
    let handler = host.handler(&name);
    assert_eq!((&handler["revision"], &handler["workers"][0]["revision"]), (&2.into(), &2.into()));
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

fn what_does_not_build_leaves_the_old_revision_running_until_it_is_mended(world: Scenario) {
    let (developer, input, output) = developer(world);
    let host = developer.dev(&[]);
    let name = developer.handler.name.clone();
    developer.edit("error 42");
    host.logged(&["does not build", &format!("{name}@1 keeps running")]);
    host.logged(&["error: error 42 in source"]);
    assert_eq!(answered_by(&developer, &input, &output), format!("{name}@1"));
    developer.edit("stamp");
    developer.runs(&host, 2);
    assert_eq!(answered_by(&developer, &input, &output), format!("{name}@2"));
}

#[test]
fn properties_that_do_not_hold_are_told_and_hinder_nothing() {
    let (developer, ..) = embedded("properties");
    let mut host = developer.dev(&[]);
    let name = developer.handler.name.clone();
    developer.edit("trap");
    developer.runs(&host, 2);
    host.logged(&["properties do not hold", &format!("{name}@2 runs all the same")]);
    host.logged(&[&format!("{name}/tombstone")]);
    host.logged(&["a tombstone is a fault: trap"]);
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

fn embedded(test: &str) -> (Developer, String, String) {
    developer(Scenario::new(LogKind::Embedded, test))
}

/// The process of a build that takes its time.
#[track_caller]
fn slow_build(developer: &Developer) -> Pid {
    eventually_some("the slow build runs", || {
        let text = fs::read_to_string(developer.folder.join("build.pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    })
}

/// Waits until a process is gone; one that nobody has waited for counts as gone.
#[track_caller]
fn gone(pid: Pid) {
    let pid_of = pid.as_raw_nonzero();
    eventually("the build is gone", || {
        let status = fs::read_to_string(format!("/proc/{pid_of}/status")).unwrap_or_default();
        test_kill_process(pid).is_err() || status.contains("State:\tZ")
    });
}

#[test]
fn a_save_during_a_build_starts_over() {
    let (developer, input, output) = embedded("a_save_during_a_build_starts_over");
    let host = developer.dev(&[]);
    developer.edit("slow");
    let slow = slow_build(&developer);
    developer.edit("stamp");
    developer.runs(&host, 2);
    gone(slow);
    let answer = answered_by(&developer, &input, &output);
    assert_eq!(answer, format!("{}@2", developer.handler.name));
}

#[test]
fn ctrl_c_during_a_build_leaves_no_process() {
    let (developer, ..) = embedded("ctrl_c_during_a_build");
    let mut host = developer.dev(&[]);
    developer.edit("slow");
    let slow = slow_build(&developer);
    host.signal(Signal::INT);
    assert_eq!(code(host.process().wait(DEADLINE)), 0, "{}", host.output());
    gone(slow);

    // The same while nothing runs yet.
    fs::remove_file(developer.folder.join("build.pid")).expect("it is there");
    let log = developer.world.log_args();
    let mut command = cli::command(["dev", "--ingest", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(&log).current_dir(developer.world.directory());
    let mut dev = Process::start("lockstep dev", &mut command);
    let slow = slow_build(&developer);
    dev.signal(Signal::INT);
    assert_eq!(code(dev.wait(DEADLINE)), 0, "{}", dev.output());
    gone(slow);
}

#[test]
fn only_the_sources_that_the_manifest_names_are_watched_and_it_may_name_others() {
    let (developer, ..) = embedded("only_the_sources");
    let host = developer.dev(&[]);
    developer.save("notes", "not watched");
    developer.edit("stamp");
    developer.runs(&host, 2);
    let manifest = developer.manifest();
    let changes = |host: &Host| {
        host.output()
            .lines()
            .filter(|line| line.contains("changed") && line.contains("files="))
            .count()
    };
    assert_eq!(changes(&host), 1, "{}", host.output());

    // The manifest itself is always watched; a setting is a revision of its own.
    let more = manifest.replace("watch = [\"source\"]", "watch = [\"source\", \"notes\"]");
    assert_ne!(more, manifest);
    developer.save("handler.toml", &more);
    developer.runs(&host, 3);
    // Looked at once more, now that other files are watched.
    host.logged(&["nothing to swap"]);
    developer.save("notes", "watched now");
    host.logged(&["changed", "files=\"notes\""]);
}

#[test]
fn without_watching_a_save_changes_nothing() {
    let (developer, input, output) = embedded("without_watching");
    let host = developer.dev(&["--no-watch"]);
    developer.edit("stamp");
    for _ in 0..3 {
        let answer = answered_by(&developer, &input, &output);
        assert_eq!(answer, format!("{}@1", developer.handler.name));
    }
    assert!(!host.output().contains("watching; a save"), "{}", host.output());
}

/// A real handler in a folder of its own, as its author has it.
fn rust_handler(directory: &Path) -> std::path::PathBuf {
    let folder = directory.join("forecasts");
    let weather = build::example_source("weather");
    let wit = build::example_source("").join("../wit").canonicalize().expect("the contract");
    fs::create_dir_all(folder.join("src")).expect("a folder can be made");
    for file in ["src/forecast.rs", "sample.json"] {
        fs::copy(weather.join(file), folder.join(file)).expect("it can be copied");
    }
    let lib = fs::read_to_string(weather.join("src/lib.rs")).expect("the example is text");
    let lib = lib.replace("\"../../wit\"", &format!("{:?}", wit.display().to_string()));
    fs::write(folder.join("src/lib.rs"), lib).expect("it can be written");
    let workspace = fs::read_to_string(build::example_source("Cargo.toml")).expect("a manifest");
    let section = |from: &str, to: &str| {
        let rest = workspace.split_once(from).map(|(_, rest)| rest).unwrap_or_default();
        rest.split(to).next().unwrap_or_default().to_owned()
    };
    let manifest = format!(
        "[package]\nname = \"forecasts\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [workspace]\n[lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\n{}[profile.release]\n{}",
        section("[workspace.dependencies]\n", "\n["),
        section("[profile.release]\n", "\n[")
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("it can be written");
    fs::copy(build::example_source("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    // Where the example's dependencies are built already.
    build::example("weather");
    let target = paths::target().join("examples");
    let component = target.join("wasm32-wasip2/release/forecasts.wasm");
    let manifest = format!(
        "name = \"forecasts\"\ncomponent = {:?}\nfrom = [\"source-topic\"]\n\
         to = [\"destination-topic\"]\n[build]\ncommand = \"cargo build --release \
         --target wasm32-wasip2 --target-dir '{}'\"\n",
        component.display().to_string(),
        target.display()
    );
    fs::write(folder.join("handler.toml"), manifest).expect("it can be written");
    folder
}

#[test]
fn a_handler_in_rust_is_edited_broken_and_mended() {
    let world = Scenario::new(LogKind::Embedded, "a_handler_in_rust");
    let folder = rust_handler(world.directory());
    let log = world.log_args();
    let host = Host::dev(world.directory(), &["forecasts", &log[0], &log[1]]);
    host.wait_until_ready();
    let source = folder.join("src/forecast.rs");
    let original = fs::read_to_string(&source).expect("the source is text");
    let broken = original.replacen("9.0", "\"nine\"", 1);
    assert_ne!(broken, original);
    fs::write(&source, &broken).expect("it can be written");
    host.logged(&["does not build", "forecasts@1 keeps running"]);
    host.logged(&["error[E0277]"]);
    fs::write(&source, original.replacen("32.0", "33.0", 1)).expect("it can be written");
    host.logged(&["swapped", "forecasts@2 runs"]);
    let good = br#"{"date":"2026-01-31","temperatureC":0,"summary":"Cold"}"#;
    assert_eq!(host.post("source-topic", &[], good).status, 200);
    let outputs = world.wait_for("destination-topic", 1);
    assert!(outputs[0].text().contains("\"temperatureF\":33"), "{outputs:?}");
    assert_eq!(outputs[0].last_header("lockstep-handler").as_deref(), Some("forecasts@2"));
}

#[test]
fn on_a_terminal_the_handlers_stay_in_view_and_ctrl_c_leaves_it_as_it_was() {
    let (developer, ..) = embedded("on_a_terminal");
    let log = developer.world.log_args();
    let program = build::lockstep().display().to_string();
    let typescript = developer.world.directory().join("typescript");
    let line = format!(
        "stty rows 24 cols 80; {program} dev --ingest 127.0.0.1:0 --admin 127.0.0.1:0 {} {}; \
         echo ended with $?",
        log[0], log[1]
    );
    // A terminal of its own; what is drawn on it goes to the file as it is drawn.
    let mut script = Command::new("script");
    script.args(["-q", "-f", "-c", &line]).arg(&typescript).env("TERM", "xterm-256color");
    let mut script = Process::start("script", script.current_dir(developer.world.directory()));
    let drawn = || fs::read_to_string(&typescript).unwrap_or_default();
    let shows = |part: &str| {
        eventually(&format!("{part:?} is on the terminal"), || drawn().contains(part));
    };
    shows("Ctrl-C stops");
    shows("running");
    developer.edit("error 42");
    shows("does not build");
    developer.edit("stamp");
    shows("@2");
    let children =
        fs::read_dir("/proc").expect("a system with /proc").flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_string_lossy().parse().ok()?;
            let command = fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let is_dev =
                command.starts_with(&format!("{program}\0dev")) && command.contains(&log[1]);
            is_dev.then_some(pid).and_then(Pid::from_raw)
        });
    let dev: Vec<_> = children.collect();
    assert_eq!(dev.len(), 1, "one dev runs");
    rustix::process::kill_process(dev[0], Signal::INT).expect("it runs");
    script.wait(DEADLINE);
    let drawn = drawn();
    assert!(drawn.contains("ended with 0"), "{drawn}");
    // Drawn for the last time, and then its lines are cleared.
    let (_, end) = drawn.rsplit_once("Ctrl-C stops").expect("the area was drawn");
    assert!(end.contains("\u{1b}[2K"), "the area is gone: {end:?}");
}
