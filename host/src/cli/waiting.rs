//! Shows how far the hosts of a fleet are, while they are waited for.

use std::time::Duration;

use super::progress::Progress;
use crate::fleet::Patience;

/// A wait for the hosts that run a handler, which a person sees.
pub(super) struct Waiting(Box<dyn Fn(usize, usize)>);

impl Waiting {
    /// Starts to show it.
    pub(super) fn start(name: &str) -> Self {
        let progress = Progress::start(format!("waiting for the hosts of {name}"));
        let tell = move |arrived, all| progress.detail(&format!("{arrived} of {all} hosts"));
        Self(Box::new(tell))
    }

    /// Waits for so long.
    pub(super) fn patience(&self, timeout: Duration) -> Patience<'_> {
        Patience { timeout, told: &*self.0 }
    }
}
