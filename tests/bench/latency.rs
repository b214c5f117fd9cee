//! Latency: events at a steady rate, each with the time of its sending in its value.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lockstep_tests::event::{With, event};
use lockstep_tests::log::{LogKind, Tail};

use crate::report::{self, ms, quantile};
use crate::setup::Setup;

const VALUE_BYTES: usize = 100;
/// One in so many results is left out at the start: connections and caches warm up.
const WARM_UP: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(kind: LogKind, rate: u32, seconds: u32) {
    let setup = Setup::new(kind);
    let _host = setup.world.start();
    let mut tail = setup.world.log().tail(&setup.output);
    // The first event finds everything connected.
    setup.world.produce([event(&setup.input, since_epoch().as_micros().to_le_bytes())]);
    collect(&mut *tail, 1);

    let total = rate as usize * seconds as usize;
    let failed = AtomicBool::new(false);
    let mut latencies = std::thread::scope(|scope| {
        scope.spawn(|| {
            if !send(&setup, rate, total) {
                failed.store(true, Ordering::Relaxed);
            }
        });
        collect(&mut *tail, total)
    });
    assert!(!failed.load(Ordering::Relaxed), "this machine cannot keep the rate");
    latencies.drain(..latencies.len() / WARM_UP);
    latencies.sort_unstable();
    report::line(&format!(
        "latency {kind:?}: {rate} events/s for {seconds} s: p50 {}, p99 {}, longest {}",
        ms(quantile(&latencies, 0.5)),
        ms(quantile(&latencies, 0.99)),
        ms(quantile(&latencies, 1.0)),
    ));
}

/// Sends on time, several at once when that many are due; `false` when it fell behind.
fn send(setup: &Setup, rate: u32, total: usize) -> bool {
    let begun = Instant::now();
    let mut sent = 0;
    let mut late = Duration::ZERO;
    while sent < total {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as usize;
        let due = due.min(total);
        if sent < due {
            let stamped = |n: usize| {
                let mut value = vec![b'x'; VALUE_BYTES];
                value[..16].copy_from_slice(&since_epoch().as_micros().to_le_bytes());
                event(&setup.input, value).key(n.to_le_bytes())
            };
            for number in sent..due {
                let result = setup.world.log().send(&stamped(number), None);
                result.unwrap_or_else(|error| panic!("failed to send: {error}"));
            }
            sent = due;
            let planned = Duration::from_secs_f64(sent as f64 / f64::from(rate));
            late = late.max(begun.elapsed().saturating_sub(planned));
        } else {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    late < Duration::from_secs(1)
}

fn collect(tail: &mut dyn Tail, count: usize) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    let begun = Instant::now();
    while latencies.len() < count {
        assert!(begun.elapsed() < PATIENCE, "only {} of {count} outputs", latencies.len());
        let events = tail.read(Duration::from_millis(100));
        let now = since_epoch();
        latencies.extend(events.iter().filter_map(|event| {
            let stamp = event.event.value.as_deref()?.first_chunk::<16>()?;
            let sent = u64::try_from(u128::from_le_bytes(*stamp)).ok()?;
            Some(now.saturating_sub(Duration::from_micros(sent)))
        }));
    }
    latencies
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
