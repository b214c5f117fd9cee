//! Opening a directory, and describing what is in it.

use super::*;

#[test]
fn a_second_host_is_refused_and_told_who_has_the_directory() {
    let host = Host::new();
    let error = EmbeddedLog::open_host(host.path(), "host-2").err().unwrap().to_string();
    let pid = std::process::id();
    assert!(error.contains(&format!("in use by host \"host-1\" (pid {pid}, ")), "{error}");
    assert!(error.contains("data_dir of its own"), "{error}");
    host.restart();
}

#[test]
fn a_client_needs_a_log_unless_it_makes_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("new");
    let error = EmbeddedLog::open_client(&path, false).err().unwrap().to_string();
    assert!(error.contains("there is no log in"), "{error}");
    assert!(!path.exists());
    create(&EmbeddedLog::open_client(&path, true).unwrap(), "in", 1, &[]);
    assert!(EmbeddedLog::open_client(&path, false).is_ok());
}

#[test]
fn a_client_opens_no_sessions() {
    let host = Host::new();
    let client = EmbeddedLog::open_client(host.path(), false).unwrap();
    let error = client.session(&subscription(0)).err().unwrap().to_string();
    assert!(error.contains("needs the host's view"), "{error}");
}

#[test]
fn a_log_of_a_newer_version_is_left_alone() {
    let host = Host::new();
    let path = host.path().join(super::super::storage::FILE);
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = format!("{:#}", EmbeddedLog::open_client(host.path(), false).err().unwrap());
    assert!(error.contains("written by a newer Lockstep: its format is 99"), "{error}");
}

#[test]
fn a_log_of_the_first_version_is_taken_over_with_all_it_holds() {
    let host = Host::new();
    append_to(&host.log, "in", &[0, 1]);
    let Host { log, dir } = host;
    drop(log);
    let path = dir.path().join(super::super::storage::FILE);
    let connection = rusqlite::Connection::open(path).unwrap();
    let back = "DROP TABLE writers; DROP TABLE compactions; DROP TABLE members; \
        PRAGMA user_version = 1;";
    connection.execute_batch(back).unwrap();
    drop(connection);
    let log = EmbeddedLog::open_host(dir.path(), "host-1").unwrap();
    assert_eq!(positions(&read_all(&log, "in")).len(), 2);
    log.writer("registry").unwrap().write(vec![event("out", "x")]).unwrap();
    assert!(log.session(&subscription(0)).is_ok());
}

#[test]
fn a_directory_that_cannot_be_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = EmbeddedLog::open_host(&file, "host-1").err().unwrap().to_string();
    assert!(error.contains("failed to create the data directory"), "{error}");
    assert!(error.contains(&file.display().to_string()), "{error}");

    std::fs::create_dir_all(dir.path().join("log").join(super::super::storage::FILE)).unwrap();
    let error = EmbeddedLog::open_host(&dir.path().join("log"), "host-1").err().unwrap();
    assert!(error.to_string().contains("failed to open the log"), "{error}");
}

#[test]
fn a_ping_is_answered() {
    assert!(Host::new().log.ping(PATIENCE).is_ok());
}

#[test]
fn topics_and_groups_are_described() {
    let host = Host::new();
    let admin = host.log.admin();
    create(&host.log, "set", 2, &[("retention.bytes", "10"), ("segment.ms", "1")]);
    assert!(!admin.create_topic(&TopicSpec::named("set")).unwrap(), "exists");
    let names: Vec<_> =
        admin.topics().unwrap().into_iter().map(|t| (t.name, t.partitions)).collect();
    assert_eq!(names, [("in".to_owned(), 4), ("out".to_owned(), 1), ("set".to_owned(), 2)]);
    let set = admin.topic("set").unwrap().unwrap();
    assert_eq!((set.partitions.len(), set.replication_factor), (2, 1));
    assert_eq!(set.settings["retention.bytes"], "10");
    assert_eq!(set.settings["retention.ms"], "604800000");
    assert_eq!(set.settings["segment.ms"], "1");
    assert_eq!(admin.topic("missing").unwrap(), None);

    let bad = TopicSpec {
        settings: [("retention".to_owned(), "1".to_owned())].into(),
        ..TopicSpec::named("bad")
    };
    let error = format!("{:#}", admin.create_topic(&bad).err().unwrap());
    assert!(error.contains("topic \"bad\": \"retention\" is not a topic setting"), "{error}");
    assert!(admin.create_topic(&TopicSpec::named("a b")).is_err());

    append_to(&host.log, "in", &[1, 1, 1]);
    let mut session = host.log.session(&subscription(0)).unwrap();
    let mut outcome = Outcome::new(poll(&mut *session));
    outcome.complete([]);
    assert_eq!(session.commit(outcome).unwrap(), Commit::Committed);
    assert_eq!(admin.groups().unwrap(), ["group"]);
    let group = admin.group("group").unwrap();
    let lags: Vec<_> = group.iter().map(|g| (g.at.to_string(), g.committed, g.lag)).collect();
    assert_eq!(lags, [("in/1".to_owned(), 1, 2)]);
    assert!(admin.group("missing").unwrap().is_empty());
}
