//! The oracle is tested too: hosts that do the wrong thing on purpose are caught within one run.
//!
//! The mutants are failpoints of `lockstep-failpoints`; `lockstep` does not contain them.

use std::collections::BTreeSet;
use std::time::Duration;

use lockstep::audit::oracle::Invariant;
use lockstep_tests::build;
use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::code;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::trial::{Setup, Trial};

on_both_logs![
    a_host_that_commits_instead_of_aborting_is_caught,
    a_host_that_commits_one_offset_too_many_is_caught,
    a_host_that_commits_offsets_outside_the_transaction_is_caught,
    a_host_that_does_not_rewind_is_caught,
    a_host_that_drops_dead_letters_is_caught,
    a_host_that_produces_before_the_call_returned_is_caught,
    a_host_that_reuses_a_faulted_instance_is_caught,
];

/// Lets a host with these failpoints work, until it dies when it is to be killed, and another one
/// after it; one of these promises must be found broken.
#[track_caller]
fn caught(world: Scenario, failpoints: &str, promises: &[Invariant]) {
    let trial = Trial::new(world, &Setup { seed: 400, ..Setup::default() });
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        let mut mutant = trial.failing("host-1", failpoints);
        if failpoints.contains("kill") {
            let status = mutant.process().wait(Duration::from_secs(60));
            assert_eq!(code(status), -9, "{}", mutant.output());
        } else {
            for _ in 0..6 {
                trial.wait_for_progress();
            }
            assert_eq!(mutant.terminate().0, 0, "{}", mutant.output());
        }
        trial.fault("a mutant", failpoints);
        trial.heard(&mutant);
    });
    let after = trial.host("host-1");
    // What comes later shows what the mutant has skipped.
    trial.write(100);
    let verdict = trial.judge(vec![after]);
    let broken: BTreeSet<_> = verdict.violations.iter().map(|v| v.invariant).collect();
    let noticed = promises.iter().any(|promise| broken.contains(promise));
    assert!(noticed, "{failpoints} was not noticed: {verdict}\n{:?}", trial.keep());
}

fn a_host_that_commits_instead_of_aborting_is_caught(world: Scenario) {
    let failpoints = "abort-transaction=2*off->3*return;mutant-skip-abort=return";
    caught(world, failpoints, &[Invariant::I2, Invariant::I7]);
}

fn a_host_that_commits_one_offset_too_many_is_caught(world: Scenario) {
    caught(world, "mutant-offset-plus-one=return", &[Invariant::I1, Invariant::I2, Invariant::I5]);
}

fn a_host_that_commits_offsets_outside_the_transaction_is_caught(world: Scenario) {
    let failpoints = "mutant-offsets-outside=return;mid-produce=90*off->return(kill)";
    caught(world, failpoints, &[Invariant::I1, Invariant::I2]);
}

fn a_host_that_does_not_rewind_is_caught(world: Scenario) {
    let failpoints = "abort-transaction=2*off->3*return;mutant-skip-rewind=return";
    caught(world, failpoints, &[Invariant::I1, Invariant::I2]);
}

fn a_host_that_drops_dead_letters_is_caught(world: Scenario) {
    caught(world, "mutant-drop-dead-letter=return", &[Invariant::I1, Invariant::I2]);
}

fn a_host_that_produces_before_the_call_returned_is_caught(world: Scenario) {
    caught(world, "mutant-produce-early=return", &[Invariant::I2]);
}

fn a_host_that_reuses_a_faulted_instance_is_caught(world: Scenario) {
    caught(world, "mutant-reuse-faulted=return", &[Invariant::I1]);
}

/// On the embedded log there is one write transaction at a time, by construction.
#[test]
fn on_kafka_a_host_that_begins_a_transaction_before_the_last_one_is_decided_is_caught() {
    let world = Scenario::new(LogKind::Kafka, "overlap");
    let failpoints = "mutant-overlap=return;late-commit=4*off->return(kill)";
    caught(world, failpoints, &[Invariant::I1, Invariant::I2]);
}

#[test]
fn what_users_run_contains_neither_failpoints_nor_mutants() {
    let contains = |program: &std::path::Path, text: &str| {
        let program = std::fs::read(program).expect("a program that was built can be read");
        program.windows(text.len()).any(|window| window == text.as_bytes())
    };
    for name in ["mutant-skip-abort", "before-send-offsets", "FAILPOINTS"] {
        assert!(contains(build::lockstep_failpoints(), name), "{name} is not a name any more");
        assert!(!contains(build::lockstep(), name), "{name}");
    }
}
