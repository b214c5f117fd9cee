//! What a hostile handler takes from its neighbour: the throughput of the guest `identity` on a host
//! of its own, and on one that also runs a handler whose every event is an attack. Each has one
//! worker and the limits that a manifest has by default.
//!
//! The promise: at least half of the throughput, and no more memory than the limits allow.

use lockstep_tests::event::event;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Manifest;
use serde_json::json;

use crate::pass_through::{Drained, drain, fill};
use crate::report;
use crate::setup::Setup;

/// What each attack does: see the guest `scripted`. Most of them end at the deadline of a second.
const ATTACKS: &[(&str, u64)] = &[
    ("loop", 1),
    ("flood-clock", 1),
    ("flood-random", 1),
    ("flood-lines", 1),
    ("flood-poll", 1_000),
    ("flood-sockets", 1),
    ("hoard-pollables", 1),
    ("bomb", 1),
    ("recurse", 1),
    ("deep-calls", 1),
    ("random", 1 << 40),
    ("write", 2 << 20),
    ("huge", 3_900_000),
    ("huge", 8 << 20),
    ("many", 1_000),
    ("many", 20_000),
    ("long-message", 1 << 20),
];
/// Rounds of all attacks: more than a host can suffer while it is measured.
const ROUNDS: usize = 200;
const BYTES: usize = 1024;
/// What the default limits let the hostile handler add, in MiB: `limits.memory`, and three copies
/// on the way into the log of one event's outputs and a transaction's inputs and outputs.
const ALLOWED: u64 = 64 + 3 * (4 + 3 * 8);

pub(crate) fn run(kind: LogKind, events: usize) {
    let alone = Setup::new(kind);
    fill(&alone, events, BYTES);
    let alone = drain(&alone, events);
    let beside = beside_a_hostile_one(kind, events);
    report::line(&format!(
        "neighbours {kind:?}: {events} events of {BYTES} B: {:.0} events/s alone, {:.0} beside a \
         hostile handler: {:.2} of it (promised: 0.5); peak {} MiB alone, {} MiB beside it \
         (allowed: {})",
        alone.rate,
        beside.rate,
        beside.rate / alone.rate,
        alone.peak,
        beside.peak,
        alone.peak + ALLOWED,
    ));
}

fn beside_a_hostile_one(kind: LogKind, events: usize) -> Drained {
    let mut setup = Setup::new(kind);
    fill(&setup, events, BYTES);
    let world = &mut setup.world;
    let (input, output) = (world.topic("hostile-in", 1), world.topic("hostile-out", 1));
    let hostile = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let attacks = (0..ROUNDS).flat_map(|_| ATTACKS).map(|(what, n)| json!({ "do": what, "n": n }));
    world.produce(attacks.map(|script| event(&input, script.to_string())));
    let drained = drain(&setup, events);
    let suffered = setup.world.log().committed(&hostile.group, &input).into_values().sum::<i64>();
    assert!(suffered > 0, "no attack was made");
    assert!((suffered as usize) < ROUNDS * ATTACKS.len(), "the attacks were over too early");
    drained
}
