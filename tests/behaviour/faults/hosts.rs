//! Hosts that die: at each place between a poll and the next one, and in the middle of a commit.

use std::time::Duration;

use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::code;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};

on_both_logs![
    a_host_that_is_killed_behind_its_poll_loses_and_repeats_nothing,
    a_host_that_is_killed_between_two_events_loses_and_repeats_nothing,
    a_host_that_is_killed_with_a_batch_handled_loses_and_repeats_nothing,
    a_host_that_is_killed_with_some_outputs_written_loses_and_repeats_nothing,
    a_host_that_is_killed_before_the_offsets_are_sent_loses_and_repeats_nothing,
    a_host_that_is_killed_behind_the_offsets_loses_and_repeats_nothing,
    a_host_that_is_killed_before_the_end_of_a_transaction_loses_and_repeats_nothing,
    a_host_that_is_killed_while_it_commits_loses_and_repeats_nothing,
    a_host_that_is_killed_behind_a_commit_loses_and_repeats_nothing,
    a_host_that_is_killed_while_it_aborts_loses_and_repeats_nothing,
    transactions_that_abort_at_random_lose_and_repeat_nothing,
];

/// Far beyond what a host needs to get to any place.
const SOON: Duration = Duration::from_secs(60);

/// A host dies at a place under load and comes back; on Kafka another one works beside it.
fn killed(world: Scenario, seed: u64, failpoints: &[&str]) {
    let trial = Trial::new(world, &Setup { seed, ..Setup::default() });
    let beside_it = (trial.world.kind == LogKind::Kafka).then(|| trial.host("host-2"));
    let load = |running| trial.flow(&running);
    let ((), back) = beside(load, || {
        for (round, failpoints) in failpoints.iter().enumerate() {
            let mut doomed = trial.failing("host-1", failpoints);
            let status = doomed.process().wait(SOON);
            assert_eq!(code(status), -9, "round {round}: {}", doomed.output());
            trial.fault(&format!("kill -9 at {failpoints}"), "host-1");
            trial.heard(&doomed);
        }
        let back = trial.host("host-1");
        trial.wait_for_progress();
        back
    });
    trial.assert_clean(beside_it.into_iter().chain([back]).collect());
}

fn a_host_that_is_killed_behind_its_poll_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 101, &["after-poll=return(kill)", "after-poll=3*off->return(kill)"]);
}

fn a_host_that_is_killed_between_two_events_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 102, &["mid-batch=40*off->return(kill)"]);
}

fn a_host_that_is_killed_with_a_batch_handled_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 103, &["before-commit=3*off->return(kill)"]);
}

fn a_host_that_is_killed_with_some_outputs_written_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 104, &["mid-produce=return(kill)", "mid-produce=37*off->return(kill)"]);
}

fn a_host_that_is_killed_before_the_offsets_are_sent_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 105, &["before-send-offsets=3*off->return(kill)"]);
}

fn a_host_that_is_killed_behind_the_offsets_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 106, &["after-send-offsets=3*off->return(kill)"]);
}

fn a_host_that_is_killed_before_the_end_of_a_transaction_loses_and_repeats_nothing(
    world: Scenario,
) {
    killed(world, 107, &["before-end-txn=return(kill)", "before-end-txn=4*off->return(kill)"]);
}

/// The commit goes on while the process dies: some microseconds are before, some within, and
/// some behind it.
fn a_host_that_is_killed_while_it_commits_loses_and_repeats_nothing(world: Scenario) {
    let after =
        ["before-end-txn=1*off->return(kill 100)", "before-end-txn=2*off->return(kill 400)"];
    killed(world, 108, &[&after[..], &["before-end-txn=3*off->return(kill 900)"]].concat());
}

fn a_host_that_is_killed_behind_a_commit_loses_and_repeats_nothing(world: Scenario) {
    killed(world, 109, &["after-commit=return(kill)", "after-commit=5*off->return(kill)"]);
}

fn a_host_that_is_killed_while_it_aborts_loses_and_repeats_nothing(world: Scenario) {
    let at_once = "abort-transaction=2*off->1*return;before-abort=return(kill)";
    let within = "abort-transaction=2*off->1*return;before-abort=return(kill 300)";
    killed(world, 110, &[at_once, within]);
}

fn transactions_that_abort_at_random_lose_and_repeat_nothing(world: Scenario) {
    let trial = Trial::new(world, &Setup { seed: 111, ..Setup::default() });
    let host = trial.failing("host-1", "abort-transaction=10%return");
    let ((), ()) = beside(
        |running| trial.flow(&running),
        || {
            for _ in 0..5 {
                trial.wait_for_progress();
            }
            host.logged(&["transaction abandoned", "a failpoint asks for it"]);
        },
    );
    trial.assert_clean(vec![host]);
}
