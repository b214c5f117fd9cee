//! Tells the fleet how this host is: a record under its id, every second and whenever somebody may
//! wait for news, and a tombstone when it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::debug;

use super::Control;
use super::follower::{Pursuit, Pursuits};
use crate::deployment::assignment::Assignments;
use crate::deployment::control::ControlTopics;
use crate::deployment::hosts::{HandlerReport, HandlerState, HostReport, INTERVAL, farewell};
use crate::event::now_ms;
use crate::log::Log;
use crate::status::HandlerStatus;
use crate::stop::Stop;

/// How often it is looked whether there is news.
const GLANCE: Duration = Duration::from_millis(20);

/// Says how a host is.
pub(super) struct Reporter {
    pub(super) log: Arc<dyn Log>,
    pub(super) topics: ControlTopics,
    pub(super) host_id: String,
    pub(super) control: Control,
    pub(super) pursuits: Pursuits,
    pub(super) stop: Stop,
}

impl Reporter {
    /// Starts to tell.
    pub(super) fn start(self) -> anyhow::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || self.run())
            .context("failed to start the thread that tells the fleet how this host is")
    }

    fn run(&self) {
        let started_at = now_ms();
        let mut said = false;
        let (mut last, mut at) = (Vec::new(), Instant::now());
        while !self.stop.sleep(GLANCE) {
            let handlers = handlers(&self.control.handlers(), &self.pursuits.all());
            let gists: Vec<_> = handlers.iter().map(gist).collect();
            if gists == last && at.elapsed() < INTERVAL {
                continue;
            }
            (last, at) = (gists, Instant::now());
            let report = HostReport {
                host: self.host_id.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at,
                at: now_ms(),
                handlers,
            };
            // Until the topic is made there is nobody to tell; what is lost now is told again.
            match report.event(&self.topics).map(|event| self.log.append(event, Some(0))) {
                Ok(Ok(_receipt)) => said = true,
                Ok(Err(error)) => debug!("the fleet does not hear of this host: {error}"),
                Err(error) => debug!("the fleet does not hear of this host: {error:#}"),
            }
        }
        if said {
            drop(self.log.append(farewell(&self.host_id, &self.topics), Some(0)));
        }
    }
}

/// What others wait for, without what changes with every event: told at once when it changes.
fn gist(report: &HandlerReport) -> HandlerReport {
    HandlerReport { events: 0, dead_letters: 0, error: None, ..report.clone() }
}

/// What runs, and what should.
fn handlers(
    statuses: &[HandlerStatus],
    pursuits: &BTreeMap<String, Pursuit>,
) -> Vec<HandlerReport> {
    let mut assignments = Assignments::default();
    let mut reports: BTreeMap<String, HandlerReport> = statuses
        .iter()
        .map(|status| {
            let assignments = assignments.of(&status.workers);
            (status.name.clone(), HandlerReport { assignments, ..of_workers(status) })
        })
        .collect();
    for (name, pursuit) in pursuits {
        let report = reports.entry(name.clone()).or_insert_with(|| nothing(name));
        report.wanted = pursuit.wanted;
        report.seen = pursuit.seen;
        if let Some(reason) = pursuit.failure() {
            report.state = HandlerState::Failed;
            report.error = Some(reason.to_owned());
        } else if pursuit.paused && report.workers == 0 {
            report.state = HandlerState::Paused;
        } else if report.revision != pursuit.wanted {
            report.state = HandlerState::Starting;
        }
    }
    reports.into_values().collect()
}

fn of_workers(status: &HandlerStatus) -> HandlerReport {
    let workers = &status.workers;
    let runs = status.runs();
    HandlerReport {
        name: status.name.clone(),
        state: if runs { HandlerState::Running } else { HandlerState::Starting },
        revision: if runs { status.revision } else { 0 },
        wanted: 0,
        seen: 0,
        workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        events: workers.iter().map(|worker| worker.events).sum(),
        dead_letters: workers.iter().map(|worker| worker.dead_letters).sum(),
        error: workers.iter().find_map(|worker| worker.last_error.clone()),
        assignments: Vec::new(),
    }
}

fn nothing(name: &str) -> HandlerReport {
    HandlerReport {
        name: name.to_owned(),
        state: HandlerState::Starting,
        revision: 0,
        wanted: 0,
        seen: 0,
        workers: 0,
        events: 0,
        dead_letters: 0,
        error: None,
        assignments: Vec::new(),
    }
}
