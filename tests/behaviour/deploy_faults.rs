//! Deployments that go wrong half-way: all of one is there, or nothing.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use lockstep_tests::broker::Broker;
use lockstep_tests::fleet::{Fleet, large};
use lockstep_tests::guardian;
use lockstep_tests::scenario::Scenario;

on_both_logs![a_deployer_that_is_killed_leaves_all_or_nothing];

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
