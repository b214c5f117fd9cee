//! Dead letters: the event that one was is had back from it, whatever headers that had; and what
//! only looks like one does no harm.
//!
//! An input is, line by line: where the event stood, its key, its value (a lone `-` is none), the
//! failure's kind, the failure's message, the attempts, and headers `name=value`.

#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lockstep::deployment::manifest;
use lockstep::event::{Consumed, Event, Header, Position};
use lockstep::handler::{Failure, FailureKind, Handler, TRANSACTION_HEADER, revive};
use lockstep_fuzz::lines::Lines;
use lockstep_fuzz::memory;

/// Bytes that a dead letter has beyond its input's at most: a message, names and places.
const MOST_ADDED: usize = 8 << 10;

static HANDLER: LazyLock<Handler> = LazyLock::new(|| {
    let text = "name = \"weather\"\ncomponent = \"weather.wasm\"\nfrom = [\"orders\"]";
    manifest::parse(Path::new("handler.toml"), text).expect("the manifest is right")
});

fuzz_target!(|data: &[u8]| {
    memory::bounded(data.len(), || {
        let mut lines = Lines::of(data);
        let place = lines.text().parse();
        let place = place.unwrap_or_else(|error: String| {
            assert!(!error.is_empty());
            Position { topic: "orders".into(), partition: 3, offset: 1042 }
        });
        let (key, value) = (lines.optional(), lines.optional());
        let kind = lines.text();
        let kind = FailureKind::ALL.into_iter().find(|other| other.as_str() == kind);
        let failure = Failure::new(kind.unwrap_or(FailureKind::Permanent), lines.text());
        let attempts = lines.text().parse().unwrap_or(1);
        let Position { topic, partition, offset } = place;
        let event = Event { topic, key, value, headers: lines.headers(), timestamp_ms: Some(1) };
        let input = Consumed { event, partition, offset };
        check(&input, &failure, attempts);
        check_stranger(input);
    });
});

/// A dead letter of this input becomes this input.
fn check(input: &Consumed, failure: &Failure, attempts: u32) {
    let event = HANDLER.dead_letter(input, failure, attempts);
    assert_eq!(event.topic, HANDLER.dead_letter_topic);
    assert!(event.headers.starts_with(&input.event.headers));
    assert!(event.size() <= input.event.size() + input.event.topic.len() + MOST_ADDED);
    let letter = Consumed { event, partition: 0, offset: 5 };
    assert_eq!(&revive(letter.clone()), input);
    let mut signed = letter;
    signed.event.headers.push(Header::text(TRANSACTION_HEADER, "host-1/0/00000000000000ff-7"));
    assert_eq!(&revive(signed), input);
}

/// Headers that somebody else wrote: what is taken off is the host's, and that comes to an end.
fn check_stranger(letter: Consumed) {
    let revived = revive(letter.clone());
    assert!(revived.event.headers.iter().all(|header| letter.event.headers.contains(header)));
    let parts = |consumed: &Consumed| (consumed.event.key.clone(), consumed.event.value.clone());
    assert_eq!(parts(&revived), parts(&letter));
    if revived.event.headers.len() < letter.event.headers.len() {
        check_stranger(revived);
    } else {
        assert_eq!(revived, letter);
    }
}
