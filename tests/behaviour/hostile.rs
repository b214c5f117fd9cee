//! Handlers that try to break out of the sandbox, or to take from the host what their neighbours
//! need: each attack costs its event, the next one of the same handler is handled, the same host
//! goes on, and its memory stays below what the configuration allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lockstep_tests::event::{Has, With, event};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::process::{peak_memory, resources};
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually_ok;
use lockstep_tests::{build, paths};
use serde_json::json;

on_both_logs![
    a_hoard_of_host_resources_ends_at_their_limit,
    a_flood_of_host_calls_ends_at_the_deadline,
    one_host_call_for_too_much_is_refused_before_the_host_has_paid,
    recursion_through_the_host_ends_at_the_stack_limit,
    long_names_and_many_headers_are_refused_or_cut,
    outputs_that_break_the_abi_cost_one_event_each,
    memory_that_the_guest_gives_the_host_is_not_trusted,
    what_runs_after_the_outputs_is_held_to_the_limits_too,
    the_outputs_of_one_transaction_are_bounded_together,
    a_component_whose_start_never_ends_is_refused_and_the_host_goes_on,
    the_neighbour_of_a_hostile_handler_loses_nothing_and_keeps_its_order,
];

const MIB: u64 = 1 << 20;
/// What a host with one handler holds without any event: the program, the compiler's leftovers,
/// the log's buffers. Generous, because the tests run it without optimization.
const IDLE: u64 = 128 * MIB;
/// `limits.memory`, of the one instance that is alive and the one that takes its place.
const MEMORY: u64 = 32 * MIB;
/// `limits.output_bytes`.
const OUTPUTS: u64 = MIB;
/// `batch.bytes`: of the inputs of one transaction, and of what they become.
const BATCH: u64 = MIB;
const LIMITS: &str = "limits = { memory = \"32MiB\", time = \"1s\", output_bytes = \"1MiB\" }\n\
                      batch = { bytes = \"1MiB\" }";
/// All that these limits let the host hold. What a guest hands over is copied twice on its way
/// into the log.
const BOUND: u64 = IDLE + 2 * MEMORY + 3 * (OUTPUTS + 3 * BATCH);

/// What one event is to become.
struct Attack {
    script: String,
    /// The kind of the dead letter; `None` when it is to succeed.
    ends_as: Option<&'static str>,
}

fn attack(script: impl ToString, ends_as: &'static str) -> Attack {
    Attack { script: script.to_string(), ends_as: Some(ends_as) }
}

fn harmless(script: impl ToString) -> Attack {
    Attack { script: script.to_string(), ends_as: None }
}

/// A script of the guest `scripted`.
fn scripted(what: &str, n: u64) -> String {
    json!({ "do": what, "n": n }).to_string()
}

/// Runs each attack, and after each an event that is to succeed.
fn contained(
    world: &mut Scenario,
    hostile: Manifest,
    attacks: impl IntoIterator<Item = Attack>,
) -> (Vec<String>, Host) {
    let events = attacks.into_iter().flat_map(|attack| [attack, harmless("fine")]);
    end_as_said(world, hostile, events.collect())
}

/// Runs these events in this order on one host. Gives the messages of the dead letters, and the
/// host.
fn end_as_said(
    world: &mut Scenario,
    hostile: Manifest,
    events: Vec<Attack>,
) -> (Vec<String>, Host) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(hostile.from(&[&input]).to(&[&output]).with(LIMITS));
    world.produce(events.iter().map(|attack| event(&input, attack.script.clone())));
    let mut host = world.start();
    world.settle(&handler);
    let dead = world.read(&handler.dead_letters);
    let ended = |script: &str| {
        let letter = dead.iter().find(|letter| letter.text() == script)?;
        letter.last_header("lockstep-failure")
    };
    for attack in &events {
        assert_eq!(ended(&attack.script).as_deref(), attack.ends_as, "{}", attack.script);
    }
    let done = world.read(&output).len();
    assert_eq!(done, events.iter().filter(|attack| attack.ends_as.is_none()).count());
    assert_eq!(host.handler(&handler.name)["name"], handler.name.as_str(), "it still runs");
    stays_in_bounds(&mut host);
    let message = |letter| Has::last_header(letter, "lockstep-failure-message");
    (dead.iter().filter_map(message).collect(), host)
}

/// The host never held more than its limits allow.
fn stays_in_bounds(host: &mut Host) {
    let pid = host.process().pid();
    let peak = peak_memory(pid);
    assert!(peak > 0, "the host is gone");
    assert!(peak < BOUND, "the host took {} MiB of {} MiB", peak / MIB, BOUND / MIB);
}

fn fixture(world: &Scenario, name: &str) -> PathBuf {
    let component = world.directory().join(name).with_extension("wasm");
    build::assemble(&paths::tests().join("guests/fixtures").join(name), &component);
    component
}

fn a_hoard_of_host_resources_ends_at_their_limit(mut world: Scenario) {
    let attacks = ["hoard-pollables", "hoard-streams"];
    let attacks = attacks.map(|what| attack(scripted(what, 1), "resources"));
    let (messages, _host) = contained(&mut world, Manifest::guest("scripted"), attacks);
    assert!(messages.iter().all(|m| m.contains("too many WASI resources")), "{messages:?}");
}

fn a_flood_of_host_calls_ends_at_the_deadline(mut world: Scenario) {
    let floods = ["flood-clock", "flood-random", "flood-sockets", "flood-lines"];
    let floods = floods.map(|what| attack(scripted(what, 1), "deadline"));
    let polls = [
        attack(scripted("flood-poll", 1_000), "deadline"),
        // All of them are lent to the host for the length of the call.
        attack(scripted("flood-poll", 100_000), "resources"),
    ];
    let floods = floods.into_iter().chain(polls);
    let (_, mut host) = contained(&mut world, Manifest::guest("scripted"), floods);
    let files = resources(host.process().pid()).file_descriptors;
    assert!(files < 200, "the host holds {files} files");
}

fn one_host_call_for_too_much_is_refused_before_the_host_has_paid(mut world: Scenario) {
    let attacks = [
        attack(scripted("random", 1 << 40), "resources"),
        attack(scripted("random", 20 << 20), "resources"),
        attack(scripted("write", 20 << 20), "resources"),
        // Little enough to be taken over, and far more than a stream says it takes.
        attack(scripted("write", 2 << 20), "resources"),
        harmless(scripted("random", 1 << 20)),
        harmless(scripted("write", 60 << 10)),
    ];
    contained(&mut world, Manifest::guest("scripted"), attacks);
}

fn recursion_through_the_host_ends_at_the_stack_limit(mut world: Scenario) {
    let attacks = [attack(scripted("deep-calls", 1), "stack")];
    contained(&mut world, Manifest::guest("scripted"), attacks);
}

fn long_names_and_many_headers_are_refused_or_cut(mut world: Scenario) {
    let attacks = [
        attack(scripted("long-header", 2 << 20), "oversized-output"),
        attack(scripted("many-headers", 200_000), "oversized-output"),
        attack(scripted("long-message", 1 << 20), "permanent"),
        attack(scripted("long-topic", 1 << 20), "forbidden-topic"),
        attack(scripted("long-message", 20 << 20), "oversized-output"),
    ];
    let (messages, mut host) = contained(&mut world, Manifest::guest("scripted"), attacks);
    let longest = messages.iter().map(String::len).max().unwrap_or_default();
    assert!(longest <= 4 << 10, "a dead letter's message has {longest} bytes");
    let lines = host.process().lines();
    let longest = lines.iter().map(String::len).max().unwrap_or_default();
    assert!(longest < 16 << 10, "a line of {longest} bytes was logged");
    assert!(lines.len() < 1_000, "{} lines were logged", lines.len());
}

/// The fixture `abi-breaker.wat`, given these letters.
fn abi_broken(world: &mut Scenario, attacks: impl IntoIterator<Item = Attack>) -> Vec<String> {
    let breaker = Manifest::component("abi-breaker", &fixture(world, "abi-breaker.wat"));
    contained(world, breaker, attacks).0
}

fn outputs_that_break_the_abi_cost_one_event_each(mut world: Scenario) {
    let letters = ["u", "l", "p", "a", "r", "d", "s", "h"].map(|letter| attack(letter, "trap"));
    let messages = abi_broken(&mut world, letters);
    assert!(messages.iter().any(|message| message.contains("utf-8")), "{messages:?}");
}

/// The letter says how the event after it is received.
fn memory_that_the_guest_gives_the_host_is_not_trusted(mut world: Scenario) {
    let kinds = [
        ("E", "deadline"),
        ("T", "trap"),
        ("C", "trap"),
        ("D", "stack"),
        ("P", "trap"),
        ("A", "trap"),
    ];
    let events = kinds.into_iter().flat_map(|(letter, kind)| {
        [harmless(letter), attack(format!("after {letter}"), kind), harmless("fine")]
    });
    let breaker = Manifest::component("abi-breaker", &fixture(&world, "abi-breaker.wat"));
    end_as_said(&mut world, breaker, events.collect());
}

fn what_runs_after_the_outputs_is_held_to_the_limits_too(mut world: Scenario) {
    let letters = [attack("e", "deadline"), attack("t", "trap"), attack("c", "trap")];
    abi_broken(&mut world, letters);
}

/// Each event is well within the limits, and the interval would take in all of them.
fn the_outputs_of_one_transaction_are_bounded_together(mut world: Scenario) {
    const EVENTS: usize = 300;
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let eager = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler =
        world.deploy(eager.with(LIMITS).with("batch.interval = \"10s\"\nlimits.time = \"10s\""));
    let script = scripted("huge", 900_000);
    world.produce((0..EVENTS).map(|_| event(&input, script.clone())));
    let mut host = world.start();
    world.settle(&handler);
    stays_in_bounds(&mut host);
    assert_eq!(world.read(&handler.dead_letters), []);
    let mut tail = world.log().tail(&output);
    let mut seen = 0;
    eventually_ok("all outputs are there", || {
        seen += tail.read(Duration::from_millis(100)).len();
        if seen == EVENTS { Ok(()) } else { Err(format!("{seen} so far")) }
    });
}

fn a_component_whose_start_never_ends_is_refused_and_the_host_goes_on(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    let never = fixture(&fleet.world, "never-starts.wat");
    fs::copy(never, fleet.folder.join("handler.wasm")).expect("it can be copied");
    let folder = fleet.folder.display().to_string();
    let refused = fleet.run(&["deploy", "--no-build", &folder]);
    refused.fails(1, &["initialisation took longer than 10s"]);
    assert_eq!(fleet.answered_by(), 1);
}

fn the_neighbour_of_a_hostile_handler_loses_nothing_and_keeps_its_order(mut world: Scenario) {
    const CHUNKS: usize = 40;
    const CHUNK: usize = 50;
    let (bad, worse) = (world.topic("hostile-in", 1), world.topic("hostile-out", 1));
    let (input, output) = (world.topic("good-in", 2), world.topic("good-out", 2));
    let hostile = Manifest::guest("scripted").from(&[&bad]).to(&[&worse]).with(LIMITS);
    let hostile = world.deploy(hostile);
    let good = Manifest::guest("identity").from(&[&input]).to(&[&output]).with(LIMITS);
    let good = world.deploy(good);
    world.produce((0..60).flat_map(|_| every_attack()).map(|script| event(&bad, script)));
    let mut host = world.start();
    world.wait_for(&hostile.dead_letters, 1);
    for chunk in 0..CHUNKS {
        let numbers = chunk * CHUNK..(chunk + 1) * CHUNK;
        world.produce(numbers.map(|n| event(&input, n.to_string()).key([(n % 7) as u8])));
    }
    world.settle(&good);
    let attacks = world.read(&hostile.dead_letters).len();
    assert!(attacks < 60 * every_attack().count(), "the attacks were over too early");
    let mut seen: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for event in world.read(&output) {
        let number = event.text().parse().expect("a number");
        seen.entry(event.event.key).or_default().push(number);
    }
    for (key, numbers) in (0..7_u8).map(|key| (Some(vec![key]), usize::from(key))) {
        let expected: Vec<_> = (numbers..CHUNKS * CHUNK).step_by(7).collect();
        assert_eq!(seen.remove(&key), Some(expected), "each once and in order");
    }
    assert_eq!(world.read(&good.dead_letters), []);
    let peak = peak_memory(host.process().pid());
    let bound = 2 * BOUND - IDLE;
    assert!(peak < bound, "the host took {} MiB of {} MiB", peak / MIB, bound / MIB);
}

/// One script of each kind.
fn every_attack() -> impl Iterator<Item = String> {
    let floods = ["hoard-pollables", "flood-clock", "flood-lines", "flood-poll", "deep-calls"];
    let ruins = ["trap", "loop", "bomb", "recurse"];
    let sized = [("random", 1 << 40), ("write", 2 << 20), ("huge", 8 << 20), ("many", 20_000)];
    let unsized_ones = floods.into_iter().chain(ruins).map(|what| (what, 1));
    unsized_ones.chain(sized).map(|(what, n)| scripted(what, n))
}
