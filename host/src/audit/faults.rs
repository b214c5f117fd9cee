//! Makes the faults of a plan, one after the other, and records each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tracing::info;

use super::history::{Fault as FaultRecord, Phase, Record};
use super::hosts::Hosts;
use super::plan::{Fault, Plan, Step};
use super::recorder::Recorder;
use super::site::Site;
use super::subject::Subject;
use crate::fleet::Fleet;
use crate::stop::Stop;

/// Between two looks at the hosts.
const LOOK: Duration = Duration::from_millis(200);
/// The host that comes and goes.
const VISITOR: &str = "visitor";

/// Whoever makes faults.
pub(super) struct Faults<'a> {
    pub(super) hosts: &'a mut Hosts,
    pub(super) site: &'a Site,
    pub(super) subject: &'a Subject,
    pub(super) fleet: &'a Fleet,
    pub(super) recorder: &'a Recorder,
    pub(super) stop: &'a Stop,
    /// How often something was deployed.
    pub(super) deployed: u64,
}

/// The name of a host, by its number from 0.
pub(super) fn host_id(number: usize) -> String {
    format!("host-{}", number + 1)
}

impl Faults<'_> {
    /// Follows the plan for so long. `Err` when a host ended by itself, or after a stop.
    pub(super) fn follow(&mut self, mut plan: Plan, length: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let left = length.saturating_sub(begun.elapsed());
            let Some(step) = plan.next(left) else { return self.wait(left) };
            self.wait(step.pause)?;
            self.perform(&step)?;
        }
    }

    fn perform(&mut self, step: &Step) -> anyhow::Result<()> {
        let host = host_id(step.host);
        match step.fault {
            Fault::Kill(down) => {
                self.note("kill -9", &host, Phase::Instant);
                let config = self.hosts.kill(&host)?;
                self.wait(down)?;
                self.hosts.start(&host, config)
            }
            Fault::Terminate(down) => {
                self.hosts.await_ready(&host)?;
                self.note("SIGTERM", &host, Phase::Instant);
                let config = self.hosts.terminate(&host)?;
                self.wait(down)?;
                self.hosts.start(&host, config)
            }
            Fault::Freeze(length) => {
                self.note("freeze", &host, Phase::Begins);
                self.hosts.freeze(&host)?;
                self.wait(length)?;
                self.hosts.thaw(&host)?;
                self.note("freeze", &host, Phase::Ends);
                Ok(())
            }
            Fault::Swap => self.swap(),
            Fault::Visit(length) => {
                self.note("join", VISITOR, Phase::Instant);
                self.hosts.start(VISITOR, self.site.host_config(VISITOR)?)?;
                self.hosts.await_ready(VISITOR)?;
                self.wait(length)?;
                self.note("leave", VISITOR, Phase::Instant);
                self.hosts.terminate(VISITOR).map(drop)
            }
        }
    }

    /// Deploys another revision, and does not wait for the hosts: whatever comes next comes while
    /// they take it up.
    fn swap(&mut self) -> anyhow::Result<()> {
        let name = &self.subject.handler().name;
        let parcel = self.subject.parcel(self.site.names(), self.deployed)?;
        self.note("swap", name, Phase::Instant);
        let deployed = self.fleet.deploy(name, &parcel, None);
        deployed.with_context(|| format!("failed to deploy handler {name:?} again"))?;
        self.deployed += 1;
        Ok(())
    }

    fn note(&self, kind: &str, target: &str, phase: Phase) {
        let (kind, target) = (kind.to_owned(), target.to_owned());
        if phase == Phase::Ends {
            info!("{kind} of {target} is over");
        } else {
            info!("{kind}: {target}");
        }
        self.recorder.record(Record::Fault(FaultRecord { kind, target, phase }));
    }

    /// Waits, and looks after the hosts.
    fn wait(&mut self, length: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            self.hosts.check()?;
            let left = length.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            if self.stop.sleep(left.min(LOOK)) {
                bail!("stopped before the end, so that nothing can be said of the promises");
            }
        }
    }
}
