//! Partitions that wait for a retry, or have stopped, and change hands meanwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use lockstep_tests::host::Host;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::{eventually, eventually_ok};

const PARTITIONS: i32 = 4;
const PATIENT: &str = "[retry]\nattempts = 1000\ninitial = \"50ms\"\nmax = \"200ms\"";

/// A handler on one host, with an event in each partition that cannot be handled yet.
struct Waiting {
    world: Scenario,
    ledger: Ledger,
    handler: Deployed,
    output: String,
    first: Host,
    /// When the events can be handled, in milliseconds since 1970.
    until: u128,
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

impl Waiting {
    fn new(test: &str, more: &str, ms: u128) -> Self {
        let mut world = Scenario::new(LogKind::Kafka, test);
        let (input, output) = (world.topic("in", 4), world.topic("out", 1));
        let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
        let handler = world.deploy(manifest.with(more));
        let first = world.start_as("host-1");
        let (mut ledger, until) = (Ledger::of(&input), now_ms() + ms);
        let waits = format!(r#"{{"do":"retryable-until","until":{until}}}"#);
        for partition in 0..PARTITIONS {
            ledger.produce(&world, partition, ["ahead", "ahead too", &waits]);
            ledger.produce(&world, partition, (0..50).map(|n| format!("behind {n}")));
        }
        world.wait_for(&output, 8);
        Self { world, ledger, handler, output, first, until }
    }

    /// Nothing has passed the events that wait, and there is still time to wait.
    fn assert_all_wait(&self) {
        assert_eq!(self.world.read(&self.output).len(), 8);
        assert!(now_ms() < self.until, "this machine is too slow to tell");
    }

    /// Where the first host says that it has stopped.
    fn stopped_at(&self) -> Vec<String> {
        let workers = self.first.handler(&self.handler.name)["workers"].clone();
        let workers = workers.as_array().cloned().unwrap_or_default();
        let places = workers.iter().filter_map(|worker| worker["stopped_at"].as_array()).flatten();
        places.filter_map(|place| place.as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn on_kafka_partitions_that_wait_for_a_retry_move_to_another_host_with_all_they_have() {
    let waiting = Waiting::new("retry-moves", PATIENT, 9_000);
    let second = waiting.world.start_as("host-2");
    Host::wait_until_shared(&[&waiting.first, &second], 4);
    waiting.assert_all_wait();
    waiting.ledger.assert_exactly_once(&waiting.world, &waiting.handler, &waiting.output);
}

#[test]
fn on_kafka_partitions_that_wait_for_a_retry_go_to_another_host_and_come_back() {
    let waiting = Waiting::new("retry-comes-back", PATIENT, 12_000);
    let mut second = waiting.world.start_as("host-2");
    Host::wait_until_shared(&[&waiting.first, &second], 4);
    assert_eq!(second.terminate().0, 0, "{}", second.output());
    Host::wait_until_shared(&[&waiting.first], 4);
    waiting.assert_all_wait();
    waiting.ledger.assert_exactly_once(&waiting.world, &waiting.handler, &waiting.output);
}

/// All four partitions have stopped, could be handled by now, and two have gone to a new host.
fn stopped_and_shared(test: &str) -> (Waiting, Host) {
    let stop = "on_failure = \"stop\"\n[retry]\nattempts = 1";
    let waiting = Waiting::new(test, stop, 6_000);
    eventually("all four have stopped", || waiting.stopped_at().len() == 4);
    waiting.assert_all_wait();
    eventually("the time has come", || now_ms() > waiting.until);
    let second = waiting.world.start_as("host-2");
    Host::wait_until_shared(&[&waiting.first, &second], 4);
    (waiting, second)
}

#[test]
fn on_kafka_partitions_that_have_stopped_are_tried_again_by_their_next_owner() {
    let (mut waiting, _second) = stopped_and_shared("stopped-moves");
    // What has moved is done; what has not goes on waiting for a restart.
    let (two_done, output) = (8 + 2 * 51, &waiting.output);
    waiting.world.wait_for(output, two_done);
    assert_eq!(waiting.world.read(output).len(), two_done);
    assert_eq!(waiting.first.terminate().0, 0, "{}", waiting.first.output());
    waiting.ledger.assert_exactly_once(&waiting.world, &waiting.handler, &waiting.output);
}

#[test]
fn on_kafka_a_host_does_not_report_partitions_that_it_has_no_more_as_stopped() {
    let (waiting, _second) = stopped_and_shared("stopped-status");
    let own = waiting.first.partitions();
    eventually_ok("the first host names what it still has", || {
        let stopped = waiting.stopped_at();
        let mine = |place: &String| own.iter().any(|own| place.starts_with(&format!("{own}/")));
        let right = stopped.len() == 2 && stopped.iter().all(mine);
        if right { Ok(()) } else { Err(format!("{stopped:?}, and it has {own:?}")) }
    });
}
