//! Readers outside any group.

use super::*;

fn first_of(log: &EmbeddedLog, start: ReadFrom) -> Option<i64> {
    let mut reader = log.reader("out", start).unwrap();
    reader.read(1, GLANCE).unwrap().first().map(|event| event.offset)
}

#[test]
fn a_reader_begins_where_it_is_told() {
    let host = Host::new();
    for timestamp in [100, 300, 200, 400] {
        let event = Event { timestamp_ms: Some(timestamp), ..event("out", "x") };
        append(&host.log, event, 0).unwrap();
    }
    for (start, expected) in [
        (ReadFrom::Earliest, Some(0)),
        (ReadFrom::Latest, None),
        (ReadFrom::Offset(2), Some(2)),
        (ReadFrom::Offset(-5), Some(0)),
        (ReadFrom::Offset(99), None),
        (ReadFrom::Timestamp(0), Some(0)),
        (ReadFrom::Timestamp(101), Some(1)),
        (ReadFrom::Timestamp(301), Some(3)),
        (ReadFrom::Timestamp(401), None),
    ] {
        assert_eq!(first_of(&host.log, start), expected, "{start:?}");
    }
}

#[test]
fn partitions_are_merged_fairly_and_each_stays_in_order() {
    let host = Host::new();
    for partition in 0..4 {
        append_to(&host.log, "in", &[partition; 30]);
    }
    let mut reader = host.log.reader("in", ReadFrom::Earliest).unwrap();
    let mut next = [0; 4];
    for _ in 0..3 {
        assert!(!reader.at_end());
        let events = reader.read(40, GLANCE).unwrap();
        assert_eq!(events.len(), 40);
        for event in events {
            let next = &mut next[usize::try_from(event.partition).unwrap()];
            assert_eq!(event.offset, *next);
            *next += 1;
        }
        assert!(next.iter().max().unwrap() - next.iter().min().unwrap() <= 10, "{next:?}");
    }
    assert!(reader.at_end());
    assert!(reader.read(40, GLANCE).unwrap().is_empty());
}

#[test]
fn a_missing_topic_cannot_be_read() {
    let error = Host::new().log.reader("missing", ReadFrom::Latest).err().unwrap().to_string();
    assert_eq!(error, "topic \"missing\" does not exist");
}
