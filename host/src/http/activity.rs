//! What a connection is doing, and until when it may.
//!
//! One record per connection, shared by its stream (bytes arrive), its requests (begin, end) and
//! the task that closes it. Knows no protocol but one rule: over HTTP/2 bytes also arrive between
//! requests, so only over HTTP/1 do they begin one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The record of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    read_timeout: Duration,
    idle_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose answers are not there yet.
    in_flight: usize,
    multiplexed: bool,
    /// Whether a request was answered before its body was read.
    abandoned: bool,
    phase: Phase,
    /// When the phase began.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing arrived yet.
    Fresh,
    /// A head is arriving.
    Head,
    /// Between requests.
    Idle,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is under way: it can be closed politely.
    Idle,
    /// A head does not arrive: there is nobody to be polite to.
    Slow,
}

impl Activity {
    pub(super) fn new(read_timeout: Duration, idle_timeout: Duration) -> Arc<Self> {
        let state = State {
            in_flight: 0,
            multiplexed: false,
            abandoned: false,
            phase: Phase::Fresh,
            since: Instant::now(),
        };
        Arc::new(Self { read_timeout, idle_timeout, state: Mutex::new(state) })
    }

    /// Bytes arrived.
    pub(super) fn received(&self) {
        let mut state = self.state();
        let begins = match state.phase {
            Phase::Fresh => true,
            Phase::Idle => state.in_flight == 0 && !state.multiplexed,
            Phase::Head => false,
        };
        if begins {
            state.phase = Phase::Head;
            state.since = Instant::now();
        }
    }

    /// A head is complete. Returns until when its body has to be.
    pub(super) fn begin(self: &Arc<Self>, multiplexed: bool) -> (InFlight, Instant) {
        let mut state = self.state();
        let began = match state.phase {
            Phase::Head if state.in_flight == 0 => state.since,
            _ => Instant::now(),
        };
        state.in_flight += 1;
        state.multiplexed = multiplexed;
        state.abandoned = false;
        state.phase = Phase::Idle;
        (InFlight(Arc::clone(self)), began + self.read_timeout)
    }

    /// A body was dropped before its end: the client may still be sending it.
    pub(super) fn abandoned(&self) {
        self.state().abandoned = true;
    }

    /// Whether the client may still be sending what nobody reads.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state().abandoned
    }

    /// When the connection is over unless something happens, and why; `None` while a request is
    /// in flight.
    pub(super) fn deadline(&self) -> Option<(Instant, Verdict)> {
        let state = self.state();
        match state.phase {
            _ if state.in_flight > 0 => None,
            Phase::Fresh => Some((state.since + self.read_timeout, Verdict::Idle)),
            Phase::Head => Some((state.since + self.read_timeout, Verdict::Slow)),
            Phase::Idle => Some((state.since + self.idle_timeout, Verdict::Idle)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight; over when dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight -= 1;
        state.phase = Phase::Idle;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(60);

    fn began(activity: &Activity) -> (Duration, Verdict) {
        let (due, verdict) = activity.deadline().expect("nothing is in flight");
        (due.saturating_duration_since(activity.state().since), verdict)
    }

    #[test]
    fn a_head_has_the_read_timeout_from_its_first_byte_and_so_has_its_body() {
        let activity = Activity::new(READ, IDLE);
        assert_eq!(began(&activity), (READ, Verdict::Idle));
        activity.received();
        assert_eq!(began(&activity), (READ, Verdict::Slow));
        let due = activity.deadline();
        activity.received();
        assert_eq!(activity.deadline(), due, "more bytes give no more time");
        let (request, body) = activity.begin(false);
        assert_eq!(Some((body, Verdict::Slow)), due);
        assert_eq!(activity.deadline(), None);
        activity.received();
        drop(request);
        assert_eq!(began(&activity), (IDLE, Verdict::Idle));
        activity.received();
        assert_eq!(began(&activity), (READ, Verdict::Slow));
    }

    #[test]
    fn frames_between_requests_neither_begin_one_nor_keep_a_connection() {
        let activity = Activity::new(READ, IDLE);
        activity.received();
        drop(activity.begin(true));
        let due = activity.deadline();
        activity.received();
        assert_eq!(activity.deadline(), due);
        assert_eq!(began(&activity), (IDLE, Verdict::Idle));
    }
}
