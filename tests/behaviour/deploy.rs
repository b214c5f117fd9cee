//! Handlers are shipped through the log: every host of the fleet runs what is deployed.

use std::fs;

use lockstep::event::Consumed;
use lockstep_tests::event::{Has, event};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::log::LogKind;
use lockstep_tests::oci_registry::Registry;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

on_both_logs![
    a_handler_is_deployed_swapped_rolled_back_and_deleted,
    a_handler_is_paused_resumed_restarted_and_scaled,
    one_host_alone_is_paused_scaled_restarted_and_resumed,
    a_host_that_starts_later_runs_what_is_deployed,
    what_cannot_run_is_refused_before_anything_is_written,
    what_a_host_cannot_run_is_taken_back,
    a_component_of_many_megabytes_is_deployed,
    what_a_revision_has_handled_is_recorded_and_handled_again,
    only_signed_components_run_where_that_is_asked_for,
];

fn a_handler_is_deployed_swapped_rolled_back_and_deleted(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    let mut host = fleet.world.start();
    let said = fleet.deploy("identity", &[]).ok();
    for part in ["revision 1 is active", "sha256:", "runs on    host-1"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(fleet.answered_by(), 1);
    let said = fleet.deploy("identity", &[]).ok();
    assert!(said.contains("nothing to deploy: revision 1"), "{said}");
    let said = fleet.deploy("stamp", &["--limit", "memory=32MiB"]).ok();
    for part in
        ["revision 2 is active", "changed    component: ", "limits.memory: \"32MiB\" is new"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    host.logged(&["revision activated", "revision=2", "swapped"]);
    assert_eq!(fleet.answered_by(), 2);

    fleet.run(&["handler", "rollback", &fleet.name]).ok();
    assert_eq!(fleet.answered_by(), 1);
    fleet.run(&["handler", "rollback", &fleet.name]).fails(1, &["no revision before 1"]);
    fleet.run(&["handler", "rollback", &fleet.name, "--to", "2"]).ok();
    assert_eq!(fleet.answered_by(), 2);
    let history = fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json();
    let lines: Vec<_> = history.as_array().expect("a list").iter().collect();
    assert_eq!(
        (lines.len(), &lines[0]["revision"], &lines[0]["active"]),
        (2, &2.into(), &true.into())
    );

    fleet.run(&["handler", "delete", &fleet.name]).fails(2, &["--yes"]);
    fleet.run(&["handler", "delete", &fleet.name, "--yes"]).ok();
    fleet.run(&["handler", "pause", &fleet.name]).fails(3, &[&fleet.name, "no handler"]);
    let list = fleet.run(&["handler", "list"]).ok();
    assert!(list.contains("nothing is deployed"), "{list}");
    fleet.deploy("identity", &[]).ok();
    assert_eq!(fleet.answered_by(), 3, "numbers are never used twice");
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

fn a_handler_is_paused_resumed_restarted_and_scaled(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    assert_eq!(fleet.answered_by(), 1);
    let said = fleet.run(&["handler", "pause", &fleet.name]).ok();
    assert!(said.contains("is paused on host-1"), "{said}");
    fleet.run(&["handler", "pause", &fleet.name]).fails(1, &["is paused already"]);
    fleet.world.produce([event(&fleet.input, "waits")]);
    let status = fleet.status();
    assert_eq!((&status["paused"], &status["hosts"][0]["state"]), (&true.into(), &"paused".into()));
    assert_eq!(fleet.world.read(&fleet.output).len(), 1);
    fleet.run(&["handler", "resume", &fleet.name]).ok();
    let outputs = fleet.world.wait_for(&fleet.output, 2);
    assert_eq!(outputs.iter().filter(|output| output.text() == "waits").count(), 1);

    fleet.run(&["handler", "restart", &fleet.name]).ok();
    host.logged(&["worker stopped", &fleet.name]);
    assert_eq!(fleet.answered_by(), 1);
    fleet.run(&["handler", "scale", &fleet.name, "--workers", "2"]).ok();
    assert_eq!(host.handler(&fleet.name)["workers"].as_array().map(Vec::len), Some(2));
    fleet.run(&["handler", "scale", &fleet.name, "--as-manifest"]).ok();
    assert_eq!(host.handler(&fleet.name)["workers"].as_array().map(Vec::len), Some(1));
    let status = fleet.status();
    assert_eq!(status["hosts"][0]["host"], "host-1");
    let lag = || {
        fleet.status()["partitions"]
            .as_array()
            .map(|all| all.iter().filter_map(|partition| partition["lag"].as_i64()).sum::<i64>())
    };
    eventually("nothing waits", || lag() == Some(0));
}

fn one_host_alone_is_paused_scaled_restarted_and_resumed(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    let names: &[&str] = match fleet.world.kind {
        LogKind::Embedded => &["host-1"],
        LogKind::Kafka => &["host-1", "host-2"],
    };
    let hosts: Vec<_> = names.iter().map(|name| fleet.world.start_as(name)).collect();
    fleet.deploy("identity", &[]).ok();
    let verb = |verb: &str, more: &[&str]| {
        fleet.run(&[&["handler", verb, &fleet.name, "--host", "host-1"], more].concat())
    };
    let on = |host: &str| {
        let hosts = fleet.status()["hosts"].clone();
        let one = hosts.as_array().into_iter().flatten().find(|one| one["host"] == host).cloned();
        let one = one.unwrap_or_else(|| panic!("{host} is not in {hosts}"));
        (one["state"].as_str().unwrap_or_default().to_owned(), one["workers"].as_u64())
    };
    let elsewhere = || names.iter().skip(1).map(|host| on(host));
    let nowhere = ["handler", "pause", &fleet.name, "--host", "host-7"];
    fleet.run(&nowhere).fails(1, &["host \"host-7\" is not there", "host-1"]);

    let said = verb("pause", &[]).ok();
    assert!(said.contains("is paused on host-1\n"), "{said}");
    assert_eq!(on("host-1").0, "paused");
    assert!(elsewhere().all(|one| one == ("running".to_owned(), Some(1))));
    verb("pause", &[]).fails(1, &["is paused on host \"host-1\" already"]);
    if names.len() > 1 {
        assert_eq!(fleet.answered_by(), 1, "the other host has all partitions");
    }
    verb("scale", &["--workers", "2"]).ok();
    let said = verb("resume", &[]).ok();
    assert!(said.contains("runs revision 1 on host-1\n"), "{said}");
    assert_eq!(on("host-1"), ("running".to_owned(), Some(2)));
    assert!(elsewhere().all(|one| one == ("running".to_owned(), Some(1))));
    verb("restart", &[]).ok();
    hosts[0].logged(&["revision activated", "change=started", "revision=1"]);
    fleet.run(&["handler", "resume", &fleet.name]).fails(1, &["is not paused"]);

    // Who deploys wants it to run as the manifest says.
    fleet.deploy("stamp", &[]).ok();
    assert_eq!(on("host-1"), ("running".to_owned(), Some(1)));
    assert_eq!(fleet.answered_by(), 2);
}

fn a_host_that_starts_later_runs_what_is_deployed(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    if fleet.world.kind == LogKind::Embedded {
        // The directory becomes a log with its first host.
        let mut host = fleet.world.start();
        assert_eq!(host.terminate().0, 0);
    }
    let said = fleet.deploy("identity", &["--timeout", "20s"]).ok();
    assert!(said.contains("no host is there"), "{said}");
    fleet.deploy("stamp", &["--no-wait"]).ok();
    let mut host = fleet.world.start();
    assert_eq!(fleet.answered_by(), 2);
    host.kill9();
    drop(host);
    let host = fleet.world.start();
    assert_eq!(fleet.answered_by(), 2);
    assert!(!host.output().contains("revision=1"), "what is past is not run\n{}", host.output());
}

fn what_cannot_run_is_refused_before_anything_is_written(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fs::write(fleet.folder.join("handler.wasm"), "garbage").expect("it can be written");
    let folder = fleet.folder.display().to_string();
    fleet.run(&["deploy", "--no-build", &folder]).fails(1, &["not WebAssembly"]);
    fleet.deploy("wrong-world", &[]).fails(1, &["export"]);
    fleet.deploy("stamp", &["--limit", "memory=much"]).fails(2, &["limits.memory"]);
    fleet
        .deploy("stamp", &["--to", "nowhere-at-all"])
        .fails(1, &["\"nowhere-at-all\"", "topic create"]);
    let wasm = fleet.folder.join("handler.wasm").display().to_string();
    fleet.run(&["deploy", &wasm]).fails(2, &["--name NAME", "--from TOPIC"]);
    assert_eq!(fleet.answered_by(), 1);
    let history = fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json();
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
}

fn what_a_host_cannot_run_is_taken_back(world: Scenario) {
    let mut fleet = Fleet::new(world, 1);
    // A handler of the host's own goes first.
    let own = Manifest::guest("identity").from(&[&fleet.input]).to(&[&fleet.output]);
    let name = fleet.name.clone();
    fleet.world.deploy(own.with(&format!("name = {name:?}")));
    let host = fleet.world.start();
    fleet.deploy("stamp", &[]).fails(1, &["host-1", "configuration of this host", "taken back"]);
    assert_eq!(fleet.answered_by(), 1);
    assert_eq!(host.handler(&fleet.name)["revision"], 1);
    let list = fleet.run(&["handler", "list"]).ok();
    assert!(list.contains("nothing is deployed"), "{list}");
}

fn a_component_of_many_megabytes_is_deployed(world: Scenario) {
    const BYTES: usize = 20 << 20;
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    // A custom section that nobody reads, as debug information is: random, so that no compression
    // makes it small.
    let mut component = fs::read(lockstep_tests::build::guest("identity")).expect("a guest");
    let mut section = vec![0];
    let mut content = vec![1, b'x'];
    let mut random: u64 = 1;
    content.extend((0..BYTES).map(|_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 56) as u8
    }));
    let mut size = content.len();
    while size >= 0x80 {
        section.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    section.push(size as u8);
    component.extend(section.into_iter().chain(content));
    fs::write(fleet.folder.join("handler.wasm"), &component).expect("it can be written");
    let folder = fleet.folder.display().to_string();
    let said = fleet.run(&["deploy", "--no-build", &folder]).ok();
    assert!(said.contains("20.0 MiB") && said.contains("runs on    host-1"), "{said}");
    assert_eq!(fleet.answered_by(), 1);
}

fn what_a_revision_has_handled_is_recorded_and_handled_again(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    let history = || fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json();
    let revisions = || -> Vec<u64> {
        let by = |output: &Consumed| output.last_header("lockstep-handler").unwrap_or_default();
        let number = |by: String| by.rsplit_once('@').and_then(|(_, number)| number.parse().ok());
        fleet.world.read(&fleet.output).iter().filter_map(|output| number(by(output))).collect()
    };
    fleet.deploy("identity", &[]).ok();
    fleet.world.produce(["a", "b", "c"].map(|text| event(&fleet.input, text)));
    fleet.world.wait_for(&fleet.output, 3);
    fleet.deploy("stamp", &[]).ok();
    fleet.world.produce(["d", "e"].map(|text| event(&fleet.input, text)));
    fleet.world.wait_for(&fleet.output, 5);

    // The log may give offsets to more than events: what counts is where the fourth stands.
    let fourth = fleet.world.read(&fleet.input)[3].offset;
    let second = &history()[0];
    assert_eq!((&second["revision"], &second["handled"][0]["from"]), (&2.into(), &fourth.into()));
    let first = &history()[1];
    assert_eq!(
        (&first["handled"][0]["from"], &first["handled"][0]["to"]),
        (&0.into(), &fourth.into())
    );

    let rewind = ["handler", "rollback", &fleet.name, "--rewind"];
    fleet.run(&rewind).fails(2, &["--yes", "revision 1", "2 events again"]);
    assert_eq!(fleet.answered_by(), 2, "who does not say yes changes nothing");
    let said = fleet.run(&[&rewind[..], &["--yes"]].concat()).ok();
    assert!(said.contains("runs revision 1") && said.contains("3 events"), "{said}");
    fleet.world.wait_for(&fleet.output, 9);
    assert_eq!(revisions(), [1, 1, 1, 2, 2, 2, 1, 1, 1]);

    fleet.run(&["handler", "reset", &fleet.name, "--to", "earliest", "--yes"]).ok();
    fleet.world.wait_for(&fleet.output, 15);
    assert_eq!(revisions()[9..], [1; 6]);
    assert_eq!(fleet.answered_by(), 1);
}

fn only_signed_components_run_where_that_is_asked_for(world: Scenario) {
    let mut fleet = Fleet::new(world, 1);
    let key = fleet.world.directory().join("release.key").display().to_string();
    lockstep_tests::cli::run(fleet.world.directory(), ["key", "generate", &key]).ok();
    fleet.world.configure("[signatures]\ntrusted = [\"release.key.pub\"]");
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).fails(1, &["is not signed", "host-1", "taken back"]);
    fleet.deploy("identity", &["--key", &key]).ok();
    let active = fleet.answered_by();
    let other = format!("{key}.other");
    lockstep_tests::cli::run(fleet.world.directory(), ["key", "generate", &other]).ok();
    fleet.deploy("stamp", &["--key", &other]).fails(1, &["which is not trusted", "active again"]);
    assert_eq!(fleet.answered_by(), active, "{}", host.output());
}

#[test]
fn a_component_of_an_oci_registry_is_deployed() {
    let fleet = Fleet::new(Scenario::new(LogKind::Embedded, "from-oci"), 1);
    let _host = fleet.world.start();
    let registry = Registry::start();
    let component = fs::read(lockstep_tests::build::guest("stamp")).expect("a guest");
    let digest = registry.push_component("acme/stamp", "1", &component);
    let reference = registry.reference(&format!("acme/stamp:1@{digest}"));
    fleet.run(&["deploy", &reference]).fails(2, &["--name NAME", "--from TOPIC"]);
    let (from, to) = (&*fleet.input, &*fleet.output);
    let args = ["deploy", &reference, "--name", &fleet.name, "--from", from, "--to", to];
    fleet.run(&args).ok();
    assert_eq!(fleet.answered_by(), 1);
    let wrong = reference.replace(&digest[digest.len() - 8..], "00000000");
    fleet.run(&["deploy", &wrong, "--name", "x", "--from", from]).fails(1, &["acme/stamp"]);
}

#[test]
fn two_who_deploy_at_once_do_not_overwrite_each_other() {
    let fleet = Fleet::new(Scenario::new(LogKind::Kafka, "at-once"), 1);
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.guest("stamp");
    let folder = fleet.folder.display().to_string();
    let deploy = |limit: &str| {
        let mut command = fleet.command(&["deploy", "--no-build", &folder, "--limit", limit]);
        std::thread::spawn(move || lockstep_tests::cli::finish(&mut command, b""))
    };
    let both = [deploy("memory=32MiB"), deploy("memory=48MiB")];
    let both = both.map(|deploying| deploying.join().expect("it ends"));
    let active = fleet.answered_by();
    // Either they were one after the other, or the second was told.
    match both.iter().find(|ran| ran.code != 0) {
        None => assert_eq!(active, 3, "{both:?}"),
        Some(refused) => {
            assert!(refused.stderr.contains("revision 2 of handler"), "{both:?}");
            assert!(refused.stderr.contains("came between"), "{both:?}");
            assert_eq!(active, 2, "{both:?}");
        }
    }
}

#[test]
fn on_kafka_every_host_of_a_fleet_runs_what_is_deployed() {
    let fleet = Fleet::new(Scenario::new(LogKind::Kafka, "every-host"), 4);
    let hosts = [fleet.world.start_as("host-1"), fleet.world.start_as("host-2")];
    let said = fleet.deploy("identity", &[]).ok();
    assert!(said.contains("host-1") && said.contains("host-2"), "{said}");
    let said = fleet.deploy("stamp", &[]).ok();
    assert!(said.contains("host-1") && said.contains("host-2"), "{said}");
    for host in &hosts {
        assert_eq!(host.handler(&fleet.name)["revision"], 2);
    }
    let [mut first, _second] = hosts;
    assert_eq!(first.terminate().0, 0);
    let status = fleet.status();
    assert_eq!(status["hosts"].as_array().map(Vec::len), Some(1), "who leaves says so: {status}");
    assert_eq!(fleet.answered_by(), 2);
}
