//! Appends: what is acknowledged, what is refused, and what is kept.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::event::Header;

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let host = Host::new();
    let receipts: Vec<_> =
        (0..500).map(|n| host.log.append(event("in", &n.to_string()), None).unwrap()).collect();
    let mut acknowledged: Vec<_> =
        receipts.into_iter().map(|receipt| receipt.wait_blocking().unwrap()).collect();
    let host = host.restart();
    let mut there: Vec<_> = read_all(&host.log, "in").iter().map(Consumed::position).collect();
    acknowledged.sort();
    there.sort();
    assert_eq!(there, acknowledged);
}

#[test]
fn what_was_queued_is_written_before_the_log_is_gone() {
    let host = Host::new();
    let receipts: Vec<_> =
        (0..100).map(|_| host.log.append(event("out", "x"), None).unwrap()).collect();
    let host = host.restart();
    assert!(receipts.into_iter().all(|receipt| receipt.wait_blocking().is_ok()));
    assert_eq!(read_all(&host.log, "out").len(), 100);
}

#[test]
fn events_are_kept_byte_for_byte() {
    let header = |name: &str, value: Option<&[u8]>| Header {
        name: name.to_owned(),
        value: value.map(<[u8]>::to_vec),
    };
    let plain = Event { timestamp_ms: Some(7), ..event("out", "v") };
    let events = [
        Event { key: None, ..plain.clone() },
        Event { key: Some(vec![]), value: Some(vec![]), ..plain.clone() },
        Event { key: Some(vec![0, 0xff]), value: None, ..plain.clone() },
        Event { value: Some(vec![0xfe; 1 << 20]), timestamp_ms: Some(0), ..plain.clone() },
        Event {
            headers: vec![
                header("a", Some(b"1")),
                header("a", Some(&[0xff, 0])),
                header("b", None),
                header("", Some(b"")),
                header("é", Some(&[7; 300])),
            ],
            ..plain
        },
    ];
    let host = Host::new();
    for event in &events {
        append(&host.log, event.clone(), 0).unwrap();
    }
    let host = host.restart();
    let read: Vec<_> = read_all(&host.log, "out").into_iter().map(|e| e.event).collect();
    assert!(read == events, "an event was changed");
}

#[test]
fn an_event_without_a_timestamp_is_stamped() {
    let host = Host::new();
    let before = crate::event::now_ms();
    append_to(&host.log, "out", &[0]);
    let stamped = read_all(&host.log, "out")[0].event.timestamp_ms.unwrap();
    assert!((before..=crate::event::now_ms()).contains(&stamped));
}

#[test]
fn keys_decide_partitions_and_events_without_spread_evenly() {
    let host = Host::new();
    for _ in 0..2 {
        let keyed = Event { key: Some(b"21".to_vec()), ..event("in", "x") };
        let position = host.log.append(keyed, None).unwrap().wait_blocking().unwrap();
        assert_eq!(position.partition, (-973_932_308_i32 & 0x7fff_ffff) % 4);
    }
    create(&host.log, "spread", 4, &[]);
    let receipts: Vec<_> =
        (0..40).map(|_| host.log.append(event("spread", "x"), None).unwrap()).collect();
    receipts.into_iter().for_each(|receipt| drop(receipt.wait_blocking().unwrap()));
    let topic = host.log.admin().topic("spread").unwrap().unwrap();
    assert!(topic.partitions.iter().all(|partition| partition.end == 10), "{topic:?}");
}

#[test]
fn a_refused_event_fails_alone() {
    let host = Host::new();
    create(&host.log, "small", 1, &[("max.message.bytes", "3")]);
    let old = Event { timestamp_ms: Some(-1), ..event("small", "") };
    let receipts = [
        (event("small", "123"), None),
        (event("missing", "x"), None),
        (event("small", "1234"), None),
        (event("small", ""), Some(1)),
        (event("small", ""), Some(-1)),
        (old, None),
        (event("small", "456"), Some(0)),
    ]
    .map(|(event, partition)| host.log.append(event, partition).unwrap());
    let answers = receipts.map(|receipt| receipt.wait_blocking().map(|at| at.offset));
    assert_eq!(answers[0], Ok(0));
    assert_eq!(answers[1], Err(AppendError::UnknownTopic("missing".to_owned())));
    assert!(matches!(&answers[2], Err(AppendError::TooLarge(why)) if why.contains("takes 3")));
    for answer in &answers[3..6] {
        assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
    }
    assert_eq!(answers[6], Ok(1));
}

#[test]
fn an_append_that_cannot_be_written_is_answered_and_the_next_one_goes_on() {
    let host = Host::new();
    let path = host.path().join(super::super::storage::FILE);
    let other = rusqlite::Connection::open(path).unwrap();
    // Stands for a disk that fails.
    let fail = "CREATE TRIGGER fail BEFORE INSERT ON records BEGIN SELECT raise(ABORT, 'no'); END";
    other.execute_batch(fail).unwrap();
    let answer = append(&host.log, event("out", "x"), 0);
    assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
    other.execute_batch("DROP TRIGGER fail").unwrap();
    assert_eq!(append(&host.log, event("out", "x"), 0).unwrap().offset, 0);
}

#[test]
fn a_panic_of_the_appender_is_answered_and_the_next_append_goes_on() {
    let (dir, armed) = (TempDir::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let clock = {
        let armed = Arc::clone(&armed);
        move || match armed.load(Ordering::SeqCst) {
            true => panic!("the clock stands still"),
            false => 7,
        }
    };
    let log = EmbeddedLog::open_host_at(dir.path(), "host-1", Arc::new(clock)).unwrap();
    create(&log, "out", 1, &[]);
    armed.store(true, Ordering::SeqCst);
    let answer = append(&log, event("out", "x"), 0);
    assert!(
        matches!(&answer, Err(AppendError::Unavailable(why)) if why.contains("stands still")),
        "{answer:?}"
    );
    armed.store(false, Ordering::SeqCst);
    assert_eq!(append(&log, event("out", "x"), 0).unwrap().offset, 0);
}

#[test]
fn a_full_queue_refuses_and_loses_nothing() {
    let host = Host::new();
    let large = Event { value: Some(vec![0; 1 << 20]), ..event("out", "") };
    let writing = host.log.shared.store.lock();
    let mut receipts = Vec::new();
    let refusal = loop {
        match host.log.append(large.clone(), None) {
            Ok(receipt) => receipts.push(receipt),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, AppendError::QueueFull);
    drop(writing);
    let accepted = receipts.len();
    assert!(accepted >= 64, "{accepted}");
    assert!(receipts.into_iter().all(|receipt| receipt.wait_blocking().is_ok()));
    assert_eq!(host.log.admin().topic("out").unwrap().unwrap().partitions[0].end, accepted as i64);
}

#[test]
fn the_write_ahead_log_is_cut_back_while_events_are_written() {
    let host = Host::new();
    let wal = host.path().join(super::super::storage::WAL_FILE);
    let size = || i64::try_from(std::fs::metadata(&wal).unwrap().len()).unwrap();
    let limit = super::super::storage::CHECKPOINT_BYTES;
    let large = Event { value: Some(vec![0; 1 << 20]), ..event("out", "") };
    while size() <= limit {
        append(&host.log, large.clone(), 0).unwrap();
    }
    let give_up = Instant::now() + PATIENCE;
    while size() > limit {
        append_to(&host.log, "out", &[0]);
        assert!(Instant::now() < give_up, "{} bytes are left", size());
    }
}
