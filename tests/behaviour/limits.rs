//! Each limit, broken by a guest made for it: one dead letter that says which, and neither the
//! siblings nor the neighbours on the host notice.

use lockstep_tests::event::{Has, event, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};

on_both_logs![
    a_trap_is_a_dead_letter,
    an_endless_loop_ends_at_the_deadline,
    a_sleep_in_the_host_ends_at_the_deadline,
    a_memory_bomb_ends_at_the_memory_limit,
    endless_recursion_ends_at_the_stack_limit,
    one_huge_output_is_refused,
    too_many_outputs_are_refused,
    outputs_that_overlap_in_memory_are_refused,
    tables_end_at_their_limit,
    an_output_to_a_topic_that_is_not_granted_takes_its_siblings_with_it,
    a_flood_of_standard_output_is_bounded,
    a_faulted_instance_is_not_used_again,
];

/// A handler that fails every event, next to one that does not.
struct Neighbours {
    bad: Deployed,
    bad_output: String,
    good: Deployed,
    good_output: String,
    host: Host,
}

fn beside_a_good_one(world: &mut Scenario, bad: Manifest, limits: &str) -> Neighbours {
    let input = world.topic("in", 2);
    let (bad_output, good_output) = (world.topic("bad", 1), world.topic("good", 1));
    let bad = bad.from(&[&input]).to(&[&bad_output]).with(limits);
    let bad = world.deploy(bad);
    let good = Manifest::guest("identity").from(&[&input]).to(&[&good_output]);
    let good = world.deploy(good.with(&format!("name = {:?}", world.name("good"))));
    world.produce((0..6).map(|n| event(&input, n.to_string())));
    let host = world.start();
    Neighbours { bad, bad_output, good, good_output, host }
}

/// Every event fails with this kind, and the neighbour has handled them all.
fn every_event_fails(world: &mut Scenario, bad: Manifest, limits: &str, kind: &str) -> Host {
    let all: Vec<_> = (0..6).map(|n| n.to_string()).collect();
    let Neighbours { bad, bad_output, good, good_output, host } =
        beside_a_good_one(world, bad, limits);
    world.settle(&good);
    assert_eq!(sorted_texts(&world.read(&good_output)), all);
    world.settle(&bad);
    let dead = world.read(&bad.dead_letters);
    assert_eq!(sorted_texts(&dead), all);
    for letter in &dead {
        let failure = letter.last_header("lockstep-failure");
        let message = letter.last_header("lockstep-failure-message");
        assert_eq!(failure.as_deref(), Some(kind), "{message:?}");
        assert!(message.is_some_and(|message| !message.is_empty()));
    }
    assert_eq!(world.read(&bad_output), [], "nothing of a failed event is written");
    host
}

fn a_trap_is_a_dead_letter(mut world: Scenario) {
    every_event_fails(&mut world, Manifest::guest("trap"), "", "trap");
}

fn an_endless_loop_ends_at_the_deadline(mut world: Scenario) {
    let limits = "limits.time = \"200ms\"";
    every_event_fails(&mut world, Manifest::guest("endless-loop"), limits, "deadline");
}

fn a_sleep_in_the_host_ends_at_the_deadline(mut world: Scenario) {
    let limits = "limits.time = \"200ms\"";
    every_event_fails(&mut world, Manifest::guest("sleeper"), limits, "deadline");
}

fn a_memory_bomb_ends_at_the_memory_limit(mut world: Scenario) {
    let limits = "limits.memory = \"16MiB\"\nlimits.time = \"10s\"";
    every_event_fails(&mut world, Manifest::guest("memory-bomb"), limits, "memory");
}

fn endless_recursion_ends_at_the_stack_limit(mut world: Scenario) {
    every_event_fails(&mut world, Manifest::guest("stack-overflow"), "", "stack");
}

fn one_huge_output_is_refused(mut world: Scenario) {
    let limits = "limits.time = \"10s\"";
    every_event_fails(&mut world, Manifest::guest("huge-output"), limits, "oversized-output");
}

fn too_many_outputs_are_refused(mut world: Scenario) {
    let limits = "limits.time = \"10s\"";
    every_event_fails(&mut world, Manifest::guest("many-outputs"), limits, "oversized-output");
}

/// The lists say more than they hold: 4 GiB that are one and the same memory.
fn outputs_that_overlap_in_memory_are_refused(mut world: Scenario) {
    let limits = "limits.time = \"10s\"";
    let mut host =
        every_event_fails(&mut world, Manifest::guest("overlap"), limits, "oversized-output");
    let peak = lockstep_tests::process::peak_memory(host.process().pid());
    assert!(peak < 1 << 30, "the host took {} MiB", peak >> 20);
}

fn tables_end_at_their_limit(mut world: Scenario) {
    let fixture = lockstep_tests::paths::tests().join("guests/fixtures/table-bomb.wat");
    let component = world.directory().join("table-bomb.wasm");
    lockstep_tests::build::assemble(&fixture, &component);
    let bad = Manifest::component("table-bomb", &component);
    every_event_fails(&mut world, bad, "limits.time = \"10s\"", "resources");
}

fn an_output_to_a_topic_that_is_not_granted_takes_its_siblings_with_it(mut world: Scenario) {
    world.log().create_topic("forbidden", 1, &[]);
    every_event_fails(&mut world, Manifest::guest("forbidden-topic"), "", "forbidden-topic");
    assert_eq!(world.read("forbidden"), []);
}

fn a_flood_of_standard_output_is_bounded(mut world: Scenario) {
    let Neighbours { bad, bad_output, good, good_output, mut host } = beside_a_good_one(
        &mut world,
        Manifest::guest("flood-stdout"),
        "limits.time = \"10s\"\nlimits.log_lines_per_second = 50\n\
         limits.log_line_bytes = \"200B\"",
    );
    let begun = std::time::Instant::now();
    world.settle(&bad);
    world.settle(&good);
    let seconds = begun.elapsed().as_secs() + 10; // the host was at work before, too
    assert_eq!(world.read(&bad_output).len(), 6, "printing is no failure");
    assert_eq!(world.read(&good_output).len(), 6);
    let lines = host.process().lines();
    let printed = lines.iter().filter(|line| line.contains("line ")).count() as u64;
    assert!(printed > 0, "something of it is logged\n{}", host.output());
    assert!(printed <= 50 * seconds, "{printed} lines of 240,000 were logged");
    let longest = lines.iter().map(String::len).max().unwrap_or_default();
    assert!(longest < 2_000, "a line of 1 MiB was logged as one of {longest} bytes");
    // Nothing that a terminal would obey.
    assert!(!host.output().contains("\u{1b}[31m"), "control characters reached the log");
}

fn a_faulted_instance_is_not_used_again(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let count = r#"{"do":"count"}"#;
    let calls = [count, count, r#"{"do":"trap"}"#, count, r#"{"do":"permanent"}"#, count];
    world.produce(calls.map(|script| event(&input, script)));
    let _host = world.start();
    world.settle(&handler);
    let seen: Vec<_> = world.read(&output).iter().map(Has::text).collect();
    // After the trap a new instance counts from 1; a failure that the handler told is no fault.
    let expected = [1, 2, 1, 3].map(|calls| format!("{{\"calls\":{calls}}}"));
    assert_eq!(seen, expected);
}
