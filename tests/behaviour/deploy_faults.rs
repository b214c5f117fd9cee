//! Deployments that go wrong half-way: all of one is there, or nothing.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use lockstep::event::Consumed;
use lockstep_tests::broker::Broker;
use lockstep_tests::fleet::{Fleet, large};
use lockstep_tests::guardian;
use lockstep_tests::scenario::Scenario;

on_both_logs![
    a_deployer_that_is_killed_leaves_all_or_nothing,
    a_component_that_needs_what_is_not_granted_is_refused_and_nothing_is_written,
];

fn a_deployer_that_is_killed_leaves_all_or_nothing(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fs::write(fleet.folder.join("handler.wasm"), large("stamp", 0)).expect("it can be written");
    let folder = fleet.folder.display().to_string();
    let mut active = 1;
    for after in [5, 20, 40, 80, 160, 320, 640] {
        // Each is a revision of its own.
        let limit = format!("output_events={}", 100 + after);
        let args = ["deploy", "--no-build", "--no-wait", &folder, "--limit", &limit];
        let mut command = fleet.command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut deployer = command.spawn().expect("the program can be run");
        guardian::watch(deployer.id());
        thread::sleep(Duration::from_millis(after));
        deployer.kill().expect("the deployer is ours");
        deployer.wait().expect("the deployer is ours");
        guardian::forget(deployer.id());

        let history = fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json();
        let newest = history[0]["revision"].as_u64().expect("a number");
        assert!(newest == active || newest == active + 1, "{history}");
        assert_eq!(history[0]["active"], true, "written is activated: {history}");
        active = newest;
    }
    fleet.deploy("stamp", &[]).ok();
    assert_eq!(fleet.answered_by(), active + 1);
}

/// A component that imports an interface of this name, and calls it.
fn importing(name: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (import "{name}" (instance (export "f" (func))))
            (core module $m (func (export "handle")))
            (core instance $i (instantiate $m))
            (func $handle (canon lift (core func $i "handle")))
            (instance $out (export "handle" (func $handle)))
            (export "lockstep:handler/event-handler@0.1.0" (instance $out)))"#
    );
    wat::parse_str(text).expect("the component is valid")
}

fn a_component_that_needs_what_is_not_granted_is_refused_and_nothing_is_written(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    let records = || {
        let topics = ["components", "deployments"];
        let name = |topic| format!("_lockstep.{}.{topic}", fleet.world.cluster_id());
        topics.map(|topic| fleet.world.read(&name(topic)))
    };
    let before = records();
    fleet.deploy("old-import", &[]).fails(1, &["acme:legacy/ledger@0.0.1", "does not provide"]);
    let folder = fleet.folder.display().to_string();
    for (name, words) in [
        ("wasi:http/outgoing-handler@0.2.0", "a handler has no network"),
        ("wasi:keyvalue/store@0.2.0", "a handler has no store"),
    ] {
        fs::write(fleet.folder.join("handler.wasm"), importing(name)).expect("it can be written");
        fleet.run(&["deploy", "--no-build", &folder]).fails(1, &[name, words]);
    }
    assert_eq!(fleet.answered_by(), 1);
    // Where a revision began to handle a partition is written with its first event.
    let is_fence = |record: &Consumed| {
        record.event.key.as_deref().is_some_and(|key| key.starts_with(b"fence/"))
    };
    let after = records().map(|records| -> Vec<_> {
        records.into_iter().filter(|record| !is_fence(record)).collect()
    });
    assert_eq!(after, before);
}

#[test]
fn on_kafka_a_deployment_survives_a_broker_that_restarts() {
    let broker = Broker::start();
    let fleet = Fleet::new(Scenario::at_broker(&broker.address(), "broker-restarts"), 1);
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    assert_eq!(fleet.answered_by(), 1);
    fleet.guest("stamp");
    let folder = fleet.folder.display().to_string();
    let mut command = fleet.command(&["deploy", "--no-build", &folder]);
    let deploying = thread::spawn(move || {
        lockstep_tests::cli::finish_within(Duration::from_secs(300), &mut command, b"")
    });
    broker.kill9();
    broker.restart();
    let ran = deploying.join().expect("it ends");
    // It may have given up; then nothing was deployed, and it can be done again.
    let begun = Instant::now();
    let mut again = ran.code != 0;
    while again {
        let ran = fleet.deploy("stamp", &[]);
        again = ran.code != 0;
        assert!(begun.elapsed() < Duration::from_secs(120), "{ran:?}\n{}", host.output());
    }
    assert_eq!(fleet.answered_by(), 2, "{ran:?}\n{}", host.output());
    let history = fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
}
