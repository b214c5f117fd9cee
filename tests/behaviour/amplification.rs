//! What is small on its way in and would be huge once it is in the host: the host counts before it
//! unfolds, and goes on.

use std::fmt::Write as _;
use std::time::Duration;

use lockstep_tests::build;
use lockstep_tests::event::{With, event};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::operator::Operator;
use lockstep_tests::process::{Process, code, cpu_time, peak_memory};
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::{DEADLINE, eventually};
use rustix::process::Signal;

on_both_logs![
    events_of_nothing_but_headers_are_taken_a_few_at_a_time,
    a_component_that_unfolds_to_billions_of_instances_is_refused_and_the_host_goes_on,
    a_stop_does_not_wait_for_a_component_that_takes_long_to_compile,
];

const MIB: u64 = 1 << 20;

fn stays_below(host: &mut Host, bound: u64) {
    let peak = peak_memory(host.process().pid());
    assert!(peak > 0, "the host is gone");
    assert!(peak < bound, "the host took {} MiB of {} MiB", peak / MIB, bound / MIB);
}

/// Each takes some KiB of the log and half a MiB of the host, and `batch.events` would let the
/// host take all of them.
fn events_of_nothing_but_headers_are_taken_a_few_at_a_time(mut world: Scenario) {
    const EVENTS: usize = 400;
    const HEADERS: usize = 8_000;
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(
        Manifest::guest("identity")
            .from(&[&input])
            .to(&[&output])
            .with("batch = { bytes = \"2MiB\", interval = \"10s\" }\nlimits.time = \"10s\""),
    );
    let hollow = (0..HEADERS).fold(event(&input, "x"), |event, _| event.null_header(""));
    for _ in 0..EVENTS / 100 {
        world.produce((0..100).map(|_| hollow.clone()));
    }
    let mut host = world.start();
    world.settle(&handler);
    stays_below(&mut host, 256 * MIB);
    let mut tail = world.log().tail(&output);
    let mut seen = 0;
    while seen < EVENTS {
        let events = tail.read(DEADLINE);
        assert!(events.iter().all(|event| event.event.headers.len() >= HEADERS));
        assert!(!events.is_empty(), "only {seen} outputs");
        seen += events.len();
    }
}

fn a_component_that_unfolds_to_billions_of_instances_is_refused_and_the_host_goes_on(
    world: Scenario,
) {
    let fleet = Fleet::new(world, 1);
    let mut host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    assert_eq!(operator.deploy("identity", "").status, 200);
    let bomb = bomb(&fleet);
    for limits in ["", "limits.instances = 10_000"] {
        let manifest = operator.manifest(limits);
        let parts = [("manifest", manifest.as_bytes()), ("component", &bomb)];
        let refused = operator.deploy_form("", &parts).problem("invalid", 422);
        assert!(refused.contains("raise it in handler.toml"), "{refused}");
    }
    assert_eq!(fleet.answered_by(), 1);
    stays_below(&mut host, 256 * MIB);
}

fn a_stop_does_not_wait_for_a_component_that_takes_long_to_compile(mut world: Scenario) {
    let component = world.directory().join("labyrinth.wasm");
    let source = component.with_extension("wat");
    std::fs::write(&source, labyrinth()).expect("it can be written");
    build::assemble(&source, &component);
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::component("labyrinth", &component).from(&[&input]).to(&[&output]));
    let mut command = Host::command(&world.config("host-1"));
    let mut host = Process::start("lockstep run", &mut command);
    // A start without anything to compile needs some milliseconds.
    eventually("it compiles", || cpu_time(host.pid()) > Duration::from_secs(2));
    host.signal(Signal::TERM);
    let ended = host.wait(Duration::from_secs(10));
    assert_eq!(code(ended), 0, "{}", host.output());
}

/// A function that takes minutes to compile: every loop may change each of its variables.
fn labyrinth() -> String {
    const VARIABLES: usize = 20_000;
    const LOOPS: usize = 300;
    let mut text = "(component (core module (func (local".to_owned();
    text += &" i32".repeat(VARIABLES);
    text += ") ";
    text += &"(loop ".repeat(LOOPS);
    for variable in 0..VARIABLES {
        write!(text, "(local.set {variable} (i32.add (local.get {variable}) (i32.const 1)))")
            .expect("a string takes it");
    }
    text + "(br_if 0 (i32.const 0))" + &")".repeat(LOOPS) + ")))"
}

/// 900 instances in each of 900 components, which are in each of 900 others: some KiB.
fn bomb(fleet: &Fleet) -> Vec<u8> {
    const TIMES: usize = 900;
    let mut text = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(TIMES));
    for _ in 0..2 {
        let mut outer = format!("(component $c {text})");
        for _ in 0..TIMES {
            outer.write_str("(instance (instantiate $c))").expect("a string takes it");
        }
        text = outer;
    }
    let (source, binary) = (fleet.folder.join("bomb.wat"), fleet.folder.join("bomb.wasm"));
    std::fs::write(&source, format!("(component {text})")).expect("it can be written");
    build::assemble(&source, &binary);
    let bomb = std::fs::read(&binary).expect("it was assembled");
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    bomb
}
