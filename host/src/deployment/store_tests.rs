//! The registry on a real log: the embedded one.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::operation::{Operation, Operator, Refusal};
use super::record::{ComponentRecord, Key, RevisionRecord, encode};
use super::store::{Store, StoreError};
use crate::digest::Digest;
use crate::event::Event;
use crate::log::embedded::EmbeddedLog;

struct World {
    _folder: tempfile::TempDir,
    store: Store,
}

fn world() -> anyhow::Result<World> {
    let folder = tempfile::tempdir()?;
    let log = EmbeddedLog::open_host(folder.path(), "host")?;
    let store = Store::new(Arc::new(log), "lockstep");
    store.prepare()?;
    Ok(World { _folder: folder, store })
}

fn who(now: i64) -> Operator {
    Operator { by: "ada".to_owned(), now }
}

impl World {
    fn deploy(&self, component: &[u8], base: u64, now: i64) -> Result<u64, StoreError> {
        let revision = RevisionRecord {
            component: Digest::of(component),
            bytes: component.len() as u64,
            manifest: "name = \"h\"".to_owned(),
            deployed_at: now,
            deployed_by: "ada".to_owned(),
            signature: None,
        };
        let operation = Operation::Deploy { revision, base };
        let plan = self.store.perform("h", &operation, &who(now), Some(component))?;
        Ok(plan.deployment.map_or(0, |record| record.revision))
    }
}

#[test]
fn what_is_deployed_is_read_back_byte_for_byte() -> anyhow::Result<()> {
    let world = world()?;
    // More than one chunk, and the last one not full.
    let large: Vec<u8> = (0..2_000_003_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(world.deploy(b"small", 0, 1)?, 1);
    assert_eq!(world.deploy(&large, 1, 2)?, 2);
    assert_eq!(world.deploy(b"small", 2, 3)?, 3);
    let registry = world.store.registry()?;
    for component in [&large[..], b"small"] {
        assert!(world.store.component(&Digest::of(component), &registry)? == component);
    }
    let missing = world.store.component(&Digest::of(b"else"), &registry).map_err(|e| e.to_string());
    assert!(missing.is_err_and(|said| said.contains("has no component sha256:")));
    Ok(())
}

#[test]
fn a_component_may_become_visible_after_the_record_that_names_it() -> anyhow::Result<()> {
    let world = world()?;
    let record = ComponentRecord { bytes: 3, chunks: 1, begins: 0, unused_since: None };
    let digest = Digest::of(b"one");
    let topics = world.store.topics();
    let write = |topic: &Arc<str>, key: String, value: Vec<u8>| {
        let event = Event {
            topic: Arc::clone(topic),
            key: Some(key.into_bytes()),
            value: Some(value),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        world.store.log().append(event, None)?.wait_blocking()
    };
    write(&topics.deployments, Key::Component(digest).to_string(), encode(&record)?)?;
    let registry = world.store.registry()?;
    thread::scope(|scope| {
        let reading = scope.spawn(|| world.store.component(&digest, &registry));
        thread::sleep(Duration::from_millis(500));
        write(&topics.components, format!("{digest}/0"), b"one".to_vec())?;
        let read = reading.join().map_err(|_| anyhow::anyhow!("it panicked"))?;
        assert_eq!(read?, b"one");
        Ok(())
    })
}

#[test]
fn who_is_late_is_told_and_writes_nothing() -> anyhow::Result<()> {
    let world = world()?;
    world.deploy(b"one", 0, 1)?;
    let late = world.deploy(b"two", 0, 2);
    assert!(matches!(late, Err(StoreError::Refused(Refusal::CameBetween { revision: 1, .. }))));
    assert!(world.store.registry()?.component(&Digest::of(b"two")).is_none());
    Ok(())
}

#[test]
fn a_change_that_was_made_already_is_not_made_twice() -> anyhow::Result<()> {
    let world = world()?;
    assert_eq!(world.deploy(b"one", 0, 1)?, 1);
    // The same operator at the same time: an attempt whose answer was lost.
    assert_eq!(world.deploy(b"one", 0, 1)?, 1);
    assert_eq!(world.store.registry()?.handler("h").map(|h| h.revisions.len()), Some(1));
    Ok(())
}

#[test]
fn components_that_nothing_refers_to_go_after_a_while() -> anyhow::Result<()> {
    let world = world()?;
    world.deploy(b"one", 0, 1)?;
    world.store.perform("h", &Operation::Delete, &who(2), None)?;
    assert_eq!(world.store.sweep(Duration::from_secs(u64::MAX / 2_000))?, 0);
    assert_eq!(world.store.sweep(Duration::ZERO)?, 1);
    assert_eq!(world.store.sweep(Duration::ZERO)?, 0);
    assert!(world.store.registry()?.component(&Digest::of(b"one")).is_none());
    assert_eq!(world.deploy(b"one", 1, 3)?, 2);
    let registry = world.store.registry()?;
    assert_eq!(world.store.component(&Digest::of(b"one"), &registry)?, b"one");
    Ok(())
}

#[test]
fn records_that_cannot_be_read_do_no_harm() -> anyhow::Result<()> {
    let world = world()?;
    world.deploy(b"one", 0, 1)?;
    let before = world.store.registry()?;
    for (key, value) in [
        ("deployment/h", &b"{\"v\":1,\"revi"[..]),
        ("deployment/h", b"{\"v\":99}"),
        ("something/else", b"{}"),
        ("", b""),
    ] {
        let event = Event {
            topic: world.store.topics().deployments.clone(),
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.to_vec()),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        world.store.log().append(event, None)?.wait_blocking()?;
    }
    assert_eq!(world.store.registry()?, before);
    Ok(())
}
