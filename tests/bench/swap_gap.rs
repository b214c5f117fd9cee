//! How much a swap disturbs: the longest time without an output under a steady load, while
//! nothing is swapped and while a revision is activated every second.
//!
//! A gap is the time between two reads that found outputs, in one partition or another; the
//! handler has one worker, so it cannot hide behind a second one.

use std::time::{Duration, Instant};

use lockstep_tests::event::{With, event};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::load::{Running, beside};
use lockstep_tests::log::{LogKind, Tail};

use crate::report::{self, ms, quantile};
use crate::setup::scenario;

const PARTITIONS: u32 = 6;
/// Two deployed revisions, of which each swap activates the other.
const GUESTS: [&str; 2] = ["identity", "stamp"];
const PATIENCE: Duration = Duration::from_secs(120);
/// What a worker has to itself before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// What a reader saw in one phase.
struct Phase {
    gaps: Vec<Duration>,
    outputs: usize,
}

pub(crate) fn run(kind: LogKind, rate: u32, seconds: u32) {
    let (world, _broker) = scenario(kind);
    let fleet = Fleet::new(world, PARTITIONS);
    let _host = fleet.world.start();
    for guest in GUESTS {
        fleet.deploy(guest, &[]).ok();
    }
    let length = Duration::from_secs(u64::from(seconds));
    let load = |running| send_while(running, &fleet, rate);
    let (in_time, (calm, swapped, swaps)) = beside(load, || {
        let mut tail = fleet.world.log().tail(&fleet.output);
        watch(&mut *tail, WARM_UP);
        let calm = watch(&mut *tail, length);
        let swap = |running| swap_while(running, &fleet);
        let (swaps, swapped) = beside(swap, || watch(&mut *tail, length));
        (calm, swapped, swaps)
    });
    assert!(in_time, "this machine cannot keep the rate");
    let longest = |phase: &Phase| quantile(&phase.gaps, 1.0);
    report::line(&format!(
        "swap-gap {kind:?}: {rate} events/s, {seconds} s each: longest gap {} without a swap \
         ({} outputs, median gap {}), {} with {swaps} swaps ({} outputs, median gap {})",
        ms(longest(&calm)),
        calm.outputs,
        ms(quantile(&calm.gaps, 0.5)),
        ms(longest(&swapped)),
        swapped.outputs,
        ms(quantile(&swapped.gaps, 0.5)),
    ));
}

/// The sorted gaps of a time.
fn watch(tail: &mut dyn Tail, length: Duration) -> Phase {
    let begun = Instant::now();
    let mut last = None;
    let mut phase = Phase { gaps: Vec::new(), outputs: 0 };
    while begun.elapsed() < length {
        let count = tail.read(Duration::from_millis(10)).len();
        let now = Instant::now();
        if count > 0 {
            phase.gaps.extend(last.replace(now).map(|before| now - before));
            phase.outputs += count;
        }
        let waited = last.map_or(begun, |last| last).elapsed();
        assert!(waited < PATIENCE, "no output for {waited:?}");
    }
    phase.gaps.sort_unstable();
    phase
}

/// Activates one revision after the other; how often.
fn swap_while(running: Running, fleet: &Fleet) -> usize {
    let mut swaps = 0;
    while running.goes_on() {
        let to = if swaps % 2 == 0 { "1" } else { "2" };
        fleet.run(&["handler", "rollback", &fleet.name, "--to", to]).ok();
        swaps += 1;
    }
    swaps
}

/// Sends on time, several at once when that many are due; `false` when it fell behind.
fn send_while(running: Running, fleet: &Fleet, rate: u32) -> bool {
    let begun = Instant::now();
    let mut sent = 0_usize;
    let mut late = Duration::ZERO;
    while running.goes_on() {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as usize;
        if sent == due {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        let events: Vec<_> = (sent..due)
            .map(|number| event(&fleet.input, "x".repeat(100)).key(number.to_le_bytes()))
            .map(|event| (event, None))
            .collect();
        let produced = fleet.world.log().try_produce(&events);
        produced.unwrap_or_else(|error| panic!("failed to send: {error}"));
        sent = due;
        let planned = Duration::from_secs_f64(sent as f64 / f64::from(rate));
        late = late.max(begun.elapsed().saturating_sub(planned));
    }
    late < Duration::from_secs(2)
}
