//! Throughput: a full topic, drained by a host that starts now.
//!
//! Rates are taken between 20 % and 95 % of the outputs visible to a reader of committed events,
//! so that neither the start nor the last transaction counts. The reader shares the machine.

use std::time::{Duration, Instant};

use lockstep_tests::event::{With, event};
use lockstep_tests::log::LogKind;
use lockstep_tests::process::{cpu_time, peak_memory};

use crate::report;
use crate::setup::Setup;

const CHUNK: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    cpu: Duration,
    seen: usize,
}

/// What draining a topic took.
pub(crate) struct Drained {
    /// Events in a second.
    pub(crate) rate: f64,
    /// Processor time of the host for each event, in microseconds.
    cpu: f64,
    /// The most memory that the host held, in MiB.
    pub(crate) peak: u64,
}

pub(crate) fn run(kind: LogKind, events: usize, bytes: usize) {
    let setup = Setup::new(kind);
    fill(&setup, events, bytes);
    let Drained { rate, cpu, peak } = drain(&setup, events);
    report::line(&format!(
        "pass-through {kind:?}: {events} events of {bytes} B: {rate:.0} events/s, \
         {cpu:.2} µs CPU per event, peak {peak} MiB"
    ));
}

/// Starts a host and waits until it has handled nearly all events of the topic.
pub(crate) fn drain(setup: &Setup, events: usize) -> Drained {
    let mut host = setup.world.start();
    let pid = host.process().pid();
    let begun = Instant::now();
    let (mut low, mut high) = (None, None);
    while high.is_none() && begun.elapsed() < PATIENCE {
        let sample = Sample { at: Instant::now(), cpu: cpu_time(pid), seen: visible(setup) };
        if low.is_none() && sample.seen * 5 >= events {
            low = Some(sample);
        }
        if sample.seen * 20 >= events * 19 {
            high = Some(sample);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let (Some(low), Some(high)) = (low, high) else {
        panic!("only {} of {events} after {PATIENCE:?}\n{}", visible(setup), host.output());
    };
    let count = (high.seen - low.seen) as f64;
    let rate = count / (high.at - low.at).as_secs_f64();
    let cpu = (high.cpu - low.cpu).as_secs_f64() * 1e6 / count;
    Drained { rate, cpu, peak: peak_memory(pid) >> 20 }
}

/// Events done: the offsets move in the same transaction as the outputs, and reading them costs
/// the machine far less than reading the outputs.
fn visible(setup: &Setup) -> usize {
    let committed = setup.world.log().committed(&setup.handler.group, &setup.input);
    committed.values().map(|offset| usize::try_from(*offset).unwrap_or(0)).sum()
}

/// Writes so many events with values of this size.
pub(crate) fn fill(setup: &Setup, events: usize, bytes: usize) {
    let value = vec![b'x'; bytes];
    let mut number = 0_u64;
    while (number as usize) < events {
        let count = CHUNK.min(events - number as usize);
        let chunk = (0..count as u64)
            .map(|n| event(&setup.input, value.clone()).key((number + n).to_le_bytes()));
        setup.world.produce(chunk);
        number += count as u64;
    }
}
