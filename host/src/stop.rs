//! A request to stop that threads can look at and sleep against.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared by everything that has to end together. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Asks everybody to stop. Cannot be taken back.
    pub fn request(&self) {
        *self.flag() = true;
        self.0.1.notify_all();
    }

    /// Whether to stop.
    pub fn requested(&self) -> bool {
        *self.flag()
    }

    /// Sleeps, but not beyond a request to stop. `true` when there is one.
    pub fn sleep(&self, duration: Duration) -> bool {
        let result = self.0.1.wait_timeout_while(self.flag(), duration, |stop| !*stop);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }

    fn flag(&self) -> std::sync::MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
