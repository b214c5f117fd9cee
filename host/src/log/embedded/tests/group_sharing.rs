//! Sessions that share a group, come and go, and see other processes.

use super::*;

/// The partitions of `in` that a session gets events of, given one event in each.
fn partitions_of(session: &mut dyn Session) -> Vec<i32> {
    let mut partitions = Vec::new();
    loop {
        let batch = session.poll(GLANCE).unwrap();
        if batch.is_empty() {
            partitions.sort_unstable();
            partitions.dedup();
            return partitions;
        }
        partitions.extend(batch.events().iter().map(|event| event.partition));
        session.commit(echo(batch)).unwrap();
    }
}

#[test]
fn two_sessions_share_the_partitions_and_one_takes_over() {
    let host = Host::new();
    let mut first = host.log.session(&subscription(0)).unwrap();
    let mut second = host.log.session(&subscription(1)).unwrap();
    append_to(&host.log, "in", &[0, 1, 2, 3]);
    let (mine, other) = (partitions_of(&mut *first), partitions_of(&mut *second));
    assert_eq!((mine.len(), other.len()), (2, 2));
    assert!(mine.iter().all(|partition| !other.contains(partition)));

    second.close().unwrap();
    append_to(&host.log, "in", &[0, 1, 2, 3]);
    assert_eq!(partitions_of(&mut *first), [0, 1, 2, 3]);
    assert_eq!(read_all(&host.log, "out").len(), 8);
}

#[test]
fn a_commit_after_a_lost_partition_is_abandoned_and_writes_nothing() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 1, 2, 3]);
    let mut first = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *first);
    assert_eq!(batch.events().len(), 4);
    let mut second = host.log.session(&subscription(1)).unwrap();
    let commit = first.commit(echo(batch)).unwrap();
    assert!(matches!(&commit, Commit::Abandoned(why) if why.contains("another session")));
    assert!(read_all(&host.log, "out").is_empty());

    let (mine, other) = (partitions_of(&mut *first), partitions_of(&mut *second));
    assert_eq!((mine.len(), other.len()), (2, 2));
    assert_eq!(read_all(&host.log, "out").len(), 4, "each exactly once");
}

#[test]
fn a_partition_lost_and_regained_is_lost() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 1, 2, 3]);
    let mut first = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *first);
    let mut second = host.log.session(&subscription(1)).unwrap();
    assert_eq!(partitions_of(&mut *second).len(), 2);
    second.close().unwrap();
    assert!(matches!(first.commit(echo(batch)).unwrap(), Commit::Abandoned(_)));
    assert_eq!(partitions_of(&mut *first).len(), 2);
    assert_eq!(read_all(&host.log, "out").len(), 4, "each exactly once");
}

#[test]
fn a_session_of_the_same_slot_fences_the_one_before() {
    let host = Host::new();
    append_to(&host.log, "in", &[0]);
    let mut old = host.log.session(&subscription(0)).unwrap();
    let batch = poll(&mut *old);
    let mut new = host.log.session(&subscription(0)).unwrap();
    assert!(matches!(old.commit(echo(batch)).unwrap(), Commit::Abandoned(_)));
    let error = old.poll(GLANCE).err().unwrap().to_string();
    assert!(error.contains("took over slot 0 of handler \"handler\""), "{error}");
    drop(old);
    assert_eq!(partitions_of(&mut *new), [0]);
}

#[test]
fn a_session_sees_what_a_client_appends_and_topics_it_creates() {
    let host = Host::new();
    let topics = vec!["in".into(), "late".into()];
    let mut session = host
        .log
        .session(&Subscription { topics, start: Start::Latest, ..subscription(0) })
        .unwrap();
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    append_to(&client, "in", &[3]);
    let batch = poll(&mut *session);
    assert_eq!(positions(batch.events()), [(3, 0)]);
    session.commit(echo(batch)).unwrap();

    create(&client, "late", 1, &[]);
    append_to(&client, "late", &[0, 0]);
    let mut came = Vec::new();
    while came.len() < 2 {
        let batch = poll(&mut *session);
        assert!(batch.events().iter().all(|e| &*e.event.topic == "late"));
        came.extend(positions(batch.events()));
        session.commit(echo(batch)).unwrap();
    }
    assert_eq!(came, [(0, 0), (0, 1)], "nothing of a new topic is old");

    let mut reader = client.reader("out", ReadFrom::Earliest).unwrap();
    assert_eq!(reader.read(10, PATIENCE).unwrap().len(), 3);
}

#[test]
fn a_waiting_session_is_woken_by_an_append() {
    let host = Host::new();
    let mut session = host.log.session(&subscription(0)).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(&mut *session).events().len());
        append_to(&host.log, "in", &[1]);
        assert_eq!(waiting.join().unwrap(), 1);
    });
}

#[test]
fn latest_is_where_the_group_came_and_is_remembered() {
    let host = Host::new();
    append_to(&host.log, "in", &[0]);
    let latest = Subscription { start: Start::Latest, ..subscription(0) };
    drop(host.log.session(&latest).unwrap());
    let host = host.restart();
    append_to(&host.log, "in", &[0, 1]);
    let mut session = host.log.session(&latest).unwrap();
    let mut came = positions(poll(&mut *session).events());
    came.sort_unstable();
    assert_eq!(came, [(0, 1), (1, 0)]);
}

#[test]
fn sessions_that_come_and_go_handle_each_event_once_and_in_order() {
    const EVENTS: usize = 600;
    let host = Host::new();
    std::thread::scope(|scope| {
        for slot in 0..3 {
            let log = &host.log;
            let bounds = BatchBounds { events: 5, bytes: 1 << 20 };
            let subscription = Subscription { bounds, ..subscription(slot) };
            scope.spawn(move || {
                let give_up = Instant::now() + PATIENCE;
                while read_all(log, "out").len() < EVENTS && Instant::now() < give_up {
                    let mut session = log.session(&subscription).unwrap();
                    for _ in 0..=fastrand::u32(0..10) {
                        let mut outcome = Outcome::new(session.poll(GLANCE).unwrap());
                        while let Some(input) = outcome.current() {
                            let source = input.position().to_string();
                            outcome.complete([event("out", &source)]);
                        }
                        session.commit(outcome).unwrap();
                    }
                }
            });
        }
        for n in 0..EVENTS {
            host.log.append(event("in", &n.to_string()), None).unwrap();
        }
    });
    let mut next = [0; 4];
    for output in read_all(&host.log, "out") {
        let source = String::from_utf8(output.event.value.unwrap()).unwrap();
        let (partition, offset) = source["in/".len()..].split_once('/').unwrap();
        let next = &mut next[partition.parse::<usize>().unwrap()];
        assert_eq!(offset.parse(), Ok(*next), "{source}");
        *next += 1;
    }
    assert_eq!(next.iter().sum::<usize>(), EVENTS);
}
