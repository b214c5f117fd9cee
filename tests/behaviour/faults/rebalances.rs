//! Partitions that change hands while everything flows.

use std::time::Duration;

use lockstep_tests::host::Host;
use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::{code, resources};
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

const SOON: Duration = Duration::from_secs(60);

fn trial(test: &str, seed: u64, config: &'static str) -> Trial {
    let world = Scenario::new(LogKind::Kafka, test);
    Trial::new(world, &Setup { seed, config, ..Setup::default() })
}

/// The host is killed by its failpoint, and comes back without it.
fn comes_back(trial: &Trial, mut doomed: Host) -> Host {
    let status = doomed.process().wait(SOON);
    assert_eq!(code(status), -9, "{}", doomed.output());
    trial.fault("kill -9 in a rebalance", "host-1");
    trial.heard(&doomed);
    let back = trial.host("host-1");
    trial.wait_for_progress();
    back
}

#[test]
fn on_kafka_a_host_that_is_killed_while_it_gives_partitions_up_loses_and_repeats_nothing() {
    let trial = trial("killed-in-revoke", 301, "");
    let load = |running| trial.flow(&running);
    let ((), hosts) = beside(load, || {
        let doomed = trial.failing("host-1", "in-revoke=return(kill)");
        trial.wait_until("it has all", || doomed.partitions().len() == 4);
        trial.wait_for_progress();
        let second = trial.host("host-2");
        vec![comes_back(&trial, doomed), second]
    });
    trial.assert_clean(hosts);
}

#[test]
fn on_kafka_a_host_that_is_killed_while_it_takes_partitions_over_loses_and_repeats_nothing() {
    let trial = trial("killed-in-assign", 302, "");
    let load = |running| trial.flow(&running);
    let ((), hosts) = beside(load, || {
        let second = trial.host("host-2");
        trial.wait_for_progress();
        let doomed = trial.failing("host-1", "in-assign=return(kill)");
        vec![comes_back(&trial, doomed), second]
    });
    trial.assert_clean(hosts);
}

#[test]
fn on_kafka_a_storm_of_rebalances_loses_and_repeats_nothing() {
    const ROUNDS: usize = 6;
    let trial = trial("storm", 303, "");
    let stable = trial.host("host-1");
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        for round in 0..ROUNDS {
            let mut guest = trial.host(&format!("host-{}", 2 + round % 2));
            trial.wait_until("it has something", || !guest.partitions().is_empty());
            if round % 2 == 0 {
                assert_eq!(guest.terminate().0, 0, "{}", guest.output());
                trial.fault("leaves", "a host");
            } else {
                guest.kill9();
                trial.fault("kill -9", "a host");
            }
            trial.heard(&guest);
        }
        trial.wait_for_progress();
    });
    trial.assert_clean(vec![stable]);
}

/// A member that comes, gets partitions and goes, so many times.
fn come_and_go(trial: &Trial, times: usize) {
    for _ in 0..times {
        let member: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", trial.world.broker().expect("these are tests on Kafka"))
            .set("group.id", &trial.handler.group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "3000")
            .create()
            .expect("the properties are right");
        member.subscribe(&[&trial.input]).expect("the topic has a name");
        trial.wait_until("the member has something", || {
            member.poll(Duration::from_millis(20));
            member.assignment().is_ok_and(|own| own.count() > 0)
        });
    }
}

/// Each time some partitions go and come back: 100 rebalances after the first ones that fill what
/// is kept must not make the host grow.
#[test]
fn on_kafka_a_hundred_rebalances_leave_neither_threads_nor_files_nor_memory_behind() {
    let trial = trial("bounded", 305, "");
    let mut host = trial.host("host-1");
    let pid = host.process().pid();
    let load = |running| trial.flow(&running);
    let ((), (before, after)) = beside(load, || {
        come_and_go(&trial, 10);
        let before = resources(pid);
        come_and_go(&trial, 50);
        trial.fault("100 rebalances", "host-1");
        trial.wait_until_all_partitions_get_on();
        (before, resources(pid))
    });
    assert!(after.threads <= before.threads + 2, "{before:?}, then {after:?}");
    assert!(after.file_descriptors <= before.file_descriptors + 5, "{before:?}, then {after:?}");
    assert!(after.memory_bytes <= before.memory_bytes + (64 << 20), "{before:?}, then {after:?}");
    trial.assert_clean(vec![host]);
}

/// The group gives its partitions to the other host; what it still does is refused.
#[test]
fn on_kafka_a_host_that_is_slower_than_the_group_allows_loses_its_partitions_and_nothing_else() {
    // As short as a handler with a limit of one second may have it.
    let slow = "[kafka.consumer]\n\"max.poll.interval.ms\" = 32000";
    let trial = trial("slow", 304, slow);
    let other = trial.host("host-2");
    let load = |running| trial.flow(&running);
    let ((), slow) = beside(load, || {
        let slow = trial.failing("host-1", "mid-batch=60*off->1*return(pause 36000)");
        slow.logged(&["failpoint mid-batch pauses"]);
        trial.fault("slower than max.poll.interval.ms", "host-1");
        trial.wait_until("the other host has everything", || other.partitions().len() == 4);
        Host::wait_until_shared(&[&slow, &other], 4);
        trial.wait_for_progress();
        slow
    });
    trial.assert_clean(vec![slow, other]);
}
