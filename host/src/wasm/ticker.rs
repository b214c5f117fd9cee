//! The clock that ends calls: one thread that raises the epoch of every engine.
//!
//! Holds the engines weakly and ends with its last owner. Deadlines are counted in ticks; they
//! are rounded so that a call may run a little longer than its limit, never shorter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use wasmtime::{Engine, EngineWeak};

/// The resolution of deadlines.
const TICK: Duration = Duration::from_millis(10);

/// The longest call that a manifest may allow.
const LONGEST_CALL: Duration = Duration::from_secs(600);

/// Owns the thread; dropping it ends the thread.
pub(super) struct Ticker {
    beat: Arc<Beat>,
    /// Never sent to: the thread notices that it is gone.
    _stop: Sender<()>,
}

/// What the thread and its owners share.
struct Beat {
    ticks: AtomicU64,
    interrupted: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
}

impl Ticker {
    /// Starts the thread.
    pub(super) fn start() -> anyhow::Result<Self> {
        let (stop, stopped) = channel();
        let beat = Arc::new(Beat {
            ticks: AtomicU64::new(0),
            interrupted: AtomicBool::new(false),
            engines: Mutex::default(),
        });
        let shared = Arc::clone(&beat);
        thread::Builder::new()
            .name("wasm-ticker".to_owned())
            .spawn(move || shared.run(&stopped))
            .context("failed to start the thread that enforces time limits")?;
        Ok(Self { beat, _stop: stop })
    }

    /// Raises this engine's epoch too, as long as it lives.
    pub(super) fn drive(&self, engine: &Engine) {
        self.beat.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// Ends all calls that run now, because the process stops.
    pub(super) fn interrupt(&self) {
        self.beat.interrupted.store(true, Ordering::Relaxed);
        for _ in 0..ticks(LONGEST_CALL) {
            self.beat.tick();
        }
    }

    /// Whether calls end because the process stops, and not because they took too long.
    pub(super) fn interrupted(&self) -> bool {
        self.beat.interrupted.load(Ordering::Relaxed)
    }

    /// Ticks since the start.
    pub(super) fn now(&self) -> u64 {
        self.beat.ticks.load(Ordering::Relaxed)
    }
}

impl Beat {
    fn run(&self, stopped: &Receiver<()>) {
        let mut next = Instant::now() + TICK;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            self.tick();
            // Late by less than a tick: keep the pace. By more: what was missed is not made up
            // for, or a call that has just begun would lose the time.
            let now = Instant::now();
            next = if next + TICK > now { next + TICK } else { now + TICK };
        }
    }

    fn tick(&self) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
    }
}

/// The ticks after which `limit` has certainly passed: two more than it fills, because the first
/// may come at once and the second may come early after a late one.
pub(super) fn ticks(limit: Duration) -> u64 {
    let full = limit.as_nanos().div_ceil(TICK.as_nanos());
    // A deadline of centuries needs no more than this, and must not overflow the epoch.
    u64::try_from(full).unwrap_or(u64::MAX).min(u64::MAX / 4) + 2
}

/// The longest time that `ticks` can take.
pub(super) fn span(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_and_allows_for_ticks_that_come_early() {
        assert_eq!(ticks(Duration::from_millis(1)), 3);
        assert_eq!(ticks(Duration::from_millis(10)), 3);
        assert_eq!(ticks(Duration::from_millis(11)), 4);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 4 + 2);
    }

    #[test]
    fn the_thread_ends_with_its_owner() -> anyhow::Result<()> {
        let ticker = Ticker::start()?;
        let beat = Arc::downgrade(&ticker.beat);
        drop(ticker);
        let deadline = Instant::now() + Duration::from_secs(10);
        while beat.strong_count() > 0 {
            anyhow::ensure!(Instant::now() < deadline, "the thread still runs");
            thread::yield_now();
        }
        Ok(())
    }
}
