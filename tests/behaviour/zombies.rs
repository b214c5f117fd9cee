//! Hosts that were given up and come back, and hosts that take each other's name: what they
//! still do is never visible.

use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::{eventually, eventually_some};
use rustix::process::Signal;

/// A host that is silent is soon given up, and so is its transaction.
const IMPATIENT: &str = "[kafka.consumer]\n\"session.timeout.ms\" = 2000\n\
    \"heartbeat.interval.ms\" = 300\n\
    [kafka.producer]\n\"transaction.timeout.ms\" = 5000\n\"message.timeout.ms\" = 4000";

fn impatient(test: &str) -> (Scenario, Ledger, Deployed, String) {
    let mut world = Scenario::new(LogKind::Kafka, test);
    world.configure(IMPATIENT);
    let (input, output) = (world.topic("in", 4), world.topic("out", 2));
    let small = "limits.time = \"3s\"\n[batch]\nevents = 25\ninterval = \"20ms\"";
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest.with(small));
    (world, Ledger::of(&input), handler, output)
}

/// The frozen host was given up, has learned it, and takes part again.
fn revive(frozen: &Host, other: &Host) {
    frozen.signal(Signal::CONT);
    frozen.logged(&["partitions revoked", "lost=true"]);
    Host::wait_until_shared(&[frozen, other], 4);
}

#[test]
fn on_kafka_nothing_of_a_call_that_was_frozen_beyond_the_session_is_visible() {
    let (world, mut ledger, handler, output) = impatient("frozen-in-a-call");
    let hosts = [world.start_as("host-1"), world.start_as("host-2")];
    Host::wait_until_shared(&[&hosts[0], &hosts[1]], 4);
    ledger.produce_to_all(&world, 4, 50);
    let scripts = [r#"{"do":"print","text":"a call is under way"}"#, r#"{"do":"spin","ms":1500}"#];
    ledger.produce(&world, 2, scripts);
    let at = eventually_some("a host makes the call", || {
        hosts.iter().position(|host| host.output().contains("a call is under way"))
    });
    let (frozen, other) = (&hosts[at], &hosts[1 - at]);
    frozen.signal(Signal::STOP);
    ledger.produce_to_all(&world, 4, 50);
    // The other one takes everything over, the event in question included.
    world.settle(&handler);
    revive(frozen, other);
    ledger.produce_to_all(&world, 4, 50);
    ledger.assert_exactly_once(&world, &handler, &output);
}

#[test]
fn on_kafka_nothing_of_a_host_that_was_frozen_mid_stream_is_visible() {
    let (world, mut ledger, handler, output) = impatient("frozen-mid-stream");
    let hosts = [world.start_as("host-1"), world.start_as("host-2")];
    Host::wait_until_shared(&[&hosts[0], &hosts[1]], 4);
    for (frozen, other) in [(&hosts[0], &hosts[1]), (&hosts[1], &hosts[0])] {
        let already = world.read(&output).len();
        ledger.produce_to_all(&world, 4, 500);
        eventually("the hosts work", || world.read(&output).len() > already);
        frozen.signal(Signal::STOP);
        ledger.produce_to_all(&world, 4, 50);
        world.settle(&handler);
        revive(frozen, other);
    }
    ledger.produce_to_all(&world, 4, 50);
    ledger.assert_exactly_once(&world, &handler, &output);
}

#[test]
fn on_kafka_two_hosts_of_one_name_lose_and_repeat_nothing_and_say_that_there_are_two() {
    let mut world = Scenario::new(LogKind::Kafka, "twins");
    let (input, output) = (world.topic("in", 4), world.topic("out", 2));
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest.with("[batch]\nevents = 25"));
    let mut ledger = Ledger::of(&input);
    let twins = [world.start_as("host-1"), world.start_as("host-1")];
    let says = |text: &str| text.contains("another host") && text.contains("host_id");
    eventually("a twin says that there are two", || {
        ledger.produce_to_all(&world, 4, 20);
        twins.iter().any(|host| host.output().lines().any(says))
    });
    // Also to those who only look at what the workers do.
    eventually("the status says it", || {
        ledger.produce_to_all(&world, 4, 20);
        let status = |host: &Host| http::get(&format!("{}/v1/host", host.admin)).body;
        twins.iter().any(|host| says(&status(host)))
    });
    ledger.assert_exactly_once(&world, &handler, &output);
}
