//! One session: batches, commits, rejections and holds.

use super::*;

#[test]
fn outputs_and_offsets_are_committed_together() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0, 1]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *session);
    assert_eq!(batch.events().len(), 3);
    assert_eq!(session.commit(echo(batch)).unwrap(), Commit::Committed);
    drop(session);

    let host = host.restart();
    assert_eq!(read_all(&host.log, "out").len(), 3);
    let mut session = host.log.session(&subscription(0)).unwrap();
    assert!(session.poll(GLANCE).unwrap().is_empty(), "nothing comes twice");
}

#[test]
fn an_output_without_a_topic_rejects_its_input_and_nothing_is_written() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0, 0]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    outcome.complete([event("out", "1")]);
    outcome.complete([event("out", "2"), event("missing", "3")]);
    outcome.complete([event("out", "4")]);
    let Commit::Rejected { input, reason } = session.commit(outcome).unwrap() else {
        panic!("must be rejected")
    };
    assert_eq!((input.to_string().as_str(), reason.contains("missing")), ("in/0/1", true));
    assert!(read_all(&host.log, "out").is_empty());
    assert!(host.log.admin().group("group").unwrap().is_empty());

    let again = poll(&mut *session);
    assert_eq!(positions(again.events()), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(session.commit(echo(again)).unwrap(), Commit::Committed);
    assert_eq!(read_all(&host.log, "out").len(), 3);
}

#[test]
fn an_oversized_output_rejects_its_input() {
    let host = Host::new();
    append_to(&host.log, "in", &[2]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    outcome.complete([event("out", &"x".repeat(1_048_589))]);
    let commit = session.commit(outcome).unwrap();
    assert!(
        matches!(&commit, Commit::Rejected { reason, .. } if reason.contains("max.message.bytes")),
        "{commit:?}"
    );
}

#[test]
fn an_unusable_log_ends_the_session_and_nothing_is_written() {
    let host = Host::new();
    append_to(&host.log, "in", &[0]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *session);
    let other = rusqlite::Connection::open(host.path().join(super::super::storage::FILE)).unwrap();
    // The offsets are written last: the output before them must go too.
    let fail = "CREATE TRIGGER fail BEFORE INSERT ON group_offsets \
        BEGIN SELECT raise(ABORT, 'disk'); END";
    other.execute_batch(fail).unwrap();
    assert!(session.commit(echo(batch)).is_err());
    drop(session);
    assert!(read_all(&host.log, "out").is_empty());
    other.execute_batch("DROP TRIGGER fail").unwrap();
    let mut session = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *session);
    assert_eq!(session.commit(echo(batch)).unwrap(), Commit::Committed);
}

#[test]
fn what_was_not_reached_comes_first_at_the_next_poll() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0, 0]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    outcome.complete([]);
    session.commit(outcome).unwrap();
    append_to(&host.log, "in", &[1]);
    assert_eq!(positions(poll(&mut *session).events()), [(0, 1), (0, 2)]);
}

#[test]
fn a_held_partition_lets_the_others_go_on_and_comes_back_when_due() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    let due = Instant::now() + Duration::from_millis(100);
    outcome.hold(Some(due));
    assert_eq!(session.commit(outcome).unwrap(), Commit::Committed);

    append_to(&host.log, "in", &[0, 1]);
    let other = poll(&mut *session);
    assert_eq!(positions(other.events()), [(1, 0)]);
    session.commit(echo(other)).unwrap();
    let mut came = Vec::new();
    while came.len() < 3 {
        let batch = poll(&mut *session);
        came.extend(positions(batch.events()));
        session.commit(echo(batch)).unwrap();
    }
    assert!(Instant::now() >= due);
    assert_eq!(came, [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn a_hold_without_end_lasts_until_the_session_ends() {
    let host = Host::new();
    append_to(&host.log, "in", &[0]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    outcome.hold(None);
    session.commit(outcome).unwrap();
    assert!(session.poll(GLANCE).unwrap().is_empty());
    session.close().unwrap();
    let mut session = host.log.session(&subscription(0)).unwrap();
    assert_eq!(positions(poll(&mut *session).events()), [(0, 0)]);
}

#[test]
fn a_batch_keeps_its_bounds_and_takes_from_every_partition() {
    let host = Host::new();
    for partition in 0..4 {
        append_to(&host.log, "in", &[partition; 50]);
    }
    let bounds = BatchBounds { events: 40, bytes: 1 << 20 };
    let mut session = host.log.session(&Subscription { bounds, ..subscription(0) }).unwrap();
    let batch = poll(&mut *session);
    assert_eq!(batch.events().len(), 40);
    let of = |partition| batch.events().iter().filter(|e| e.partition == partition).count();
    assert_eq!([0, 1, 2, 3].map(of), [10; 4]);
}

#[test]
fn a_batch_is_full_though_one_partition_has_all_the_events() {
    let host = Host::new();
    append_to(&host.log, "in", &[2; 50]);
    let bounds = BatchBounds { events: 40, bytes: 30 };
    let mut session = host.log.session(&Subscription { bounds, ..subscription(0) }).unwrap();
    let batch = poll(&mut *session);
    assert_eq!(batch.events().len(), 30);
    session.commit(echo(batch)).unwrap();
    assert_eq!(poll(&mut *session).events().len(), 20);
}

#[test]
fn an_event_larger_than_the_bounds_still_comes() {
    let host = Host::new();
    append(&host.log, event("in", &"x".repeat(5_000)), 0).unwrap();
    let bounds = BatchBounds { events: 40, bytes: 100 };
    let mut session = host.log.session(&Subscription { bounds, ..subscription(0) }).unwrap();
    assert_eq!(poll(&mut *session).events().len(), 1);
}

/// The log holds two bytes of each header, memory far more.
#[test]
fn headers_of_nothing_fill_a_batch_too() {
    let host = Host::new();
    let headers = vec![Header { name: String::new(), value: None }; 1_000];
    for _ in 0..20 {
        append(&host.log, Event { headers: headers.clone(), ..event("in", "x") }, 0).unwrap();
    }
    let bounds = BatchBounds { events: 40, bytes: 200_000 };
    let mut session = host.log.session(&Subscription { bounds, ..subscription(0) }).unwrap();
    let events = poll(&mut *session).events().len();
    assert!((1..=4).contains(&events), "{events} events are {} headers", events * 1_000);
}
