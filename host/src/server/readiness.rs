//! Whether the host can do its work: topics made, log reachable, workers running.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tracing::{info, warn};

use crate::board::Board;
use crate::health::Readiness;
use crate::log::Log;
use crate::status::WorkerState;
use crate::stop::Stop;

/// How often the log is asked, and how long it may take to answer.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(3);

/// What is known about the host's readiness. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct HostReadiness {
    facts: Arc<Mutex<Facts>>,
    board: Board,
}

/// What the log said when it was asked last.
#[derive(Default)]
enum LogState {
    #[default]
    NotAsked,
    Reachable,
    Unreachable(String),
}

#[derive(Default)]
struct Facts {
    prepared: bool,
    started: bool,
    stopping: bool,
    /// Why preparation does not get on.
    preparation: Vec<String>,
    log: LogState,
}

impl HostReadiness {
    /// The same facts, with the workers of this board.
    pub(super) fn with_board(self, board: Board) -> Self {
        Self { board, ..self }
    }

    /// Preparation waits for these things.
    pub(super) fn waiting_for(&self, reasons: Vec<String>) {
        self.facts().preparation = reasons;
    }

    /// Topics are there.
    pub(super) fn prepared(&self) {
        let mut facts = self.facts();
        facts.prepared = true;
        facts.preparation.clear();
    }

    /// The workers are started.
    pub(super) fn started(&self) {
        self.facts().started = true;
    }

    /// Whether the workers were started.
    pub(super) fn is_started(&self) -> bool {
        self.facts().started
    }

    /// The host is being stopped.
    pub(super) fn stopping(&self) {
        self.facts().stopping = true;
    }

    /// Asks the log again and again whether it answers.
    pub(super) fn monitor(
        &self,
        log: &Arc<dyn Log>,
        stop: &Stop,
    ) -> anyhow::Result<JoinHandle<()>> {
        let (this, log, stop) = (self.clone(), Arc::clone(log), stop.clone());
        thread::Builder::new()
            .name("log-monitor".to_owned())
            .spawn(move || {
                loop {
                    this.note(match log.ping(TIMEOUT) {
                        Ok(()) => LogState::Reachable,
                        Err(error) => LogState::Unreachable(format!("{error:#}")),
                    });
                    if stop.sleep(INTERVAL) {
                        return;
                    }
                }
            })
            .context("failed to start the thread that watches the log")
    }

    fn note(&self, state: LogState) {
        let mut facts = self.facts();
        match (&facts.log, &state) {
            (LogState::NotAsked | LogState::Reachable, LogState::Unreachable(problem)) => {
                warn!("log unreachable: {problem}");
            }
            (LogState::Unreachable(_), LogState::Reachable) => info!("log reachable again"),
            _ => {}
        }
        facts.log = state;
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness for HostReadiness {
    fn unready(&self) -> Vec<String> {
        let facts = self.facts();
        let mut reasons = facts.preparation.clone();
        if facts.stopping {
            reasons.push("the host is stopping".to_owned());
        }
        match &facts.log {
            LogState::NotAsked => reasons.push("the log has not answered yet".to_owned()),
            LogState::Reachable => {}
            LogState::Unreachable(problem) => reasons.push(format!("log unreachable: {problem}")),
        }
        if !facts.prepared && reasons.is_empty() {
            reasons.push("the host is starting".to_owned());
        }
        drop(facts);
        for handler in self.board.handlers() {
            for worker in handler.workers.iter().filter(|w| w.state != WorkerState::Running) {
                let state = match worker.state {
                    WorkerState::Starting => "is starting",
                    WorkerState::BackingOff => "waits to start again",
                    WorkerState::Running | WorkerState::Stopped => "has stopped",
                };
                let why = worker.last_error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
                reasons.push(format!(
                    "handler {:?}: worker {} {state}{why}",
                    handler.name, worker.slot
                ));
            }
        }
        reasons
    }
}

/// Whether nothing is missing.
pub(super) fn is_ready(readiness: &impl Readiness) -> bool {
    readiness.unready().is_empty()
}
