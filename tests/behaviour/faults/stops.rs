//! Hosts that are told to stop, or frozen, in the middle of something.

use std::time::Duration;

use lockstep::audit::history::Phase;
use lockstep_tests::host::Host;
use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};
use rustix::process::Signal;

on_both_logs![
    a_stop_behind_a_poll_ends_cleanly,
    a_stop_between_two_events_ends_cleanly,
    a_stop_with_some_outputs_written_ends_cleanly,
    a_stop_behind_the_offsets_ends_cleanly,
    a_stop_before_the_end_of_a_transaction_ends_cleanly,
    a_stop_in_an_abort_ends_cleanly,
];

/// A stop must be over long before this.
const DEADLINE: Duration = Duration::from_secs(20);

/// A host is told to stop while it is at this place, and another one goes on.
fn stopped(world: Scenario, seed: u64, place: &str, also: &str) {
    let trial = Trial::new(world, &Setup { seed, ..Setup::default() });
    let beside_it = (trial.world.kind == LogKind::Kafka).then(|| trial.host("host-2"));
    let load = |running| trial.flow(&running);
    let ((), back) = beside(load, || {
        let failpoints = format!("{place}=3*off->1*return(pause 700);{also}");
        let mut host = trial.failing("host-1", &failpoints);
        host.logged(&[&format!("failpoint {place} pauses")]);
        trial.fault(&format!("SIGTERM at {place}"), "host-1");
        let (code, took) = host.terminate();
        assert_eq!(code, 0, "{}", host.output());
        assert!(took < DEADLINE, "a stop took {took:?}\n{}", host.output());
        trial.heard(&host);
        let back = trial.host("host-1");
        trial.wait_for_progress();
        back
    });
    trial.assert_clean(beside_it.into_iter().chain([back]).collect());
}

fn a_stop_behind_a_poll_ends_cleanly(world: Scenario) {
    stopped(world, 201, "after-poll", "");
}

fn a_stop_between_two_events_ends_cleanly(world: Scenario) {
    stopped(world, 202, "mid-batch", "");
}

fn a_stop_with_some_outputs_written_ends_cleanly(world: Scenario) {
    stopped(world, 203, "mid-produce", "");
}

fn a_stop_behind_the_offsets_ends_cleanly(world: Scenario) {
    stopped(world, 204, "after-send-offsets", "");
}

fn a_stop_before_the_end_of_a_transaction_ends_cleanly(world: Scenario) {
    stopped(world, 205, "before-end-txn", "");
}

fn a_stop_in_an_abort_ends_cleanly(world: Scenario) {
    stopped(world, 206, "before-abort", "abort-transaction=20%return");
}

/// A host is frozen at this place until the other one has taken everything over, and longer than
/// its transaction may stay open. What it still does then must not be seen.
fn frozen(test: &str, seed: u64, place: &str) {
    let world = Scenario::new(LogKind::Kafka, test);
    let trial = Trial::new(world, &Setup { seed, ..Setup::default() });
    let other = trial.host("host-2");
    let load = |running| trial.flow(&running);
    let ((), frozen) = beside(load, || {
        let frozen = trial.failing("host-1", &format!("{place}=3*off->1*return(pause 300)"));
        frozen.logged(&[&format!("failpoint {place} pauses")]);
        frozen.signal(Signal::STOP);
        trial.note("SIGSTOP", "host-1", Phase::Begins);
        trial.wait_until("the other host has everything", || other.partitions().len() == 4);
        // Where it left a transaction open, the broker aborts that before its partitions can go on.
        trial.wait_until_all_partitions_get_on();
        frozen.signal(Signal::CONT);
        trial.note("SIGSTOP", "host-1", Phase::Ends);
        Host::wait_until_shared(&[&frozen, &other], 4);
        trial.wait_for_progress();
        frozen
    });
    trial.assert_clean(vec![frozen, other]);
}

#[test]
fn on_kafka_a_host_that_is_frozen_between_two_events_is_a_zombie_whose_work_is_not_seen() {
    frozen("frozen-mid-batch", 211, "mid-batch");
}

#[test]
fn on_kafka_a_host_that_is_frozen_with_a_transaction_open_is_a_zombie_whose_work_is_not_seen() {
    frozen("frozen-open", 212, "after-send-offsets");
}

#[test]
fn on_kafka_a_host_that_is_frozen_before_it_commits_is_a_zombie_whose_work_is_not_seen() {
    frozen("frozen-commit", 213, "before-end-txn");
}

#[test]
fn on_embedded_a_host_that_is_frozen_in_a_transaction_goes_on() {
    let world = Scenario::new(LogKind::Embedded, "frozen-embedded");
    let trial = Trial::new(world, &Setup { seed: 214, ..Setup::default() });
    let host = trial.failing("host-1", "after-commit=3*off->1*return(pause 300)");
    let ((), ()) = beside(
        |running| trial.flow(&running),
        || {
            host.logged(&["failpoint after-commit pauses"]);
            host.signal(Signal::STOP);
            let before = trial.progress();
            std::thread::sleep(Duration::from_secs(2));
            assert_eq!(trial.progress(), before, "a frozen host does nothing");
            host.signal(Signal::CONT);
            trial.wait_for_progress();
        },
    );
    trial.assert_clean(vec![host]);
}
