//! Retention, and groups whose events it deleted.

use std::sync::atomic::{AtomicI64, Ordering};

use super::super::retention::sweep;
use super::*;

/// A host whose clock is set by the test.
fn host_at(now: &Arc<AtomicI64>) -> (EmbeddedLog, TempDir) {
    let (dir, clock) = (TempDir::new().unwrap(), Arc::clone(now));
    let clock = Arc::new(move || clock.load(Ordering::Relaxed));
    (EmbeddedLog::open_host_at(dir.path(), "host-1", clock).unwrap(), dir)
}

fn expire(log: &EmbeddedLog) {
    sweep(&log.shared, &|| false).unwrap();
}

fn starts(log: &EmbeddedLog, topic: &str) -> Vec<(i64, i64)> {
    let topic = log.admin().topic(topic).unwrap().unwrap();
    topic.partitions.iter().map(|partition| (partition.start, partition.end)).collect()
}

#[test]
fn old_events_are_deleted_and_a_clock_that_goes_back_deletes_nothing() {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let (log, _dir) = host_at(&now);
    create(&log, "aged", 2, &[("retention.ms", "1000")]);
    append_to(&log, "aged", &[0, 0, 1]);
    now.store(1_000_900, Ordering::Relaxed);
    append_to(&log, "aged", &[0]);
    for (time, expected) in [
        (1_001_000, [(0, 3), (0, 1)]),
        (0, [(0, 3), (0, 1)]),
        (i64::MIN, [(0, 3), (0, 1)]),
        (1_001_001, [(2, 3), (1, 1)]),
        (1_000_000, [(2, 3), (1, 1)]),
    ] {
        now.store(time, Ordering::Relaxed);
        expire(&log);
        assert_eq!(starts(&log, "aged"), expected, "at {time}");
    }
    assert_eq!(positions(&read_all(&log, "aged")), [(0, 2)]);
    now.store(1_001_001, Ordering::Relaxed);
    append_to(&log, "aged", &[1]);
    assert_eq!(starts(&log, "aged"), [(2, 3), (1, 2)], "offsets are never used again");
}

#[test]
fn partitions_are_cut_to_their_bytes_in_chunks() {
    let now = Arc::new(AtomicI64::new(1));
    let (log, _dir) = host_at(&now);
    create(&log, "cut", 2, &[("retention.bytes", "1320"), ("retention.ms", "-1")]);
    let receipts: Vec<_> = (0..2_500)
        .map(|n| Event { value: Some(vec![0; 100]), ..event("cut", &n.to_string()) })
        .map(|event| log.append(event, Some(0)).unwrap())
        .collect();
    receipts.into_iter().for_each(|receipt| drop(receipt.wait_blocking().unwrap()));
    append_to(&log, "cut", &[1]);
    now.store(i64::MAX, Ordering::Relaxed);
    for _ in 0..2 {
        expire(&log);
        assert_eq!(starts(&log, "cut"), [(2_490, 2_500), (0, 1)]);
    }
}

#[test]
fn a_group_whose_offset_has_expired_goes_on_by_its_policy() {
    for (start, expected) in [(Start::Earliest, vec![(0, 4)]), (Start::Latest, vec![])] {
        let now = Arc::new(AtomicI64::new(1_000));
        let (log, _dir) = host_at(&now);
        create(&log, "in", 1, &[("retention.ms", "10")]);
        create(&log, "out", 1, &[]);
        append_to(&log, "in", &[0]);
        let subscription = Subscription { start: Start::Earliest, ..subscription(0) };
        let mut session = log.session(&subscription).unwrap();
        let batch = poll(&mut *session);
        session.commit(echo(batch)).unwrap();
        drop(session);

        append_to(&log, "in", &[0, 0, 0]);
        now.store(2_000, Ordering::Relaxed);
        append_to(&log, "in", &[0]);
        expire(&log);
        assert_eq!(log.admin().group("group").unwrap()[0].lag, 1);
        let mut session = log.session(&Subscription { start, ..subscription }).unwrap();
        let batch = session.poll(GLANCE).unwrap();
        assert_eq!(positions(batch.events()), expected, "{start:?}");
        session.commit(echo(batch)).unwrap();
        append_to(&log, "in", &[0]);
        assert_eq!(positions(poll(&mut *session).events()), [(0, 5)], "{start:?}");
    }
}

#[test]
fn a_session_that_is_overtaken_by_retention_goes_on_by_its_policy() {
    for (start, expected) in [(Start::Earliest, (0, 4)), (Start::Latest, (0, 5))] {
        let now = Arc::new(AtomicI64::new(1_000));
        let (log, _dir) = host_at(&now);
        create(&log, "in", 1, &[("retention.ms", "10")]);
        let bounds = BatchBounds { events: 1, bytes: 1 };
        let subscription = Subscription { start, bounds, ..subscription(0) };
        let mut session = log.session(&subscription).unwrap();
        append_to(&log, "in", &[0, 0, 0, 0]);
        assert_eq!(positions(poll(&mut *session).events()), [(0, 0)]);
        now.store(2_000, Ordering::Relaxed);
        append_to(&log, "in", &[0]);
        expire(&log);
        if start == Start::Latest {
            assert!(session.poll(GLANCE).unwrap().is_empty());
            append_to(&log, "in", &[0]);
        }
        assert_eq!(positions(poll(&mut *session).events()), [expected]);
    }
}
