//! Rolls back what the workers of this host find faulty, by a change of the registry like any
//! other: all hosts follow it, this one too.
//!
//! A wish stays until nothing on this host runs its revision any more, or until it is refused for
//! good. So a registry that cannot be written delays it, and one that comes to nothing, because
//! another revision was active meanwhile and is taken back, is looked at again.

#[cfg(test)]
mod tests;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{debug, error};

use crate::deployment::operation::{Operation, Operator, Refusal};
use crate::deployment::record::DeploymentRecord;
use crate::deployment::store::{Store, StoreError};
use crate::deployment::trigger::Wish;
use crate::event::now_ms;
use crate::retry::RetryPolicy;
use crate::stop::Stop;

/// How long one look for wishes takes: the longest that a stop goes unnoticed.
const WAIT: Duration = Duration::from_millis(200);
/// Pauses between attempts for one wish.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    multiplier: 2.0,
    jitter: 0.3,
};

/// Performs what triggers ask for.
pub(super) struct Rollbacks {
    pub(super) store: Store,
    pub(super) host_id: String,
    pub(super) stop: Stop,
}

/// A wish that is not done with.
struct Pending {
    wish: Wish,
    attempts: u32,
    due: Instant,
    /// What stood in its way last.
    told: String,
}

impl Pending {
    fn new(wish: Wish) -> Self {
        Self { wish, attempts: 0, due: Instant::now(), told: String::new() }
    }
}

impl Rollbacks {
    /// Starts to perform.
    pub(super) fn start(self, wishes: mpsc::Receiver<Wish>) -> anyhow::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("rollbacks".to_owned())
            .spawn(move || self.run(&wishes))
            .context("failed to start the thread that rolls faulty revisions back")
    }

    fn run(&self, wishes: &mpsc::Receiver<Wish>) {
        let mut pending: Vec<Pending> = Vec::new();
        while !self.stop.requested() {
            match wishes.recv_timeout(WAIT) {
                Ok(wish) => pending.push(Pending::new(wish)),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody can make revisions any more: the host ends.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            pending.retain_mut(|one| Instant::now() < one.due || self.attend_to(one));
        }
    }

    /// Attempts it once more; `false` when it is done with.
    fn attend_to(&self, pending: &mut Pending) -> bool {
        let wish = &pending.wish;
        let Some(trigger) = wish.trigger.upgrade() else { return false };
        let (handler, revision) = (&wish.handler, wish.revision);
        match self.perform(wish) {
            Ok(record) => error!(
                %handler, revision, to = record.revision,
                "revision rolled back: {}", wish.reason
            ),
            Err(StoreError::Refused(
                refusal @ (Refusal::CameBetween { .. } | Refusal::NotThere { .. }),
            )) => debug!(%handler, revision, "nothing to roll back: {refusal}"),
            Err(StoreError::Refused(refusal)) => {
                error!(
                    %handler, revision,
                    "not rolled back, and its faults are what on_failure makes of them from now \
                     on: {refusal}; it was asked for because of {}", wish.reason
                );
                trigger.refuse(&refusal.to_string());
                return false;
            }
            Err(StoreError::Log(problem)) => {
                let problem = format!("{problem:#}");
                if problem != pending.told {
                    error!(
                        %handler, revision,
                        "not rolled back yet, and its partitions wait here until it is, for {}: \
                         {problem}", wish.reason
                    );
                }
                pending.told = problem;
            }
        }
        pending.attempts = pending.attempts.saturating_add(1);
        pending.due = Instant::now() + PAUSES.backoff(pending.attempts, fastrand::f64());
        true
    }

    /// Changes the registry, if it is to be changed: who only looks shuts no other writer out.
    fn perform(&self, wish: &Wish) -> Result<DeploymentRecord, StoreError> {
        let who = Operator { by: self.host_id.clone(), now: now_ms() };
        let operation =
            Operation::RollbackFaulty { revision: wish.revision, reason: wish.reason.clone() };
        operation.plan(&self.store.registry()?, &wish.handler, &who)?;
        let plan = self.store.perform(&wish.handler, &operation, &who, None)?;
        Ok(plan.deployment.context("a rollback leaves a deployment")?)
    }
}
