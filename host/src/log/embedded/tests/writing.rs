//! Exclusive writers, and groups whose offsets are set by hand.

use std::collections::BTreeMap;

use super::*;
use crate::event::TopicPartition;
use crate::log::WriteError;

fn is_fenced(result: &Result<(), WriteError>) -> bool {
    matches!(result, Err(WriteError::Fenced))
}

fn texts(log: &dyn Log, topic: &str) -> Vec<String> {
    let value = |e: Consumed| String::from_utf8(e.event.value.unwrap_or_default()).unwrap();
    read_all(log, topic).into_iter().map(value).collect()
}

#[test]
fn a_second_writer_fences_the_first_also_from_another_process() {
    let host = Host::new();
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    let mut first = host.log.writer("registry").unwrap();
    first.write(vec![event("out", "1")]).unwrap();
    let mut second = client.writer("registry").unwrap();
    assert!(is_fenced(&first.write(vec![event("out", "fenced")])));
    second.write(vec![event("out", "2")]).unwrap();
    assert!(is_fenced(&first.write(vec![])));
    let mut third = host.log.writer("registry").unwrap();
    assert!(is_fenced(&second.write(vec![event("out", "fenced")])));
    third.write(vec![event("out", "3")]).unwrap();
    assert_eq!(texts(&host.log, "out"), ["1", "2", "3"]);
}

#[test]
fn writers_of_other_names_do_not_meet_and_epochs_outlive_the_host() {
    let host = Host::new();
    let mut other = host.log.writer("other").unwrap();
    let mut mine = host.log.writer("registry").unwrap();
    other.write(vec![event("out", "other")]).unwrap();
    mine.write(vec![event("out", "mine")]).unwrap();
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    let mut old = client.writer("registry").unwrap();
    drop((other, mine));
    let host = host.restart();
    host.log.writer("registry").unwrap();
    assert!(is_fenced(&old.write(vec![event("out", "old")])));
    assert_eq!(texts(&host.log, "out"), ["other", "mine"]);
}

#[test]
fn a_writer_writes_all_or_nothing_and_can_go_on() {
    let host = Host::new();
    create(&host.log, "small", 1, &[("max.message.bytes", "5")]);
    let mut writer = host.log.writer("registry").unwrap();
    for (bad, expected) in [
        (event("missing", "x"), "topic \"missing\" does not exist"),
        (event("small", "too large"), "too large"),
    ] {
        let error = writer.write(vec![event("out", "good"), bad]).unwrap_err();
        let WriteError::Failed(error) = error else { panic!("{error:?}") };
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    assert!(texts(&host.log, "out").is_empty());
    writer.write(vec![event("out", "1"), event("small", "2")]).unwrap();
    assert_eq!(texts(&host.log, "out"), ["1"]);
    assert_eq!(texts(&host.log, "small"), ["2"]);
}

/// Partitions of topic `in` and where to go on in them.
fn at(offsets: &[(i32, i64)]) -> BTreeMap<TopicPartition, i64> {
    let place = |partition| TopicPartition { topic: "in".into(), partition };
    offsets.iter().map(|(partition, offset)| (place(*partition), *offset)).collect()
}

fn committed(log: &dyn Log) -> Vec<(i32, i64)> {
    let offsets = log.admin().group("group").unwrap();
    offsets.iter().map(|offset| (offset.at.partition, offset.committed)).collect()
}

#[test]
fn offsets_are_set_and_clamped_while_nobody_is_in_the_group() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0, 0, 1]);
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    client.admin().set_offsets("group", &at(&[(0, 2), (1, 99), (2, -5)])).unwrap();
    assert_eq!(committed(&host.log), [(0, 2), (1, 1), (2, 0)]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    assert_eq!(positions(poll(&mut *session).events()), [(0, 2)]);
    for (bad, name) in [(at(&[(0, 0), (4, 0)]), "in/4"), (at(&[(-1, 0)]), "in/-1")] {
        let error = format!("{:#}", client.admin().set_offsets("other", &bad).unwrap_err());
        assert!(error.contains(&format!("partition {name} does not exist")), "{error}");
    }
    assert_eq!(host.log.admin().group("other").unwrap(), []);
}

#[test]
fn offsets_stay_while_the_group_has_members_and_each_is_named() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 1]);
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    assert_eq!(client.admin().members("group").unwrap(), 0);
    let sessions = [0, 1].map(|slot| host.log.session(&subscription(slot)).unwrap());
    for log in [&host.log, &client] {
        assert_eq!(log.admin().members("group").unwrap(), 2);
        assert_eq!(log.admin().members("another").unwrap(), 0);
        let error = log.admin().set_offsets("group", &at(&[(0, 1)])).unwrap_err().to_string();
        assert!(error.contains("group \"group\" has members"), "{error}");
        assert!(error.contains("worker 1 of handler \"handler\" on host \"host-1\""), "{error}");
    }
    assert!(committed(&client).is_empty());
    drop(sessions);
    assert_eq!(client.admin().members("group").unwrap(), 0);
    client.admin().set_offsets("group", &at(&[(0, 1)])).unwrap();
    assert_eq!(committed(&host.log), [(0, 1)]);
}

#[test]
fn the_members_of_a_host_that_was_killed_are_none() {
    let host = Host::new();
    let database = rusqlite::Connection::open(host.path().join(super::super::storage::FILE));
    let leave = "INSERT INTO members VALUES ('group', 'handler', 0)";
    database.unwrap().execute_batch(leave).unwrap();
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    assert_eq!(client.admin().members("group").unwrap(), 1);
    let Host { log, dir } = host;
    drop(log);
    assert_eq!(client.admin().members("group").unwrap(), 0, "nobody holds the lock");
    client.admin().set_offsets("group", &at(&[(0, 0)])).unwrap();
    let again = EmbeddedLog::open_host(dir.path(), "host-1").unwrap();
    assert_eq!(again.admin().members("group").unwrap(), 0, "a host begins without members");
}

#[test]
fn where_reading_would_begin_is_told_for_each_partition() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 0, 2]);
    let offsets =
        |at| -> Vec<i64> { host.log.admin().offsets("in", at).unwrap().into_values().collect() };
    assert_eq!(offsets(ReadFrom::Earliest), [0, 0, 0, 0]);
    assert_eq!(offsets(ReadFrom::Latest), [2, 0, 1, 0]);
    assert_eq!(offsets(ReadFrom::Offset(1)), [1, 0, 1, 0]);
    assert_eq!(offsets(ReadFrom::Timestamp(0)), [0, 0, 0, 0]);
    assert_eq!(offsets(ReadFrom::Timestamp(i64::MAX)), [2, 0, 1, 0]);
    let error = host.log.admin().offsets("missing", ReadFrom::Latest).unwrap_err().to_string();
    assert!(error.contains("\"missing\" does not exist"), "{error}");
}
