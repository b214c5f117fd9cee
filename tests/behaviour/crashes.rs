//! Exactly once and in order, whatever kills or stops the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockstep_tests::event::{Has, event, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

on_both_logs![
    every_event_has_one_result_in_order_across_kill_9,
    every_event_has_one_result_in_order_across_restarts,
    fan_out_to_two_topics_is_atomic_across_kill_9,
    a_stop_ends_a_long_call_within_the_deadline,
    what_was_acknowledged_survives_kill_9,
];

const PARTITIONS: i32 = 3;
const PER_ROUND: usize = 400;
const ROUNDS: usize = 4;

/// Rounds of events; in each the host is ended while they flow, and started again.
fn across_ends_of_the_host(mut world: Scenario, mut end: impl FnMut(&mut Host)) {
    let (input, output) = (world.topic("in", 3), world.topic("out", 2));
    // Small batches, so that there are many moments between transactions and within.
    let handler = world.deploy(
        Manifest::guest("scripted")
            .from(&[&input])
            .to(&[&output])
            .with("[batch]\nevents = 25\ninterval = \"20ms\""),
    );
    let mut ledger = Ledger::of(&input);
    let mut host = world.start();
    for _ in 0..ROUNDS {
        let already = world.read(&output).len();
        ledger.produce_to_all(&world, PARTITIONS, PER_ROUND);
        // In the middle: something of the round is done, and probably not all of it.
        eventually("the host works", || world.read(&output).len() > already);
        end(&mut host);
        host = world.start();
    }
    ledger.assert_exactly_once(&world, &handler, &output);
}

fn every_event_has_one_result_in_order_across_kill_9(world: Scenario) {
    across_ends_of_the_host(world, Host::kill9);
}

fn every_event_has_one_result_in_order_across_restarts(world: Scenario) {
    across_ends_of_the_host(world, |host| {
        let (code, took) = host.terminate();
        assert_eq!(code, 0, "{}", host.output());
        assert!(took < Duration::from_secs(10), "a stop took {took:?}\n{}", host.output());
    });
}

fn fan_out_to_two_topics_is_atomic_across_kill_9(mut world: Scenario) {
    let input = world.topic("in", 2);
    let (lines, summaries) = ("order-lines".to_owned(), "order-summaries".to_owned());
    world.log().create_topic(&lines, 2, &[]);
    world.log().create_topic(&summaries, 2, &[]);
    let handler = world.deploy(
        Manifest::example("split")
            .from(&[&input])
            .to(&[&lines, &summaries])
            .with("[batch]\nevents = 10\ninterval = \"20ms\""),
    );
    let order = |n: usize| {
        let line = |sku| format!(r#"{{"sku":"{sku}","quantity":1}}"#);
        let lines = [line("tea"), line("pot"), line("cup")].join(",");
        format!(r#"{{"id":"o-{n:04}","customer":"ada","lines":[{lines}]}}"#)
    };
    let mut host = world.start();
    for round in 0..3 {
        let already = world.read(&summaries).len();
        world.produce((0..200).map(|n| event(&input, order(round * 200 + n))));
        eventually("the host works", || world.read(&summaries).len() > already);
        host.kill9();
        // With nobody at work, what can be seen is what was committed: whole orders.
        let (seen_lines, seen_summaries) = (by_order(&world, &lines), by_order(&world, &summaries));
        assert_eq!(
            seen_lines.keys().collect::<Vec<_>>(),
            seen_summaries.keys().collect::<Vec<_>>()
        );
        assert!(seen_lines.values().all(|count| *count == 3), "{seen_lines:?}");
        host = world.start();
    }
    world.settle(&handler);
    let (all_lines, all_summaries) = (by_order(&world, &lines), by_order(&world, &summaries));
    assert_eq!((all_lines.len(), all_summaries.len()), (600, 600));
    assert!(all_lines.values().all(|count| *count == 3));
    assert!(all_summaries.values().all(|count| *count == 1));
}

/// How many events a topic has of each order.
fn by_order(world: &Scenario, topic: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in world.read(topic) {
        let json: serde_json::Value =
            serde_json::from_str(&event.text()).expect("the example writes JSON");
        let order = json["order"].as_str().unwrap_or_default().to_owned();
        *counts.entry(order).or_default() += 1;
    }
    counts
}

fn a_stop_ends_a_long_call_within_the_deadline(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.configure("shutdown_deadline = \"2s\"");
    let manifest = || Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest().with("limits.time = \"30s\""));
    let long = r#"{"do":"spin","ms":20000}"#;
    let print = r#"{"do":"print","text":"the long call is next"}"#;
    world.produce(["before", print, long, "after"].map(|value| event(&input, value)));
    let mut host = world.start();
    host.logged(&["the long call is next"]);
    let (code, took) = host.terminate();
    assert_eq!(code, 0, "{}", host.output());
    assert!(took < Duration::from_secs(4), "a stop took {took:?}\n{}", host.output());
    // A call that the stop cut off has failed at nothing: it is made again.
    assert_eq!(world.read(&handler.dead_letters), []);
    let handler = world.deploy(manifest().with("limits.time = \"200ms\""));
    let _host = world.start();
    world.settle(&handler);
    assert_eq!(sorted_texts(&world.read(&output)), ["after", "before", print]);
    let dead = world.read(&handler.dead_letters);
    assert_eq!(sorted_texts(&dead), [long]);
    assert_eq!(dead[0].last_header("lockstep-failure").as_deref(), Some("deadline"));
}

fn what_was_acknowledged_survives_kill_9(mut world: Scenario) {
    let input = world.topic("in", 1);
    world.open_to_ingest(&[&input]);
    let mut acknowledged = BTreeMap::new();
    for round in 0..3 {
        let mut host = world.start();
        let url = host.events_url(&input);
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = |name: usize| {
                let (url, enough) = (&url, &enough);
                scope.spawn(move || {
                    let mut taken = Vec::new();
                    for number in 0.. {
                        let value = format!("{round}-{name}-{number}");
                        // Cut off by the kill: the outcome is unknown, nothing was promised.
                        let Ok(answer) = http::try_post(url, &[], value.as_bytes()) else { break };
                        assert_eq!(answer.status, 200, "{answer:?}");
                        taken.push((answer.json()["offset"].as_i64(), value));
                        enough.fetch_or(number >= 20, Ordering::Relaxed);
                    }
                    taken
                })
            };
            let clients = [client(0), client(1)];
            eventually("events are taken", || enough.load(Ordering::Relaxed));
            host.kill9();
            for client in clients {
                for (offset, value) in client.join().expect("the client does not panic") {
                    assert!(acknowledged.insert(offset, value).is_none(), "an offset twice");
                }
            }
        });
    }
    let kept: BTreeMap<_, _> =
        world.read(&input).iter().map(|event| (Some(event.offset), event.text())).collect();
    for (offset, value) in &acknowledged {
        assert_eq!(kept.get(offset), Some(value));
    }
}
