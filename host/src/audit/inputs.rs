//! The events that a run is fed with: made up, or copies of events that somebody gave. Each gets an
//! id of its own.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::json;

use super::observer::ID_HEADER;
use crate::event::{Event, Header};

/// Keys of events that are made up.
const KEYS: u32 = 100;
/// The longest text in one, in bytes.
const TEXT: usize = 400;

/// Events without end.
pub(super) struct Inputs {
    random: Rng,
    given: Vec<Event>,
    topics: Vec<Arc<str>>,
    count: u64,
}

impl Inputs {
    /// Copies of these events, one after the other and from the first again; without any, events that
    /// are made up for these topics, of which there is at least one.
    pub(super) fn new(seed: u64, given: Vec<Event>, topics: Vec<Arc<str>>) -> Self {
        Self { random: Rng::with_seed(seed), given, topics, count: 0 }
    }

    /// The id of the next event, and the event. Its timestamp is left to the log: an old one would
    /// have the log delete it.
    pub(super) fn next(&mut self) -> (String, Event) {
        let id = format!("{:08}", self.count);
        let mut event = match self.given.len() {
            0 => self.made_up(&id),
            some => self.given[usize::try_from(self.count).unwrap_or(0) % some].clone(),
        };
        self.count += 1;
        event.timestamp_ms = None;
        event.headers.retain(|header| header.name != ID_HEADER);
        event.headers.push(Header::text(ID_HEADER, id.clone()));
        (id, event)
    }

    fn made_up(&mut self, id: &str) -> Event {
        let length = self.random.usize(..TEXT);
        let text: String = (0..length).map(|_| self.random.alphanumeric()).collect();
        let topic = self.random.usize(..self.topics.len());
        let key = format!("key-{}", self.random.u32(..KEYS));
        let value = json!({ "id": id, "number": self.random.u32(..1_000), "text": text });
        Event {
            topic: Arc::clone(&self.topics[topic]),
            key: Some(key.into_bytes()),
            value: Some(value.to_string().into_bytes()),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_an_id_of_its_own_and_no_timestamp() {
        let given = Event {
            topic: "in".into(),
            key: None,
            value: None,
            headers: vec![Header::text(ID_HEADER, "old"), Header::text("kept", "1")],
            timestamp_ms: Some(5),
        };
        for given in [vec![], vec![given]] {
            let mut inputs = Inputs::new(1, given, vec!["in".into()]);
            let (first, event) = inputs.next();
            let (second, _) = inputs.next();
            assert_ne!(first, second);
            assert_eq!(event.timestamp_ms, None);
            let ids: Vec<_> = event.headers.iter().filter(|h| h.name == ID_HEADER).collect();
            assert_eq!(ids, [&Header::text(ID_HEADER, first)]);
        }
    }

    #[test]
    fn a_seed_makes_the_same_events_again() {
        let some = |seed| {
            let mut inputs = Inputs::new(seed, Vec::new(), vec!["a".into(), "b".into()]);
            (0..20).map(|_| inputs.next().1).collect::<Vec<_>>()
        };
        assert_eq!(some(3), some(3));
        assert_ne!(some(3), some(4));
    }
}
