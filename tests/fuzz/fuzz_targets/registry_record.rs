//! Records of the control topics: what can be read is the same when it is written again, in every
//! registry, report and line of a log; what cannot is named with its place.
//!
//! An input is the key of a record, and below it its value; a lone `-` is none.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use lockstep::deployment::hosts::HostReport;
use lockstep::deployment::logs::LogRecord;
use lockstep::deployment::record::{self, Key, Record, RecordError};
use lockstep::deployment::registry::Registry;
use lockstep::event::{Consumed, Event};
use lockstep_fuzz::memory;
use serde::Serialize;
use serde::de::DeserializeOwned;

const PLACE: &str = "_lockstep.deployments/0/7";

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (key, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"-"));
    let event = consumed(key, (value != b"-").then(|| value.to_vec()));
    memory::bounded(data.len(), || {
        match record::decode(&event) {
            Ok(read) => check(&event, &read),
            Err(error) => check_error(&error),
        }
        check_log(&event);
        check_value::<HostReport>(&event);
    });
});

fn consumed(key: &[u8], value: Option<Vec<u8>>) -> Consumed {
    let event = Event {
        topic: "_lockstep.deployments".into(),
        key: Some(key.to_vec()),
        value,
        headers: Vec::new(),
        timestamp_ms: Some(0),
    };
    Consumed { event, partition: 0, offset: 7 }
}

fn check_error(error: &RecordError) {
    assert!(error.to_string().contains(PLACE), "{error}");
}

fn check(event: &Consumed, read: &Record) {
    let key = match read {
        Record::Revision(handler, number, _) => Key::Revision(handler.clone(), *number),
        Record::Deployment(handler, _) => Key::Deployment(handler.clone()),
        Record::Component(digest, _) => Key::Component(*digest),
        Record::Fence(handler, number, first, _) => {
            Key::Fence(handler.clone(), *number, first.clone())
        }
    };
    // Two keys of one thing would outlive each other in a compacted topic.
    assert_eq!(event.event.key.as_deref(), Some(key.to_string().as_bytes()), "{read:?}");
    let value = match read {
        Record::Revision(_, _, value) => value.as_ref().map(record::encode),
        Record::Deployment(_, value) => value.as_ref().map(record::encode),
        Record::Component(_, value) => value.as_ref().map(record::encode),
        Record::Fence(_, _, _, value) => value.as_ref().map(record::encode),
    };
    let value = value.transpose().expect("what was read can be written");
    let again = consumed(key.to_string().as_bytes(), value.clone());
    assert_eq!(&record::decode(&again).expect("what was written can be read"), read);
    assert_eq!(&record::of((key, value)).expect("what was written can be read"), read);
    check_registry(read);
}

/// A registry that has taken a record in twice is as one that has taken it in once.
fn check_registry(read: &Record) {
    let mut registry = Registry::default();
    registry.apply(read.clone());
    let once = registry.clone();
    registry.apply(read.clone());
    assert_eq!(registry, once);
    for (name, deployed, record) in registry.handlers() {
        assert!(registry.handler(name).is_some());
        assert!(deployed.active().is_none_or(|(number, _)| number == record.revision));
        assert!(deployed.takeovers().len() <= deployed.fences.len());
        assert!(deployed.begin_of_active().len() <= deployed.fences.len());
        assert!(record.rolled_back().is_none_or(|rollback| !rollback.to_string().is_empty()));
    }
}

fn check_value<T: DeserializeOwned + Serialize + PartialEq + Debug>(event: &Consumed) {
    match record::value::<T>(event, &"host-1") {
        Ok(Some(read)) => {
            let value = record::encode(&read).expect("what was read can be written");
            let again = record::value::<T>(&consumed(b"", Some(value)), &"host-1");
            assert_eq!(again.expect("what was written can be read"), Some(read));
        }
        Ok(None) => assert_eq!(event.event.value, None),
        Err(error) => check_error(&error),
    }
}

fn check_log(event: &Consumed) {
    match LogRecord::of(event) {
        Ok(Some(read)) => {
            let written = read.event(&event.event.topic).expect("what was read can be written");
            let again = LogRecord::of(&Consumed { event: written, ..event.clone() });
            assert_eq!(again.expect("what was written can be read"), Some(read.clone()));
            assert!(serde_json::to_string(&read).is_ok_and(|line| !line.contains('\n')));
        }
        Ok(None) => assert_eq!(event.event.value, None),
        Err(error) => check_error(&error),
    }
}
