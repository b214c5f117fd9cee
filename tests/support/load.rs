//! Load beside what a test does, which ends with it: also when the test fails, so that it says why
//! instead of waiting for a thread that nobody stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether the load goes on; asked by the load itself.
pub struct Running(Arc<AtomicBool>);

impl Running {
    /// Whether the load goes on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Ends the load when it is dropped, by a panic too.
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `load` on a thread of its own until `meanwhile` is done, and gives what both returned.
pub fn beside<L: Send, T>(
    load: impl FnOnce(Running) -> L + Send,
    meanwhile: impl FnOnce() -> T,
) -> (L, T) {
    let done = Arc::default();
    let running = Running(Arc::clone(&done));
    thread::scope(|scope| {
        let loading = scope.spawn(|| load(running));
        let end = End(done);
        let result = meanwhile();
        drop(end);
        (loading.join().expect("the load does not panic"), result)
    })
}
