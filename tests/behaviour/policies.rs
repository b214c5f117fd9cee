//! What the manifest says about failures and instances: retries, stops, fresh instances.

use std::time::{SystemTime, UNIX_EPOCH};

use lockstep_tests::event::{Has, event, sorted_texts, texts_by_partition};
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::{eventually, eventually_some};
use serde_json::Value;

on_both_logs![
    a_retried_event_keeps_its_place_and_other_partitions_go_on,
    a_retryable_event_ends_as_a_dead_letter_when_its_attempts_are_used_up,
    a_handler_that_stops_holds_the_partition_says_why_and_tries_again_after_a_restart,
    a_fault_stops_the_partition_too_when_the_manifest_says_so,
    a_stopped_partition_does_not_stop_the_others,
    a_reused_instance_keeps_its_memory,
    an_instance_per_event_begins_anew,
];

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Two partitions, one script.
fn scripted(world: &mut Scenario, more: &str) -> (String, String, Deployed) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]).with(more);
    let handler = world.deploy(manifest);
    (input, output, handler)
}

fn a_retried_event_keeps_its_place_and_other_partitions_go_on(mut world: Scenario) {
    let (input, output, handler) =
        scripted(&mut world, "[retry]\nattempts = 1000\ninitial = \"20ms\"\nmax = \"100ms\"");
    let _host = world.start();
    // Long enough that the other partition is through before.
    let until = now_ms() + 6_000;
    let waits = format!(r#"{{"do":"retryable-until","until":{until}}}"#);
    let behind = (0..20).map(|n| event(&input, format!("behind {n:02}")));
    world.produce_to(0, [event(&input, "ahead"), event(&input, waits.as_str())]);
    world.produce_to(0, behind);
    world.produce_to(1, (0..20).map(|n| event(&input, format!("elsewhere {n:02}"))));

    let early = world.wait_for(&output, 21);
    let early = sorted_texts(&early);
    assert!(now_ms() < until, "this machine is too slow to tell");
    let mut expected: Vec<_> = (0..20).map(|n| format!("elsewhere {n:02}")).collect();
    expected.insert(0, "ahead".to_owned());
    assert_eq!(early, expected);

    world.settle(&handler);
    assert!(now_ms() >= until);
    let outputs = texts_by_partition(&world.read(&output)).remove(&0).unwrap_or_default();
    let mut of_partition: Vec<_> = (0..20).map(|n| format!("behind {n:02}")).collect();
    of_partition.splice(0..0, ["ahead".to_owned(), waits]);
    let of_partition_0 = |text: &String| !text.starts_with("elsewhere");
    assert_eq!(outputs.into_iter().filter(of_partition_0).collect::<Vec<_>>(), of_partition);
    assert_eq!(world.read(&handler.dead_letters), []);
}

fn a_retryable_event_ends_as_a_dead_letter_when_its_attempts_are_used_up(mut world: Scenario) {
    let (input, output, handler) =
        scripted(&mut world, "[retry]\nattempts = 4\ninitial = \"10ms\"\nmax = \"50ms\"");
    let bad = r#"{"do":"retryable","message":"the service is down"}"#;
    world.produce_to(0, [event(&input, "a"), event(&input, bad), event(&input, "b")]);
    let _host = world.start();
    world.settle(&handler);
    assert_eq!(texts_by_partition(&world.read(&output))[&0], ["a", "b"]);
    let dead = world.read(&handler.dead_letters);
    assert_eq!(sorted_texts(&dead), [bad]);
    assert_eq!(dead[0].last_header("lockstep-failure").as_deref(), Some("retryable"));
    assert_eq!(dead[0].last_header("lockstep-attempts").as_deref(), Some("4"));
    let message = dead[0].last_header("lockstep-failure-message").unwrap_or_default();
    assert!(message.contains("the service is down"), "{message}");
}

/// Waits until the admin API names where the handler stopped.
fn stopped_at(host: &lockstep_tests::host::Host, handler: &Deployed) -> (Value, String) {
    eventually_some("the handler stops", || {
        let status = host.handler(&handler.name);
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        workers.into_iter().find_map(|worker| {
            let place = worker["stopped_at"].as_array()?.first()?.as_str()?.to_owned();
            Some((worker, place))
        })
    })
}

fn a_handler_that_stops_holds_the_partition_says_why_and_tries_again_after_a_restart(
    mut world: Scenario,
) {
    let more = "on_failure = \"stop\"\n[retry]\nattempts = 2\ninitial = \"10ms\"";
    let (input, output, handler) = scripted(&mut world, more);
    let until = now_ms() + 5_000;
    let waits = format!(r#"{{"do":"retryable-until","until":{until}}}"#);
    world.produce_to(0, ["a", waits.as_str(), "b"].map(|value| event(&input, value)));
    let mut host = world.start();
    let (worker, place) = stopped_at(&host, &handler);
    assert_eq!(place, format!("{input}/0/1"));
    assert!(worker["last_error"].as_str().is_some_and(|e| e.contains("too early")), "{worker}");
    host.logged(&[&format!("{input}/0/1")]);
    assert_eq!(sorted_texts(&world.wait_for(&output, 1)), ["a"]);

    // Held without end: also when the event could be handled by now.
    eventually("the time has come", || now_ms() > until);
    assert_eq!(sorted_texts(&world.read(&output)), ["a"]);
    assert_eq!(host.terminate().0, 0, "{}", host.output());

    let _host = world.start();
    world.settle(&handler);
    assert_eq!(texts_by_partition(&world.read(&output))[&0], ["a", waits.as_str(), "b"]);
    assert_eq!(world.read(&handler.dead_letters), []);
}

fn a_fault_stops_the_partition_too_when_the_manifest_says_so(mut world: Scenario) {
    let (input, output, handler) = scripted(&mut world, "on_failure = \"stop\"");
    world.produce_to(1, ["a", r#"{"do":"trap"}"#, "b"].map(|value| event(&input, value)));
    let host = world.start();
    let (_, place) = stopped_at(&host, &handler);
    assert_eq!(place, format!("{input}/1/1"));
    assert_eq!(sorted_texts(&world.wait_for(&output, 1)), ["a"]);
    assert_eq!(world.read(&handler.dead_letters), []);
    assert_eq!(world.log().committed(&handler.group, &input).get(&1), Some(&1));
}

fn a_stopped_partition_does_not_stop_the_others(mut world: Scenario) {
    let (input, output, handler) = scripted(&mut world, "on_failure = \"stop\"");
    world.produce_to(0, [event(&input, r#"{"do":"permanent"}"#), event(&input, "held")]);
    let host = world.start();
    stopped_at(&host, &handler);
    world.produce_to(1, (0..100).map(|n| event(&input, format!("{n:03}"))));
    let outputs = sorted_texts(&world.wait_for(&output, 100));
    assert_eq!(outputs, (0..100).map(|n| format!("{n:03}")).collect::<Vec<_>>());
}

fn count_calls(mut world: Scenario, instances: &str) -> Vec<String> {
    let manifest = format!("instances = {instances:?}");
    let (input, output, handler) = scripted(&mut world, &manifest);
    world.produce_to(0, (0..3).map(|_| event(&input, r#"{"do":"count"}"#)));
    let _host = world.start();
    world.settle(&handler);
    texts_by_partition(&world.read(&output)).remove(&0).unwrap_or_default()
}

fn a_reused_instance_keeps_its_memory(world: Scenario) {
    let counts = count_calls(world, "reused");
    assert_eq!(counts, [r#"{"calls":1}"#, r#"{"calls":2}"#, r#"{"calls":3}"#]);
}

fn an_instance_per_event_begins_anew(world: Scenario) {
    assert_eq!(count_calls(world, "per-event"), [r#"{"calls":1}"#; 3]);
}
