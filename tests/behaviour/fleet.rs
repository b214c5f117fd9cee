//! Several hosts: on Kafka they share the partitions, on the embedded log the second is refused.

use std::time::{Duration, Instant};

use lockstep_tests::cli;
use lockstep_tests::event::event;
use lockstep_tests::host::Host;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::eventually;

const PARTITIONS: i32 = 4;
/// Far longer than a test: who waits for it, fails.
const LONG_SESSION: &str = "[kafka.consumer]\n\"session.timeout.ms\" = 45000";

/// A handler whose work is spread over many small transactions.
struct Fleet {
    world: Scenario,
    ledger: Ledger,
    handler: Deployed,
    output: String,
}

impl Fleet {
    fn new(test: &str, more: &str) -> Self {
        let mut world = Scenario::new(LogKind::Kafka, test);
        world.configure(more);
        let (input, output) = (world.topic("in", 4), world.topic("out", 2));
        let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
        let handler = world.deploy(manifest.with("[batch]\nevents = 25\ninterval = \"20ms\""));
        Self { ledger: Ledger::of(&input), world, handler, output }
    }

    /// Starts two hosts and waits until each has some of the partitions.
    fn two_hosts(&self) -> [Host; 2] {
        let hosts = [self.world.start_as("host-1"), self.world.start_as("host-2")];
        Host::wait_until_shared(&[&hosts[0], &hosts[1]], PARTITIONS as usize);
        hosts
    }

    /// Writes so many events to each partition and waits until some, and hardly all, are done.
    fn put_under_load(&mut self, count: usize) {
        let already = self.world.read(&self.output).len();
        self.ledger.produce_to_all(&self.world, PARTITIONS, count);
        eventually("the fleet works", || self.world.read(&self.output).len() > already);
    }

    /// Writes to all partitions and waits until everything written so far has its result.
    fn assert_exactly_once(&mut self) {
        self.ledger.produce_to_all(&self.world, PARTITIONS, 10);
        self.ledger.assert_exactly_once(&self.world, &self.handler, &self.output);
    }
}

#[test]
fn on_kafka_two_hosts_share_the_partitions_and_one_takes_over_after_kill_9() {
    let mut fleet = Fleet::new("take-over-after-kill-9", "");
    let [mut first, second] = fleet.two_hosts();
    fleet.put_under_load(500);
    first.kill9();
    fleet.put_under_load(100);
    fleet.assert_exactly_once();
    assert_eq!(second.partitions().len(), 4, "{}", second.output());
}

#[test]
fn on_kafka_a_host_that_is_stopped_leaves_the_group_and_another_takes_over_at_once() {
    let mut fleet = Fleet::new("take-over-after-stop", LONG_SESSION);
    let [mut first, second] = fleet.two_hosts();
    fleet.put_under_load(500);
    let (code, _) = first.terminate();
    assert_eq!(code, 0, "{}", first.output());
    let begun = Instant::now();
    fleet.assert_exactly_once();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "taking over took {took:?}");
    assert_eq!(second.partitions().len(), 4, "{}", second.output());
}

#[test]
fn on_kafka_hosts_join_and_leave_under_load() {
    let mut fleet = Fleet::new("join-and-leave", "");
    let first = fleet.world.start_as("host-1");
    fleet.put_under_load(500);
    let second = fleet.world.start_as("host-2");
    fleet.put_under_load(200);
    Host::wait_until_shared(&[&first, &second], 4);
    let mut third = fleet.world.start_as("host-3");
    fleet.put_under_load(200);
    Host::wait_until_shared(&[&first, &second, &third], 4);
    fleet.put_under_load(200);
    assert_eq!(third.terminate().0, 0, "{}", third.output());
    fleet.put_under_load(200);
    Host::wait_until_shared(&[&first, &second], 4);
    fleet.assert_exactly_once();
}

#[test]
fn on_embedded_a_second_host_is_refused_and_told_who_is_there() {
    let mut world = Scenario::new(LogKind::Embedded, "second-host");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let mut first = world.start_as("host-1");
    let second = cli::finish(&mut Host::command(&world.config("host-2")), b"");
    assert_ne!(second.code, 0);
    let pid = first.process().pid().to_string();
    assert!(second.stderr.contains("host-1") || second.stderr.contains(&pid), "{second:?}");
    // The first one did not notice, and its place is free when it is gone.
    world.produce([event(&input, "still here")]);
    world.wait_for(&output, 1);
    first.kill9();
    let _third = world.start_as("host-2");
    world.produce([event(&input, "next one")]);
    world.wait_for(&output, 2);
}
