//! Wishes and what becomes of them, on a log whose registry may refuse to be written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;
use crate::deployment::manifest;
use crate::deployment::record::RevisionRecord;
use crate::deployment::trigger::Trigger;
use crate::digest::Digest;
use crate::event::Event;
use crate::log::embedded::EmbeddedLog;
use crate::log::{
    Admin, AppendError, Log, ReadFrom, Reader, Receipt, Session, Subscription, Writer,
};
use crate::testing::logged;

const MANIFEST: &str =
    "name = \"h\"\ncomponent = \"h.wasm\"\nfrom = [\"in\"]\non_fault = \"rollback\"";

/// An embedded log that lets nobody write to its registry while it is locked.
struct Lockable {
    log: EmbeddedLog,
    locked: AtomicBool,
}

impl Log for Lockable {
    fn describe(&self) -> String {
        self.log.describe()
    }

    fn append(&self, event: Event, partition: Option<i32>) -> Result<Receipt, AppendError> {
        self.log.append(event, partition)
    }

    fn session(&self, subscription: &Subscription) -> anyhow::Result<Box<dyn Session>> {
        self.log.session(subscription)
    }

    fn reader(&self, topic: &str, start: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
        self.log.reader(topic, start)
    }

    fn writer(&self, name: &str) -> anyhow::Result<Box<dyn Writer>> {
        anyhow::ensure!(!self.locked.load(Ordering::Relaxed), "not authorised");
        self.log.writer(name)
    }

    fn admin(&self) -> &dyn Admin {
        self.log.admin()
    }

    fn ping(&self, timeout: Duration) -> anyhow::Result<()> {
        self.log.ping(timeout)
    }
}

struct World {
    _folder: tempfile::TempDir,
    log: Arc<Lockable>,
    rollbacks: Rollbacks,
    /// The time of the operators: what one does twice at once is done once.
    clock: AtomicI64,
}

impl World {
    /// With two revisions, of which the second is active.
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = EmbeddedLog::open_host(folder.path(), "host")?;
        let log = Arc::new(Lockable { log, locked: AtomicBool::new(false) });
        let store = Store::new(Arc::clone(&log) as Arc<dyn Log>, "lockstep");
        store.prepare()?;
        let rollbacks = Rollbacks { store, host_id: "host-1".to_owned(), stop: Stop::default() };
        let world = Self { _folder: folder, log, rollbacks, clock: AtomicI64::new(1) };
        world.deploy(0)?;
        world.deploy(1)?;
        Ok(world)
    }

    fn perform(&self, operation: &Operation) -> anyhow::Result<()> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let who = Operator { by: "ada".to_owned(), now };
        self.rollbacks.store.perform("h", operation, &who, None)?;
        Ok(())
    }

    fn deploy(&self, base: u64) -> anyhow::Result<()> {
        let revision = RevisionRecord {
            component: Digest::of(&base.to_be_bytes()),
            bytes: 8,
            manifest: MANIFEST.to_owned(),
            deployed_at: 1,
            deployed_by: "ada".to_owned(),
            signature: None,
        };
        self.perform(&Operation::Deploy { revision, base })
    }

    fn record(&self) -> anyhow::Result<DeploymentRecord> {
        let registry = self.rollbacks.store.registry()?;
        let record = registry.handler("h").and_then(|handler| handler.deployment.clone());
        record.context("it is deployed")
    }

    /// The trigger of the active revision, pulled.
    fn pulled(&self) -> anyhow::Result<(Arc<Trigger>, Pending)> {
        let (sender, wishes) = mpsc::channel();
        let record = self.record()?;
        let mut handler = manifest::parse(Path::new("h"), MANIFEST)?;
        handler.revision = record.revision;
        let trigger = Trigger::new(&handler, &record, &sender).context("it asks for one")?;
        let trigger = Arc::new(trigger);
        assert!(trigger.pull("5 faults in a row") && trigger.pull("6 faults in a row"));
        let pending = Pending::new(wishes.try_recv()?);
        assert!(wishes.try_recv().is_err(), "it is asked for once");
        Ok((trigger, pending))
    }
}

#[test]
fn while_the_registry_cannot_be_written_it_is_tried_again() -> anyhow::Result<()> {
    let world = World::new()?;
    let (trigger, mut pending) = world.pulled()?;
    world.log.locked.store(true, Ordering::Relaxed);
    let said = logged(|| {
        assert!(world.rollbacks.attend_to(&mut pending));
        assert!(world.rollbacks.attend_to(&mut pending));
    });
    assert_eq!(said.matches("not rolled back yet").count(), 1, "told once: {said}");
    assert!(said.contains("ERROR") && said.contains("not authorised"), "{said}");
    assert!(trigger.is_pulled() && pending.due > Instant::now());
    world.log.locked.store(false, Ordering::Relaxed);
    let said = logged(|| assert!(world.rollbacks.attend_to(&mut pending)));
    assert!(said.contains("revision rolled back: 5 faults in a row"), "{said}");
    let told = world.record()?.rolled_back().map(ToString::to_string);
    let expected = "revision 2 was rolled back to 1 by host-1: 5 faults in a row";
    assert_eq!(told.as_deref(), Some(expected));

    // It is done with as soon as nothing runs the revision any more.
    assert!(world.rollbacks.attend_to(&mut pending));
    drop(trigger);
    assert!(!world.rollbacks.attend_to(&mut pending));
    Ok(())
}

#[test]
fn what_came_between_and_is_taken_back_leaves_the_wish() -> anyhow::Result<()> {
    let world = World::new()?;
    let (trigger, mut pending) = world.pulled()?;
    let before = Some(world.record()?);
    world.deploy(2)?;
    assert!(world.rollbacks.attend_to(&mut pending));
    assert_eq!(world.record()?.revision, 3, "another revision stays");
    assert!(trigger.is_pulled());
    world.perform(&Operation::TakeBack { revision: 3, before })?;
    assert!(world.rollbacks.attend_to(&mut pending));
    assert_eq!(world.record()?.revision, 1);
    Ok(())
}

#[test]
fn a_wish_that_is_refused_for_good_lets_the_workers_go_on() -> anyhow::Result<()> {
    let world = World::new()?;
    let (trigger, mut pending) = world.pulled()?;
    for to in [1, 2] {
        world.perform(&Operation::Rollback(Some(to)))?;
    }
    let said = logged(|| assert!(!world.rollbacks.attend_to(&mut pending)));
    assert!(said.contains("active because of a rollback"), "{said}");
    assert!(!trigger.is_pulled() && !trigger.pull("more"));
    assert_eq!(world.record()?.revision, 2);
    Ok(())
}
