//! Events as tests write and read them: short.

use std::collections::BTreeMap;

use lockstep::event::{Consumed, Event, Header};

/// An event without key and headers.
pub fn event(topic: &str, value: impl Into<Vec<u8>>) -> Event {
    Event {
        topic: topic.into(),
        key: None,
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// Adds to an event.
pub trait With {
    /// With this key.
    fn key(self, key: impl Into<Vec<u8>>) -> Self;
    /// With one more header.
    fn header(self, name: &str, value: impl Into<Vec<u8>>) -> Self;
    /// With one more header that has no value.
    fn null_header(self, name: &str) -> Self;
}

impl With for Event {
    fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: Some(value.into()) });
        self
    }

    fn null_header(mut self, name: &str) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: None });
        self
    }
}

/// Reads from an event.
pub trait Has {
    /// The value as text; empty for a tombstone.
    fn text(&self) -> String;
    /// The last header of this name, as text.
    fn last_header(&self, name: &str) -> Option<String>;
}

impl Has for Consumed {
    fn text(&self) -> String {
        String::from_utf8_lossy(self.event.value.as_deref().unwrap_or_default()).into_owned()
    }

    fn last_header(&self, name: &str) -> Option<String> {
        let header = self.event.headers.iter().rfind(|header| header.name == name)?;
        header.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// The values as text, sorted: what is there, and how often, whatever the partitions.
pub fn sorted_texts(events: &[Consumed]) -> Vec<String> {
    let mut texts: Vec<_> = events.iter().map(Has::text).collect();
    texts.sort();
    texts
}

/// The values as text of each partition, in the order of the log.
pub fn texts_by_partition(events: &[Consumed]) -> BTreeMap<i32, Vec<String>> {
    let mut sorted: Vec<_> = events.iter().collect();
    sorted.sort_by_key(|event| (event.partition, event.offset));
    let mut texts = BTreeMap::<i32, Vec<String>>::new();
    for event in sorted {
        texts.entry(event.partition).or_default().push(event.text());
    }
    texts
}
