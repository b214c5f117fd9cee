//! Runs what is deployed: reads the registry as it grows, makes the host run what it says, and
//! tells the fleet how that went.
//!
//! What cannot run leaves what runs alone, is told, and is tried again later: its cause may be
//! the log, or a host that is updated meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tracing::{info, warn};

use super::Control;
use super::fetch::AtHand;
use super::inspector::check_own;
use super::readiness::HostReadiness;
use crate::config::{self, HostConfig};
use crate::deployment::fence::Fences;
use crate::deployment::manifest;
use crate::deployment::record::DeploymentRecord;
use crate::deployment::registry::{Deployed, Registry};
use crate::deployment::store::{self, Store};
use crate::deployment::trigger::{Trigger, Wish};
use crate::digest::Digest;
use crate::handler::Handler;
use crate::log::Reader;
use crate::retry::RetryPolicy;
use crate::revision::Revision;
use crate::stop::Stop;

/// How long one read of the registry waits: the longest that a stop goes unnoticed.
const WAIT: Duration = Duration::from_millis(200);
/// Records read at once.
const STRIDE: usize = 1_000;
/// After this, a revision that could not run is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long the log may take to answer when something went wrong.
const PING: Duration = Duration::from_secs(3);
/// How often components are looked for that no revision refers to.
const SWEEP: Duration = Duration::from_secs(600);
/// How long they are kept: who deleted a handler may want it back.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// Pauses between attempts to read the registry.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    multiplier: 2.0,
    jitter: 0.3,
};

/// What has become of each handler of the registry on this host. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Pursuits(Arc<Mutex<BTreeMap<String, Pursuit>>>);

/// What has become of one handler.
#[derive(Clone, Default)]
pub(super) struct Pursuit {
    /// The revision that the registry wants.
    pub(super) wanted: u64,
    /// Whether it is to rest.
    pub(super) paused: bool,
    /// When the record was written that was seen and acted on last.
    pub(super) seen: i64,
    /// What was brought up last, and runs unless it rests.
    up: Option<Up>,
    /// Why the wanted revision does not run, and when that was found.
    failed: Option<(String, Instant)>,
}

/// What runs.
#[derive(Clone)]
struct Up {
    revision: Arc<Revision>,
    /// As the registry said.
    workers: Option<u32>,
    restarts: u64,
}

impl Pursuits {
    /// A copy of all of them, by name.
    pub(super) fn all(&self) -> BTreeMap<String, Pursuit> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pursuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pursuit {
    /// Why the wanted revision does not run.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failed.as_ref().map(|(reason, _)| reason.as_str())
    }

    /// Whether it is as this record has it.
    fn is_as(&self, record: &DeploymentRecord) -> bool {
        if record.paused {
            return self.up.is_none();
        }
        self.up.as_ref().is_some_and(|up| {
            up.revision.handler.revision == record.revision
                && up.workers == record.workers
                && up.restarts == record.restarts
        })
    }

    /// Whether it is too early to try what failed again.
    fn rests_after_failure(&self) -> bool {
        self.failed.as_ref().is_some_and(|(_, at)| at.elapsed() < AGAIN)
    }
}

/// Makes a host run what is deployed.
pub(super) struct Follower {
    pub(super) store: Store,
    pub(super) control: Control,
    pub(super) config: HostConfig,
    /// The handlers of the host's own configuration.
    pub(super) own: Vec<Handler>,
    /// Where revisions ask for their rollback.
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) readiness: HostReadiness,
    pub(super) pursuits: Pursuits,
    pub(super) stop: Stop,
}

impl Follower {
    /// Starts to follow, as soon as the host has started.
    pub(super) fn start(self) -> anyhow::Result<JoinHandle<()>> {
        thread::Builder::new()
            .name("deployments".to_owned())
            .spawn(move || self.run())
            .context("failed to start the thread that follows the deployments")
    }

    fn run(&self) {
        while !self.readiness.is_started() {
            if self.stop.sleep(WAIT) {
                return;
            }
        }
        let (mut attempt, mut told) = (0, String::new());
        while !self.stop.requested() {
            let begun = Instant::now();
            let Err(error) = self.follow() else { return };
            attempt = if begun.elapsed() > PAUSES.max { 1 } else { attempt + 1 };
            let pause = PAUSES.backoff(attempt, fastrand::f64());
            // A log that is down, or that may not be written to, says the same again and again.
            let reason = format!("{error:#}");
            if reason != told {
                warn!(
                    "deployments are not followed, and what runs goes on (`deployments = false` \
                     does without them): {reason}"
                );
            }
            told = reason;
            self.stop.sleep(pause);
        }
    }

    /// Follows the registry until a stop is requested.
    fn follow(&self) -> anyhow::Result<()> {
        self.store.prepare()?;
        let mut reader = self.store.records()?;
        let mut registry = Registry::default();
        // What was long ago is not brought up on the way.
        while !reader.at_end() && !self.stop.requested() {
            store::apply(&mut registry, &reader.read(STRIDE, WAIT)?);
        }
        let mut swept = Instant::now();
        while !self.stop.requested() {
            self.converge(&registry)?;
            if swept.elapsed() > SWEEP {
                self.sweep();
                swept = Instant::now();
            }
            self.read_on(&mut *reader, &mut registry)?;
        }
        Ok(())
    }

    /// Any host may do it, and one that does shuts out the others.
    fn sweep(&self) {
        match self.store.sweep(GRACE) {
            Ok(0) => {}
            Ok(count) => info!(count, "removed components that nothing refers to any more"),
            Err(error) => warn!("components that nothing refers to stay for now: {error:#}"),
        }
    }

    /// Waits a little for something new, and reads all of it.
    fn read_on(&self, reader: &mut dyn Reader, registry: &mut Registry) -> anyhow::Result<()> {
        loop {
            store::apply(registry, &reader.read(STRIDE, WAIT)?);
            if reader.at_end() || self.stop.requested() {
                return Ok(());
            }
        }
    }

    /// Makes the host run what the registry says. The error is the log's: it is no handler's fault.
    fn converge(&self, registry: &Registry) -> anyhow::Result<()> {
        let mut wanted = BTreeSet::new();
        let at_hand = AtHand::fetch(&self.store, registry, self.missing(registry));
        for (name, deployed, record) in registry.handlers() {
            let record = &record.on(&self.config.host_id);
            wanted.insert(name);
            let mut pursuit = self.pursuits.lock().get(name).cloned().unwrap_or_default();
            let news = pursuit.seen != record.at;
            (pursuit.wanted, pursuit.paused) = (record.revision, record.paused);
            let mut pursued = Ok(());
            if pursuit.is_as(record) {
                pursuit.failed = None;
                pursuit.seen = record.at;
            } else if news || !pursuit.rests_after_failure() {
                // What takes long is seen while it lasts.
                self.pursuits.lock().insert(name.to_owned(), pursuit.clone());
                pursued = self.pursue(name, deployed, record, &at_hand, &mut pursuit);
            }
            self.pursuits.lock().insert(name.to_owned(), pursuit);
            pursued?;
        }
        let gone: Vec<String> = {
            let pursuits = self.pursuits.lock();
            pursuits.keys().filter(|name| !wanted.contains(name.as_str())).cloned().collect()
        };
        for name in gone {
            self.forget(&name);
        }
        Ok(())
    }

    /// The components of what is to be brought up.
    fn missing(&self, registry: &Registry) -> BTreeSet<Digest> {
        let pursuits = self.pursuits.lock();
        let is_missing = |name: &str, record: &DeploymentRecord| {
            !record.paused
                && pursuits
                    .get(name)
                    .is_none_or(|known| !known.is_as(record) && !known.rests_after_failure())
        };
        registry
            .handlers()
            .filter(|(name, _, record)| is_missing(name, &record.on(&self.config.host_id)))
            .filter_map(|(_, deployed, _)| Some(deployed.active()?.1.component))
            .collect()
    }

    fn pursue(
        &self,
        name: &str,
        deployed: &Deployed,
        record: &DeploymentRecord,
        at_hand: &AtHand<'_>,
        pursuit: &mut Pursuit,
    ) -> anyhow::Result<()> {
        let done = match record.paused {
            true => self.rest(name, pursuit),
            false => self.bring_up(name, deployed, record, at_hand, pursuit),
        };
        pursuit.failed = None;
        if let Err(error) = done
            && !self.stop.requested()
        {
            // Then it may be the log's fault, and is tried again once it answers.
            self.store.log().ping(PING).with_context(|| format!("{error:#}"))?;
            let reason = format!("{error:#}");
            warn!(
                handler = name,
                revision = record.revision,
                "what is deployed cannot run here, and what runs goes on: {reason}"
            );
            pursuit.failed = Some((reason, Instant::now()));
        }
        pursuit.seen = record.at;
        Ok(())
    }

    fn rest(&self, name: &str, pursuit: &mut Pursuit) -> anyhow::Result<()> {
        self.control.remove(name)?;
        pursuit.up = None;
        info!(handler = name, "paused");
        Ok(())
    }

    fn forget(&self, name: &str) {
        let is_up = self.pursuits.lock().get(name).is_some_and(|pursuit| pursuit.up.is_some());
        if is_up && let Err(error) = self.control.remove(name) {
            warn!(handler = name, "the deleted handler does not end: {error:#}");
            return;
        }
        self.pursuits.lock().remove(name);
        info!(handler = name, "deleted");
    }

    fn bring_up(
        &self,
        name: &str,
        deployed: &Deployed,
        record: &DeploymentRecord,
        at_hand: &AtHand<'_>,
        pursuit: &mut Pursuit,
    ) -> anyhow::Result<()> {
        let handler = self.handler(name, deployed, record)?;
        let revision = match &pursuit.up {
            // Only restarted.
            Some(up) if *up.revision.handler == handler => Arc::clone(&up.revision),
            _ => {
                let (_, source) = deployed.active().context("the active revision is missing")?;
                let component = at_hand.component(&source.component)?;
                let topic = &self.store.topics().deployments;
                let fences = Fences::new(topic, name, handler.revision, deployed);
                let trigger = Trigger::new(&handler, record, &self.wishes).map(Arc::new);
                let revision = self.control.load(handler, &component)?;
                Arc::new(Revision { fences: Some(Arc::new(fences)), trigger, ..revision })
            }
        };
        if pursuit.up.as_ref().is_some_and(|up| up.restarts != record.restarts) {
            self.control.remove(name)?;
            pursuit.up = None;
        }
        self.control.activate(Arc::clone(&revision), &[])?;
        let (workers, restarts) = (record.workers, record.restarts);
        pursuit.up = Some(Up { revision, workers, restarts });
        Ok(())
    }

    /// The handler that the active revision describes, checked beside the others.
    fn handler(
        &self,
        name: &str,
        deployed: &Deployed,
        record: &DeploymentRecord,
    ) -> anyhow::Result<Handler> {
        check_own(&self.config, &self.own, name)?;
        let (number, source) = deployed.active().with_context(|| {
            format!("revision {} of handler {name:?} is not in the registry", record.revision)
        })?;
        let origin = format!("{name}@{number}");
        if let Some(trusted) = &self.config.trusted_keys {
            let signature = source.signature.as_deref().map(str::parse).transpose()?;
            trusted.check(&source.component, signature.as_ref())?;
        }
        let mut handler = manifest::parse(Path::new(&origin), &source.manifest)?;
        if handler.name != name {
            bail!("the manifest of {origin} is that of handler {:?}", handler.name);
        }
        handler.revision = number;
        handler.component = source.component.to_string().into();
        handler.workers = record.workers.unwrap_or(handler.workers);
        let mut all = self.own.clone();
        let up = self.pursuits.all();
        let others = up.iter().filter(|(other, _)| *other != name);
        all.extend(
            others.filter_map(|(_, p)| Some(Handler::clone(&p.up.as_ref()?.revision.handler))),
        );
        all.push(handler.clone());
        config::cross_check(&self.config, &all)?;
        Ok(handler)
    }
}
