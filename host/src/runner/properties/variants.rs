//! Events that a handler should survive: its own, bent. Pure, and the same for the same seed.

use fastrand::Rng;
use serde_json::Value;

use crate::event::{Consumed, Event};
use crate::handler::Handler;

/// The most that a topic takes when nothing else is said, on Kafka as on the embedded log.
const MAX_MESSAGE_BYTES: usize = 1_048_588;
/// The setting of a topic that says it.
const MAX_MESSAGE_SETTING: &str = "max.message.bytes";
/// More than this is not tried, whatever a topic takes.
const LARGEST: usize = 64 << 20;
/// What a log writes beside the bytes of an event, generously.
const OVERHEAD: usize = 128;
/// Events that are made large; each takes a while.
const ENLARGED: usize = 3;
/// Events of random bytes: half of them of nothing else, half of a real one.
const RANDOM: usize = 200;
/// The longest value of nothing but random bytes.
const RANDOM_BYTES: usize = 1 << 10;

/// An event, and what is special about it.
pub(super) struct Variant {
    pub(super) what: String,
    pub(super) input: Consumed,
}

fn variant(what: impl Into<String>, input: &Consumed, change: impl FnOnce(&mut Event)) -> Variant {
    let mut input = input.clone();
    change(&mut input.event);
    Variant { what: what.into(), input }
}

/// An event for a handler of which nothing is known: this value, or an empty object.
pub(in crate::runner) fn plain(handler: &Handler, value: Option<Vec<u8>>) -> Consumed {
    let event = Event {
        // A checked handler has a source topic.
        topic: handler.from.first().cloned().unwrap_or_default(),
        key: Some(b"key-1".to_vec()),
        value: Some(value.unwrap_or_else(|| b"{}".to_vec())),
        headers: Vec::new(),
        timestamp_ms: Some(0),
    };
    Consumed { event, partition: 0, offset: 0 }
}

/// Without a key.
pub(super) fn without_key(input: &Consumed) -> Variant {
    variant("an event without a key", input, |event| event.key = None)
}

/// Without a value. Tombstones have a key.
pub(super) fn tombstone(input: &Consumed) -> Variant {
    variant("a tombstone", input, |event| {
        event.key.get_or_insert_with(|| b"key-1".to_vec());
        event.value = None;
    })
}

/// With a value of no bytes.
pub(super) fn empty(input: &Consumed) -> Variant {
    variant("an empty value", input, |event| event.value = Some(Vec::new()))
}

/// The largest event that the source topics take, as far as the manifest tells.
pub(super) fn maximum_size(handler: &Handler) -> usize {
    let source = |name: &str| handler.from.iter().any(|topic| &**topic == name);
    let told = handler.topics.iter().filter(|topic| source(&topic.name));
    let told = told.filter_map(|topic| topic.settings.get(MAX_MESSAGE_SETTING)?.parse().ok());
    told.max().unwrap_or(MAX_MESSAGE_BYTES).min(LARGEST)
}

/// Events of this size: real ones with a long text in them, real ones with many blanks behind
/// them, and one without any sense.
pub(super) fn enlarged(inputs: &[Consumed], size: usize) -> impl Iterator<Item = Variant> {
    let what = move |kind: &str| format!("an event of {size} bytes ({kind})");
    let padded = inputs.iter().take(ENLARGED).flat_map(move |input| {
        let room = room(input, size);
        let value = input.event.value.as_deref().unwrap_or_default();
        let set = |kind: &str, value: Vec<u8>| {
            variant(what(kind), input, |event| event.value = Some(value))
        };
        let object =
            with_long_text(value, room).map(|value| set("one with a long text in it", value));
        let mut blanks = value.to_vec();
        blanks.resize(room.max(value.len()), b' ');
        object.into_iter().chain([set("one with blanks behind it", blanks)])
    });
    let senseless = inputs.first().map(|input| {
        let value = vec![b'x'; room(input, size)];
        variant(what("nothing but x"), input, |event| event.value = Some(value))
    });
    padded.chain(senseless)
}

/// The bytes that an event of this size leaves to its value.
fn room(input: &Consumed, size: usize) -> usize {
    let value = input.event.value.as_ref().map_or(0, Vec::len);
    size.saturating_sub(input.event.size() - value).saturating_sub(OVERHEAD)
}

/// A JSON object with one more member, as long as there is room.
fn with_long_text(value: &[u8], room: usize) -> Option<Vec<u8>> {
    /// The member without its text.
    const MEMBER: &str = r#","padding":"""#;
    let Value::Object(mut members) = serde_json::from_slice(value).ok()? else { return None };
    let bare = Value::Object(members.clone()).to_string().len() + MEMBER.len();
    members.insert("padding".to_owned(), "x".repeat(room.saturating_sub(bare)).into());
    Some(Value::Object(members).to_string().into_bytes())
}

/// Events whose values, and some of whose keys, are random, or were damaged at random.
pub(super) fn random(inputs: &[Consumed], seed: u64) -> impl Iterator<Item = Variant> {
    let mut rng = Rng::with_seed(seed);
    (0..RANDOM).filter_map(move |number| {
        let input = rng.choice(inputs)?;
        let real = input.event.value.as_deref().unwrap_or_default();
        let value = match number % 2 {
            0 => bytes(&mut rng),
            _ => damaged(real, &mut rng),
        };
        let key = rng.u8(..) < 64;
        let key = key.then(|| bytes(&mut rng));
        let what = format!("event {} of {RANDOM} with random bytes (seed {seed})", number + 1);
        Some(variant(what, input, |event| {
            event.value = Some(value);
            event.key = key.or(event.key.take());
        }))
    })
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(..RANDOM_BYTES)];
    rng.fill(&mut bytes);
    bytes
}

/// A value with some of its bytes changed, missing, added or repeated.
fn damaged(value: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut value = value.to_vec();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(..=value.len());
        let end = (at + rng.usize(..=8)).min(value.len());
        match rng.u8(..5) {
            0 => value.truncate(at),
            1 => value.insert(at, rng.u8(..)),
            2 => drop(value.drain(at..end)),
            3 => value.extend_from_within(at..end),
            _ => value[at..end].iter_mut().for_each(|byte| *byte = rng.u8(..)),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(value: &str) -> Consumed {
        let event = Event {
            topic: "in".into(),
            key: Some(b"k".to_vec()),
            value: Some(value.into()),
            headers: vec![],
            timestamp_ms: None,
        };
        Consumed { event, partition: 0, offset: 0 }
    }

    #[test]
    fn large_events_have_the_size_that_was_asked_for() {
        for value in ["{\"a\":1}", "{}", "[1]", "plain"] {
            let large: Vec<_> = enlarged(&[input(value)], 10_000).collect();
            assert_eq!(large.len(), if value.starts_with('{') { 3 } else { 2 });
            for variant in large {
                let size = variant.input.event.size() + OVERHEAD;
                assert!((9_990..=10_000).contains(&size), "{}: {size}", variant.what);
            }
        }
        let text = with_long_text(b"{\"a\":1}", 100).unwrap();
        assert!(serde_json::from_slice::<Value>(&text).is_ok());
    }

    #[test]
    fn the_same_seed_makes_the_same_events() {
        let inputs = [input("{\"a\":1}"), input("")];
        let events = |seed| random(&inputs, seed).map(|v| v.input).collect::<Vec<_>>();
        assert_eq!(events(7), events(7));
        assert_ne!(events(7), events(8));
        assert_eq!(events(7).len(), RANDOM);
    }
}
