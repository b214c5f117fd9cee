//! Waiting for things that other processes do: poll with a deadline, never a bare sleep.

use std::time::{Duration, Instant};

/// Far beyond what anything here takes; a slow machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A first build fetches and compiles what the language needs; on a machine that does other things
/// too, any build takes its time.
pub const FIRST_BUILD: Duration = Duration::from_secs(900);

const PAUSE: Duration = Duration::from_millis(20);

/// Waits until the condition holds; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until `find` finds something; panics with `what` after [`DEADLINE`].
#[track_caller]
pub fn eventually_some<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `find` answers `Ok`; panics with `what` and the last `Err` after [`DEADLINE`].
#[track_caller]
pub fn eventually_ok<T>(what: &str, mut find: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match find() {
            Ok(found) => return found,
            Err(last) => {
                assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}; {last}");
            }
        }
        std::thread::sleep(PAUSE);
    }
}
