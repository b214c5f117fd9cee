//! Runs the handlers of a host: starts their workers, changes what they run, stops them in time.
//! One handler's end never touches another.
//!
//! Every change is a [`Command`], performed one after the other by whoever owns the supervisor,
//! so that changes cannot interleave. A command gets what is loaded already: nothing here
//! compiles, and nothing here waits for the log.

mod life;
mod lifecycle;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::board::Board;
use crate::log::Log;
use crate::revision::Revision;
use crate::stop::Stop;
use crate::wasm::Runtime;
use lifecycle::Lifecycle;

/// How often a waiting supervisor looks whether threads have ended.
const GLANCE: Duration = Duration::from_millis(5);

/// The running handlers of a host.
pub struct Supervisor {
    log: Arc<dyn Log>,
    board: Board,
    /// The host's id.
    host: Arc<str>,
    /// When the host stops, no command waits any longer.
    stop: Stop,
    lifecycles: BTreeMap<String, Lifecycle>,
}

/// What can be done to a handler.
pub enum Command {
    /// Makes this revision the active one, however that is best done: see [`Change`].
    Activate(Arc<Revision>),
    /// Ends the handler of this name.
    Remove(String),
}

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The handler was not there, and its workers start.
    Started,
    /// Each worker takes the revision up after its present transaction: no rebalance.
    Swapped,
    /// The revision subscribes to something else, or needs other threads: the old workers have
    /// ended, and new ones start.
    Restarted,
    /// The handler's workers have ended.
    Removed,
    /// There is no handler of this name.
    NotThere,
}

impl Supervisor {
    /// A supervisor without handlers, on the host with this id.
    pub fn new(log: Arc<dyn Log>, board: Board, host: &str, stop: Stop) -> Self {
        Self { log, board, host: host.into(), stop, lifecycles: BTreeMap::new() }
    }

    /// Performs a command. Ending workers waits for their transactions; whatever hangs is left
    /// behind and can commit nothing once a successor has opened its session.
    pub fn perform(&mut self, command: Command) -> anyhow::Result<Change> {
        match command {
            Command::Activate(revision) => self.activate(&revision),
            Command::Remove(name) => Ok(match self.remove(&name) {
                true => Change::Removed,
                false => Change::NotThere,
            }),
        }
    }

    fn activate(&mut self, revision: &Arc<Revision>) -> anyhow::Result<Change> {
        let handler = &revision.handler;
        let change = match self.lifecycles.get_mut(&handler.name) {
            Some(lifecycle) if lifecycle.fits(revision) => {
                self.board.activated(handler);
                lifecycle.swap(Arc::clone(revision));
                Change::Swapped
            }
            Some(_) => {
                self.remove(&handler.name);
                self.start(revision)?;
                Change::Restarted
            }
            None => {
                self.start(revision)?;
                Change::Started
            }
        };
        info!(handler = %handler.name, revision = handler.revision, %change, "revision activated");
        Ok(change)
    }

    fn start(&mut self, revision: &Arc<Revision>) -> anyhow::Result<()> {
        let lifecycle = Lifecycle::start(revision, &self.log, &self.board, &self.host)?;
        self.lifecycles.insert(revision.handler.name.clone(), lifecycle);
        Ok(())
    }

    /// Ends the workers of a handler; `false` when there are none.
    fn remove(&mut self, name: &str) -> bool {
        let Some(lifecycle) = self.lifecycles.remove(name) else { return false };
        let deadline = Instant::now() + lifecycle.patience();
        lifecycle.request_stop();
        while !lifecycle.ended() && Instant::now() < deadline && !self.stop.requested() {
            thread::sleep(GLANCE);
        }
        tell(&lifecycle.join());
        self.board.remove(name);
        true
    }

    /// Asks all workers to stop and waits until they have left their groups. Calls that are
    /// still running after half of the time are interrupted. A worker that hangs all the same,
    /// because the log does not answer, is left to the end of the process.
    pub fn stop(self, sandbox: &Runtime, deadline: Instant) {
        let lifecycles: Vec<_> = self.lifecycles.into_values().collect();
        lifecycles.iter().for_each(Lifecycle::request_stop);
        let ended = || lifecycles.iter().all(Lifecycle::ended);
        let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        while !ended() && Instant::now() < patience {
            thread::sleep(GLANCE);
        }
        if !ended() {
            sandbox.interrupt();
        }
        while !ended() && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
        let late: Vec<_> = lifecycles.into_iter().flat_map(Lifecycle::join).collect();
        tell(&late);
    }
}

/// Names the workers that were left behind.
fn tell(late: &[String]) {
    if !late.is_empty() {
        warn!(
            "workers {late:?} did not stop in time; nothing of their transactions is visible, \
             and the log aborts them"
        );
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Swapped => "swapped",
            Self::Restarted => "restarted",
            Self::Removed => "removed",
            Self::NotThere => "not there",
        })
    }
}
