//! Handlers are swapped while events flow: between two transactions, without a rebalance, and
//! nothing is lost, repeated or reordered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lockstep::deployment::operation::{Operation, Operator};
use lockstep::deployment::store::Store;
use lockstep::event::{Consumed, Event, now_ms};
use lockstep_tests::developer::Developer;
use lockstep_tests::event::{Has, With, event, sorted_texts};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::load::{Running, beside};
use lockstep_tests::scenario::Scenario;
use lockstep_tests::seam;
use lockstep_tests::wait::{eventually, eventually_ok};
use serde_json::Value;

on_both_logs![
    swaps_under_load_lose_repeat_and_reorder_nothing,
    deployments_under_load_lose_repeat_and_reorder_nothing,
    fifty_swaps_back_and_forth_at_ten_thousand_events_a_second_keep_every_promise,
    a_halted_partition_goes_on_with_the_revision_that_mends_it,
    an_event_that_waits_for_its_retry_is_tried_at_once_by_a_new_revision,
    a_manifest_that_subscribes_to_something_else_restarts_the_workers,
    a_component_that_is_garbage_is_refused_and_the_old_one_goes_on,
];

/// Input and output of a handler that `dev` runs without building it.
fn developer(world: Scenario, guest: &str, partitions: u32) -> (Developer, String, String) {
    let (input, output) = (world.topic("in", partitions), world.topic("out", partitions));
    let developer = Developer::new(world, guest, &[&input], &[&output]);
    (developer, input, output)
}

fn swaps_under_load_lose_repeat_and_reorder_nothing(world: Scenario) {
    const SWAPS: u64 = 12;
    let (developer, input, output) = developer(world, "identity", 4);
    let developer = developer.with("workers = 2");
    let host = developer.dev(&["--no-build"]);
    let world = &developer.world;
    let load = |running| produce_while(running, world, &input);
    let (produced, ()) = beside(load, || {
        for revision in 2..SWAPS + 2 {
            // Each has something to do.
            let before = world.log().committed(&developer.handler.group, &input);
            eventually("events flow", || {
                world.log().committed(&developer.handler.group, &input) != before
            });
            developer.install(if revision % 2 == 0 { "stamp" } else { "identity" });
            developer.runs(&host, revision);
        }
    });
    world.settle(&developer.handler);
    assert_each_has_one_output(world, &output, produced);
    assert_eq!(world.read(&developer.handler.dead_letters), []);
    assert_eq!(host.handler(&developer.handler.name)["revision"], SWAPS + 1);
}

fn deployments_under_load_lose_repeat_and_reorder_nothing(world: Scenario) {
    const DEPLOYMENTS: u64 = 8;
    let fleet = Fleet::new(world, 4);
    fleet.manifest("workers = 2");
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    let load = |running| produce_while(running, &fleet.world, &fleet.input);
    let (produced, ()) = beside(load, || {
        for revision in 2..=DEPLOYMENTS {
            let guest = if revision % 2 == 0 { "stamp" } else { "identity" };
            let said = fleet.deploy(guest, &[]).ok();
            assert!(said.contains(&format!("revision {revision} is active")), "{said}");
        }
    });
    let handled = || fleet.world.read(&fleet.output).len();
    eventually("everything is handled", || handled() >= produced);
    assert_each_has_one_output(&fleet.world, &fleet.output, produced);
    assert_eq!(host.handler(&fleet.name)["revision"], DEPLOYMENTS);
    let swapped = host.output().matches("change=swapped").count() as u64;
    assert_eq!(swapped, DEPLOYMENTS - 1, "no deployment restarts the workers");
}

fn fifty_swaps_back_and_forth_at_ten_thousand_events_a_second_keep_every_promise(world: Scenario) {
    const SWAPS: u64 = 50;
    // Half a second's, so that a slow machine has no mountain of them.
    const EVENTS_A_SWAP: usize = 6_000;
    let fleet = Fleet::new(world, 4);
    fleet.manifest("workers = 2\nprovenance = \"transaction\"");
    let host = fleet.world.start();
    for guest in ["identity", "stamp"] {
        fleet.deploy(guest, &[]).ok();
    }
    // A command for each would take longer than the swap.
    let store = Store::new(Arc::from(seam::open(&fleet.world)), fleet.world.cluster_id());
    let handled = || events(&host.handler(&fleet.name));
    let share = AtomicUsize::new(0);
    let load = |running| produce_steadily(running, &share, &fleet.world, &fleet.input);
    let (produced, ()) = beside(load, || {
        for swap in 0..SWAPS {
            share.fetch_add(EVENTS_A_SWAP / 2, Ordering::Relaxed);
            let revision = swap % 2 + 1;
            let who = Operator { by: "test".to_owned(), now: now_ms() };
            let swapped =
                store.perform(&fleet.name, &Operation::Rollback(Some(revision)), &who, None);
            swapped.unwrap_or_else(|error| panic!("swap {swap}: {error}"));
            eventually("the workers run it", || all_run(&host.handler(&fleet.name), revision));
            // Each has something to do.
            let before = handled();
            share.fetch_add(EVENTS_A_SWAP / 2, Ordering::Relaxed);
            eventually("events flow", || handled() > before);
        }
    });
    eventually("everything is handled", || handled() >= produced);
    let outputs = fleet.world.read(&fleet.output);
    assert_each_is_once(&outputs, produced);
    assert_in_order(&outputs, Revisions::BackAndForth);
    assert_each_transaction_has_one_revision(&outputs);
    let used: BTreeSet<_> = outputs.iter().map(revision_of).collect();
    assert_eq!(used, BTreeSet::from([1, 2]));
    let swapped = host.output().matches("change=swapped").count() as u64;
    assert_eq!(swapped, SWAPS + 1, "no swap restarts the workers");
}

fn assert_each_transaction_has_one_revision(outputs: &[Consumed]) {
    let mut revisions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for output in outputs {
        let transaction = output.last_header("lockstep-transaction");
        let transaction = transaction.unwrap_or_else(|| panic!("no transaction in {output:?}"));
        revisions.entry(transaction).or_default().insert(revision_of(output));
    }
    let mixed: Vec<_> = revisions.iter().filter(|(_, revisions)| revisions.len() > 1).collect();
    assert!(mixed.is_empty(), "transactions of several revisions: {mixed:?}");
    assert!(revisions.len() as u64 > 50, "as many as there were swaps: {}", revisions.len());
}

/// Whether all workers of a handler, as the host tells of it, run this revision.
fn all_run(handler: &Value, revision: u64) -> bool {
    let workers = handler["workers"].as_array();
    workers.is_some_and(|workers| workers.iter().all(|worker| worker["revision"] == revision))
}

/// The events that its workers have handled, as the host tells of it.
fn events(handler: &Value) -> usize {
    let workers = handler["workers"].as_array().into_iter().flatten();
    workers.filter_map(|worker| worker["events"].as_u64()).sum::<u64>() as usize
}

/// Writes 12,000 numbered events a second, as far as the machine keeps up, until they are as many
/// as its share; says how many.
fn produce_steadily(running: Running, share: &AtomicUsize, world: &Scenario, input: &str) -> usize {
    const RATE: f64 = 12_000.0;
    let begun = Instant::now();
    let mut number = 0;
    while running.goes_on() {
        let due = (begun.elapsed().as_secs_f64() * RATE) as usize;
        let due = due.min(share.load(Ordering::Relaxed));
        // What a pause has left behind is not caught up at once.
        let some = (due - number.min(due)).min(1_000);
        let events = (number..number + some).map(|number| numbered(input, number));
        world.produce(events);
        number += some;
        thread::sleep(Duration::from_millis(5));
    }
    number
}

fn numbered(input: &str, number: usize) -> Event {
    event(input, format!("{number:07}")).key((number % 16).to_string())
}

/// Writes numbered events, and says how many.
fn produce_while(running: Running, world: &Scenario, input: &str) -> usize {
    let mut number = 0;
    while running.goes_on() {
        world.produce((number..number + 50).map(|number| numbered(input, number)));
        number += 50;
    }
    number
}

/// Each of so many inputs has one output, and their order is kept.
fn assert_each_has_one_output(world: &Scenario, output: &str, produced: usize) {
    let outputs = world.read(output);
    assert_each_is_once(&outputs, produced);
    assert_in_order(&outputs, Revisions::Rise);
}

fn assert_each_is_once(outputs: &[Consumed], produced: usize) {
    let expected: Vec<_> = (0..produced).map(|n| format!("{n:07}")).collect();
    let mut inputs: Vec<_> = outputs.iter().map(input_of).collect();
    inputs.sort();
    assert_eq!(inputs.len(), expected.len(), "each input has one output");
    assert!(inputs == expected, "each input has one output");
}

/// What came in: `identity` passes it on, `stamp` wraps it. Each is what its revision says.
fn input_of(output: &Consumed) -> String {
    let text = output.text();
    let value = serde_json::from_str(&text).ok().filter(Value::is_object);
    let stamped = value.and_then(|value: Value| value["value"].as_str().map(str::to_owned));
    assert_eq!(stamped.is_some(), revision_of(output).is_multiple_of(2), "{output:?}");
    stamped.unwrap_or(text)
}

fn revision_of(output: &Consumed) -> u64 {
    let handler = output.last_header("lockstep-handler").unwrap_or_default();
    let revision = handler.rsplit_once('@').and_then(|(_, revision)| revision.parse().ok());
    revision.unwrap_or_else(|| panic!("no revision in {handler:?}"))
}

/// Topic, partition and offset of what an output was made of.
fn source_of(output: &Consumed) -> (String, i64) {
    let source = output.last_header("lockstep-source").unwrap_or_default();
    let (partition, offset) = source.rsplit_once('/').expect("a source");
    (partition.to_owned(), offset.parse().expect("an offset"))
}

/// How revisions follow each other.
#[derive(PartialEq)]
enum Revisions {
    /// No revision comes after a later one.
    Rise,
    /// One is activated, then the other, again and again.
    BackAndForth,
}

/// Outputs of one source partition keep their order, and revisions come as they were activated.
fn assert_in_order(outputs: &[Consumed], revisions: Revisions) {
    let mut by_source: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    let mut last: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for output in outputs {
        let (partition, offset) = source_of(output);
        let before = last.insert((partition.clone(), output.partition), offset);
        assert!(before < Some(offset), "{partition}/{offset} after {before:?}");
        by_source.entry(partition).or_default().push((offset, revision_of(output)));
    }
    if revisions == Revisions::BackAndForth {
        return;
    }
    for (partition, mut events) in by_source {
        events.sort_unstable();
        let back = events.windows(2).find(|pair| pair[0].1 > pair[1].1);
        assert_eq!(back, None, "an older revision in {partition} after a newer one");
    }
}

fn a_halted_partition_goes_on_with_the_revision_that_mends_it(world: Scenario) {
    let (developer, input, output) = developer(world, "scripted", 1);
    let developer = developer.with("on_failure = \"stop\"");
    let host = developer.dev(&["--no-build"]);
    let name = developer.handler.name.clone();
    let halted = || {
        let stopped = host.handler(&name)["workers"][0]["stopped_at"].clone();
        stopped.as_array().is_some_and(|places| !places.is_empty())
    };
    let world = &developer.world;
    world.produce(["a", r#"{"do":"trap"}"#, "b"].map(|value| event(&input, value)));
    eventually("the handler halts", halted);
    developer.install("identity");
    developer.runs(&host, 2);
    let outputs = world.wait_for(&output, 3);
    assert_eq!(outputs.iter().map(Has::text).collect::<Vec<_>>(), ["a", r#"{"do":"trap"}"#, "b"]);
    assert_eq!(outputs.iter().map(revision_of).collect::<Vec<_>>(), [1, 2, 2]);
    assert!(!halted(), "{}", host.handler(&name));
    assert_eq!(world.read(&developer.handler.dead_letters), []);
}

fn an_event_that_waits_for_its_retry_is_tried_at_once_by_a_new_revision(world: Scenario) {
    let (developer, input, output) = developer(world, "scripted", 1);
    let manifest = developer.manifest();
    developer.save("handler.toml", &format!("{manifest}\n[retry]\ninitial = \"2h\"\nmax = \"2h\""));
    let host = developer.dev(&["--no-build"]);
    let world = &developer.world;
    let waits = r#"{"do":"retryable"}"#;
    world.produce(["a", waits, "b"].map(|value| event(&input, value)));
    world.wait_for(&output, 1);
    developer.install("identity");
    developer.runs(&host, 2);
    let outputs = world.wait_for(&output, 3);
    assert_eq!(outputs.iter().map(Has::text).collect::<Vec<_>>(), ["a", waits, "b"]);
}

fn a_manifest_that_subscribes_to_something_else_restarts_the_workers(world: Scenario) {
    let (developer, input, output) = developer(world, "identity", 2);
    let host = developer.dev(&["--no-build"]);
    let world = &developer.world;
    world.produce([event(&input, "first")]);
    world.wait_for(&output, 1);

    // A topic that does not exist yet is made, and takes events over HTTP.
    let other = world.name("other");
    let manifest = developer.manifest();
    developer.save("handler.toml", &manifest.replace(&format!("{input:?}"), &format!("{other:?}")));
    developer.runs(&host, 2);
    assert_eq!(host.post(&other, &[], b"second").status, 200);
    world.produce([event(&input, "nobody reads this")]);
    let outputs = world.wait_for(&output, 2);
    assert_eq!(sorted_texts(&outputs), ["first", "second"]);
    host.logged(&["revision activated", "change=restarted"]);

    // More workers; each of them runs.
    let manifest = format!("workers = 3\n{}", developer.manifest());
    developer.save("handler.toml", &manifest);
    developer.runs(&host, 3);
    let workers = host.handler(&developer.handler.name)["workers"].clone();
    let revisions: Vec<_> =
        workers.as_array().into_iter().flatten().map(|worker| worker["revision"].clone()).collect();
    assert_eq!(revisions, [3, 3, 3]);

    // One that contradicts itself is named, and nothing changes.
    developer
        .save("handler.toml", &manifest.replace(&format!("{output:?}"), &format!("{other:?}")));
    host.logged(&[
        "the manifest is refused",
        &format!("{}@3 keeps running", developer.handler.name),
    ]);
    host.logged(&["every output would come back as an input"]);
    assert_eq!(host.post(&other, &[], b"third").status, 200);
    let outputs = world.wait_for(&output, 3);
    assert!(outputs.iter().any(|output| output.text() == "third" && revision_of(output) == 3));
}

fn a_component_that_is_garbage_is_refused_and_the_old_one_goes_on(world: Scenario) {
    let (developer, input, output) = developer(world, "identity", 1);
    let host = developer.dev(&["--no-build"]);
    developer.save("handler.wasm", "this is no component");
    let kept = format!("{}@1 keeps running", developer.handler.name);
    host.logged(&["the component is refused", &kept]);
    eventually_ok("the component is named", || {
        let output = host.output();
        if output.contains("handler.wasm") { Ok(()) } else { Err(output) }
    });
    developer.world.produce([event(&input, "old")]);
    developer.world.wait_for(&output, 1);
    developer.install("stamp");
    developer.runs(&host, 2);
    developer.world.produce([event(&input, "new")]);
    let outputs = developer.world.wait_for(&output, 2);
    let revisions: Vec<_> = outputs.iter().map(|o| (input_of(o), revision_of(o))).collect();
    assert_eq!(revisions, [("old".to_owned(), 1), ("new".to_owned(), 2)]);
}
