//! Handlers that fail, and handlers that are swapped, in the middle of batches.

use lockstep_tests::broker::Broker;
use lockstep_tests::event::{Has, event};
use lockstep_tests::inputs::Mix;
use lockstep_tests::load::beside;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::trial::{Setup, Trial};
use serde_json::json;

on_both_logs![
    handlers_that_trap_loop_and_take_all_memory_cost_their_own_events_only,
    outputs_that_no_topic_takes_become_dead_letters_and_their_siblings_go_on,
    swaps_and_refused_swaps_under_load_lose_and_repeat_nothing,
];

fn handlers_that_trap_loop_and_take_all_memory_cost_their_own_events_only(world: Scenario) {
    let mix = Mix { trap: 10, ruin: 4, ..Mix::default() };
    // Long enough for a busy machine to come to the other limits first.
    let manifest = "limits.time = \"1s\"\nlimits.memory = \"8MiB\"";
    let trial = Trial::new(world, &Setup { seed: 601, mix, manifest, ..Setup::default() });
    let host = trial.host("host-1");
    trial.write(600);
    let verdict = trial.assert_clean(vec![host]);
    assert!(verdict.totals.dead_letters > 60, "{verdict}");
}

fn outputs_that_no_topic_takes_become_dead_letters_and_their_siblings_go_on(world: Scenario) {
    let mix = Mix { huge: 5, ..Mix::default() };
    let trial = Trial::new(world, &Setup { seed: 602, mix, ..Setup::default() });
    let host = trial.host("host-1");
    trial.write(200);
    let verdict = trial.assert_clean(vec![host]);
    assert!(verdict.totals.dead_letters > 10, "{verdict}");
}

/// Every other deployment cannot run, and changes nothing.
fn swaps_and_refused_swaps_under_load_lose_and_repeat_nothing(world: Scenario) {
    let setup = Setup { seed: 603, deployed: true, ..Setup::default() };
    let trial = Trial::new(world, &setup);
    let mut hosts = vec![trial.host("host-1")];
    if trial.world.kind == LogKind::Kafka {
        hosts.push(trial.host("host-2"));
    }
    trial.deploy("memory = \"32MiB\"").ok();
    let load = |running| trial.flow(&running);
    let ((), ()) = beside(load, || {
        for round in 0..4 {
            trial.wait_for_progress();
            trial.fault("swap", &format!("to revision {}", round + 2));
            trial.deploy(&format!("memory = \"{}MiB\"", 33 + round)).ok();
            trial.wait_for_progress();
            let refused = trial.deploy_garbage();
            assert_ne!(refused.code, 0, "{}", refused.stdout);
        }
        trial.wait_for_progress();
    });
    let verdict = trial.assert_clean(hosts);
    assert!(verdict.totals.revisions >= 5, "{verdict}");
}

/// An output that may not be written costs its event, not its siblings and no time.
#[test]
fn on_kafka_outputs_to_a_topic_that_the_host_may_not_write_to_become_dead_letters() {
    let broker = Broker::start_with_acls();
    let mut world = Scenario::at_broker(&broker.address(), "forbidden");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let forbidden = world.topic("forbidden", 1);
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output, &forbidden]);
    let handler = world.deploy(manifest);
    broker.forbid_writes(&forbidden);
    let host = world.start();
    let script = |number| match number % 5 {
        2 => json!({ "do": "topic", "topic": forbidden, "number": number }),
        _ => json!({ "number": number }),
    };
    world.produce((0..20).map(|number| event(&input, script(number).to_string())));
    world.settle(&handler);
    assert_eq!(world.read(&output).len(), 16, "{}", host.output());
    let dead = world.read(&handler.dead_letters);
    assert_eq!(dead.len(), 4, "{}", host.output());
    for letter in dead {
        assert_eq!(letter.last_header("lockstep-failure").as_deref(), Some("rejected"));
        let message = letter.last_header("lockstep-failure-message").unwrap_or_default();
        assert!(message.to_lowercase().contains("authorization"), "{message}");
    }
}
