//! By this the workers of a host ask for the rollback of a deployed revision that faults again and
//! again. All workers of a revision share one.
//!
//! It only asks: who performs it, and when, is for whoever has the other end of the channel. Until
//! that is decided no worker handles another event with the revision.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};

use tracing::warn;

use super::record::DeploymentRecord;
use crate::handler::Handler;

/// Bytes of a reason: it is kept with the registry.
const MAX_REASON: usize = 1_000;

/// Asks for the rollback of one revision.
#[derive(Debug)]
pub struct Trigger {
    handler: String,
    revision: u64,
    after: u32,
    state: Mutex<State>,
    wishes: mpsc::Sender<Wish>,
}

#[derive(Debug)]
enum State {
    Armed,
    /// The rollback is asked for.
    Pulled,
    /// There will be none, for this reason.
    Powerless {
        why: String,
        told: bool,
    },
}

/// A rollback that is asked for.
#[derive(Debug)]
pub struct Wish {
    /// The handler.
    pub handler: String,
    /// The revision that faults.
    pub revision: u64,
    /// What was found, for people.
    pub reason: String,
    /// Gone as soon as nothing on this host runs the revision any more.
    pub trigger: Weak<Trigger>,
}

impl Trigger {
    /// The trigger of the active revision; `None` when its manifest does not ask for one. It has
    /// no power over a revision that replaced none, or that somebody has gone back to.
    pub fn new(
        handler: &Handler,
        record: &DeploymentRecord,
        wishes: &mpsc::Sender<Wish>,
    ) -> Option<Self> {
        let after = handler.rollback_after?;
        let powerless = |why: &str| State::Powerless { why: why.to_owned(), told: false };
        let state = match (record.replaced, record.rolled_back()) {
            (Some(_), _) => State::Armed,
            (None, Some(_)) => powerless("it is itself active because of a rollback"),
            (None, None) => powerless("there is no revision that it replaced"),
        };
        Some(Self {
            handler: handler.name.clone(),
            revision: handler.revision,
            after,
            state: Mutex::new(state),
            wishes: wishes.clone(),
        })
    }

    /// Faults in a row, on one worker, that pull it; at least 1.
    pub fn after(&self) -> u32 {
        self.after
    }

    /// Asks for the rollback, once. `false` when there will be none: then the faults are what the
    /// manifest's `on_failure` makes of them, which is told once.
    pub fn pull(self: &Arc<Self>, reason: &str) -> bool {
        let mut state = self.state();
        match &mut *state {
            State::Pulled => true,
            State::Powerless { told: true, .. } => false,
            State::Powerless { why, told } => {
                *told = true;
                warn!(
                    handler = %self.handler, revision = self.revision,
                    "not rolled back, for {why}; its faults are what on_failure makes of them: \
                     {reason}"
                );
                false
            }
            State::Armed => {
                let wish = Wish {
                    handler: self.handler.clone(),
                    revision: self.revision,
                    reason: truncated(reason),
                    trigger: Arc::downgrade(self),
                };
                // Nobody listens any more when the host stops; then nothing is handled either.
                drop(self.wishes.send(wish));
                *state = State::Pulled;
                true
            }
        }
    }

    /// Whether a rollback is asked for and not refused.
    pub fn is_pulled(&self) -> bool {
        matches!(*self.state(), State::Pulled)
    }

    /// There will be no rollback; whoever decides that tells why.
    pub fn refuse(&self, why: &str) {
        *self.state() = State::Powerless { why: why.to_owned(), told: true };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a handler that a host has in its own configuration is never rolled back, when its manifest
/// asks for it.
pub fn in_vain(handler: &Handler) -> Option<String> {
    handler.rollback_after.map(|_| {
        format!(
            "on_fault = \"rollback\" is without effect for handler {:?}, which is not deployed: a \
             host knows one revision of it; its faults are what on_failure makes of them",
            handler.name
        )
    })
}

fn truncated(reason: &str) -> String {
    if reason.len() <= MAX_REASON {
        return reason.to_owned();
    }
    let end = reason.floor_char_boundary(MAX_REASON - '…'.len_utf8());
    format!("{}…", &reason[..end])
}
