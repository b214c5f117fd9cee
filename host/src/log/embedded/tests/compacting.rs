//! Compaction: what goes, what stays, and that readers and groups pass over the holes.

use std::sync::atomic::{AtomicI64, Ordering};

use super::super::compaction::Compactor;
use super::*;

const COMPACT: (&str, &str) = ("cleanup.policy", "compact");

/// An event of topic `in` with a key; an empty value is a tombstone.
fn keyed(key: &str, value: &str) -> Event {
    let value = (!value.is_empty()).then(|| value.as_bytes().to_vec());
    Event { key: Some(key.as_bytes().to_vec()), value, ..event("c", "") }
}

/// A host with a compacted topic `c` of two partitions, and its clock.
fn host(settings: &[(&str, &str)]) -> (EmbeddedLog, TempDir, Arc<AtomicI64>) {
    let (dir, now) = (TempDir::new().unwrap(), Arc::new(AtomicI64::new(1_000)));
    let clock = Arc::clone(&now);
    let clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let log = EmbeddedLog::open_host_at(dir.path(), "host-1", clock).unwrap();
    create(&log, "c", 2, &[&[COMPACT], settings].concat());
    (log, dir, now)
}

fn write(log: &EmbeddedLog, events: impl IntoIterator<Item = Event>) {
    let receipts: Vec<_> =
        events.into_iter().map(|event| log.append(event, Some(0)).unwrap()).collect();
    receipts.into_iter().for_each(|receipt| drop(receipt.wait_blocking().unwrap()));
}

fn compact(log: &EmbeddedLog) {
    Compactor::default().sweep(&log.shared, &|| false).unwrap();
}

/// Offset, key and value of what the topic holds.
fn kept(log: &EmbeddedLog) -> Vec<(i64, String, String)> {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
    };
    let events = read_all(log, "c").into_iter();
    events.map(|e| (e.offset, text(&e.event.key), text(&e.event.value))).collect()
}

fn row(offset: i64, key: &str, value: &str) -> (i64, String, String) {
    (offset, key.to_owned(), value.to_owned())
}

/// The bytes that partition 0 counts, and those that its events have.
fn bytes(log: &EmbeddedLog) -> (i64, i64) {
    let connection = log.shared.open_reader().unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).unwrap();
    (
        number("SELECT bytes FROM partitions WHERE number = 0"),
        number(
            "SELECT ifnull(sum(32 + ifnull(length(key), 0) + ifnull(length(value), 0) \
             + ifnull(length(headers), 0)), 0) FROM records",
        ),
    )
}

#[test]
fn the_newest_event_of_each_key_stays_where_it_is() {
    let (log, _dir, _) = host(&[]);
    write(&log, [keyed("a", "1"), keyed("b", "1"), keyed("a", "2"), event("c", "no key")]);
    write(&log, [event("c", "no key"), keyed("a", "3"), keyed("c", "1")]);
    log.append(keyed("a", "other partition"), Some(1)).unwrap().wait_blocking().unwrap();
    compact(&log);
    let mut expected = vec![
        row(1, "b", "1"),
        row(3, "-", "no key"),
        row(4, "-", "no key"),
        row(5, "a", "3"),
        row(6, "c", "1"),
    ];
    let of_first = || -> Vec<_> {
        kept(&log).into_iter().filter(|(_, _, value)| value != "other partition").collect()
    };
    assert_eq!(of_first(), expected);
    assert!(kept(&log).contains(&row(0, "a", "other partition")));

    // What is new replaces what was clean; offsets go on.
    write(&log, [keyed("b", "2"), keyed("b", "3")]);
    compact(&log);
    compact(&log);
    expected.remove(0);
    expected.push(row(8, "b", "3"));
    assert_eq!(of_first(), expected);
}

#[test]
fn the_bytes_of_a_partition_are_those_of_what_is_left() {
    let (log, _dir, _) = host(&[]);
    let long = "x".repeat(1_000);
    write(&log, (0..50).map(|n| keyed(&format!("k{}", n % 7), &long)));
    compact(&log);
    let (counted, real) = bytes(&log);
    assert_eq!((counted, kept(&log).len()), (real, 7));
}

#[test]
fn a_tombstone_goes_when_it_is_old_and_not_before_what_it_deletes() {
    let (log, _dir, now) = host(&[("delete.retention.ms", "100")]);
    write(&log, [keyed("a", "1"), keyed("a", ""), keyed("b", "1")]);
    compact(&log);
    assert_eq!(kept(&log), [row(1, "a", "-"), row(2, "b", "1")], "readers have to see it");
    now.store(1_100, Ordering::Relaxed);
    compact(&log);
    assert_eq!(kept(&log).len(), 2, "it is not older than that");
    now.store(1_101, Ordering::Relaxed);
    compact(&log);
    assert_eq!(kept(&log), [row(2, "b", "1")]);
}

#[test]
fn the_newest_event_of_a_partition_stays_even_if_it_is_an_old_tombstone() {
    let (log, _dir, now) = host(&[("delete.retention.ms", "0")]);
    write(&log, [keyed("a", "1"), keyed("a", "")]);
    now.store(5_000, Ordering::Relaxed);
    compact(&log);
    compact(&log);
    assert_eq!(kept(&log), [row(1, "a", "-")], "the end of the partition stays in reach");
    write(&log, [keyed("b", "1")]);
    compact(&log);
    assert_eq!(kept(&log), [row(2, "b", "1")]);
}

#[test]
fn ten_thousand_keys_are_compacted_in_one_tick() {
    let (log, _dir, _) = host(&[]);
    for round in 0..3 {
        write(&log, (0..10_000).map(|n| keyed(&format!("key-{n}"), &format!("{round}"))));
    }
    let begun = Instant::now();
    compact(&log);
    assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    let kept = kept(&log);
    assert_eq!(kept.len(), 10_000);
    assert!(kept.iter().all(|(offset, _, value)| *offset >= 20_000 && value == "2"));
}

#[test]
fn a_pass_that_is_interrupted_goes_on_where_it_was() {
    let (log, _dir, _) = host(&[]);
    write(&log, (0..3_500).map(|n| keyed(&format!("{}", n % 5), "x")));
    let mut compactor = Compactor::default();
    let mut ticks = 0;
    while kept(&log).len() > 5 {
        // Asked once before the pass and once after each look.
        let asked = std::cell::Cell::new(0);
        let stop = || asked.replace(asked.get() + 1) > 0;
        compactor.sweep(&log.shared, &stop).unwrap();
        ticks += 1;
        assert!(ticks < 20, "it makes no progress: {} are left", kept(&log).len());
    }
    assert!(ticks > 1, "nothing was interrupted");
    let offsets: Vec<_> = kept(&log).into_iter().map(|(offset, ..)| offset).collect();
    assert_eq!(offsets, [3_495, 3_496, 3_497, 3_498, 3_499]);
}

#[test]
fn a_large_clean_partition_is_left_alone_until_half_of_it_is_new() {
    let (log, _dir, _) = host(&[]);
    write(&log, (0..12_000).map(|n| keyed(&format!("key-{n}"), "1")));
    compact(&log);
    write(&log, (0..100).map(|n| keyed(&format!("key-{n}"), "2")));
    compact(&log);
    assert_eq!(kept(&log).len(), 12_100);
    write(&log, (0..11_900).map(|n| keyed(&format!("key-{n}"), "3")));
    compact(&log);
    assert_eq!(kept(&log).len(), 12_000);
}

#[test]
fn a_topic_that_is_not_compacted_keeps_every_event() {
    let (log, _dir, _) = host(&[]);
    create(&log, "plain", 1, &[]);
    for value in ["1", "2"] {
        append(&log, Event { topic: "plain".into(), ..keyed("a", value) }, 0).unwrap();
    }
    compact(&log);
    assert_eq!(read_all(&log, "plain").len(), 2);
}

#[test]
fn a_group_passes_over_the_holes_whatever_its_policy() {
    for start in [Start::Earliest, Start::Latest] {
        let (log, _dir, _) = host(&[]);
        create(&log, "out", 1, &[]);
        let bounds = BatchBounds { events: 2, bytes: 1 << 20 };
        let subscription =
            Subscription { topics: vec!["c".into()], start, bounds, ..subscription(0) };
        let mut session = log.session(&subscription).unwrap();
        write(&log, [keyed("a", "1"), keyed("b", "1")]);
        let batch = poll(&mut *session);
        assert_eq!(session.commit(echo(batch)).unwrap(), Commit::Committed);
        drop(session);
        let later = [("a", "2"), ("a", "3"), ("b", "2"), ("a", "4"), ("b", "3"), ("c", "1")];
        write(&log, later.map(|(key, value)| keyed(key, value)));
        compact(&log);
        assert_eq!(log.admin().group("group").unwrap()[0].lag, 3, "holes wait for nobody");

        let mut session = log.session(&subscription).unwrap();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let batch = poll(&mut *session);
            seen.extend(positions(batch.events()));
            assert_eq!(session.commit(echo(batch)).unwrap(), Commit::Committed);
        }
        assert_eq!(seen, [(0, 5), (0, 6), (0, 7)], "{start:?}");
        assert_eq!(log.admin().group("group").unwrap()[0].lag, 0);
    }
}

#[test]
fn reading_begins_behind_a_hole() {
    let (log, _dir, _) = host(&[]);
    write(&log, ["1", "2", "3", "4"].map(|value| keyed("a", value)));
    compact(&log);
    for from in [ReadFrom::Earliest, ReadFrom::Offset(1), ReadFrom::Timestamp(0)] {
        let mut reader = log.reader("c", from).unwrap();
        assert_eq!(positions(&reader.read(10, PATIENCE).unwrap()), [(0, 3)], "{from:?}");
        assert!(reader.at_end());
    }
}
