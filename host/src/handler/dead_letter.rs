//! What a dead letter looks like, and how the event that it was is had back from it.

use std::sync::Arc;

use super::{
    ATTEMPTS_HEADER, FAILURE_HEADER, FAILURE_MESSAGE_HEADER, Failure, HANDLER_HEADER, Handler,
    SOURCE_HEADER, TRANSACTION_HEADER,
};
use crate::event::{Consumed, Event, Header, Position};

/// The headers that make a dead letter, in their order; at
/// [`Provenance::Transaction`](super::Provenance::Transaction) the transaction's follows.
const MARKS: [&str; 5] =
    [HANDLER_HEADER, SOURCE_HEADER, FAILURE_HEADER, FAILURE_MESSAGE_HEADER, ATTEMPTS_HEADER];

impl Handler {
    /// The dead letter of `input`: its key, value, headers and timestamp as they were, followed
    /// by headers that say what happened. Where names repeat, the last ones are the host's.
    pub fn dead_letter(&self, input: &Consumed, failure: &Failure, attempts: u32) -> Event {
        let mut event = input.event.clone();
        event.topic = Arc::clone(&self.dead_letter_topic);
        let marks = [
            self.label(),
            input.position().to_string(),
            failure.kind.to_string(),
            failure.message.clone(),
            attempts.to_string(),
        ];
        event.headers.extend(MARKS.iter().zip(marks).map(|(name, text)| Header::text(name, text)));
        event
    }
}

/// The event that a dead letter was, at the place where it stood. What is no dead letter comes
/// back as it is. Headers that others added behind the host's are kept.
pub fn revive(mut letter: Consumed) -> Consumed {
    let headers = &letter.event.headers;
    let is_marked = |some: &[Header]| some.iter().map(|h| h.name.as_str()).eq(MARKS);
    let Some(begin) = headers.windows(MARKS.len()).rposition(is_marked) else { return letter };
    let Some(source) = source(&headers[begin + 1]) else { return letter };
    let mut end = begin + MARKS.len();
    if headers.get(end).is_some_and(|header| header.name == TRANSACTION_HEADER) {
        end += 1;
    }
    letter.event.headers.drain(begin..end);
    let Position { topic, partition, offset } = source;
    letter.event.topic = topic;
    Consumed { partition, offset, ..letter }
}

/// Where an event came from, as its header says.
fn source(header: &Header) -> Option<Position> {
    std::str::from_utf8(header.value.as_deref()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(headers: &[(&str, &str)]) -> Consumed {
        let event = Event {
            topic: "weather.dead-letters".into(),
            key: None,
            value: Some(b"bad".to_vec()),
            headers: headers.iter().map(|(name, value)| Header::text(name, *value)).collect(),
            timestamp_ms: Some(1),
        };
        Consumed { event, partition: 0, offset: 5 }
    }

    fn marks(source: &'static str) -> [(&'static str, &'static str); 5] {
        let values = ["weather@1", source, "permanent", "no", "1"];
        std::array::from_fn(|index| (MARKS[index], values[index]))
    }

    fn names(event: &Consumed) -> Vec<&str> {
        event.event.headers.iter().map(|header| header.name.as_str()).collect()
    }

    #[test]
    fn a_dead_letter_becomes_the_input_it_was() {
        let own = [("trace", "a"), (SOURCE_HEADER, "upstream/9/9")];
        let added = [("mirrored", "yes")];
        let headers = [&own[..], &marks("orders/3/1042"), &added].concat();
        let input = revive(letter(&headers));
        assert_eq!(input.position().to_string(), "orders/3/1042");
        assert_eq!(names(&input), ["trace", SOURCE_HEADER, "mirrored"]);
    }

    #[test]
    fn headers_that_the_input_had_from_another_handler_are_kept() {
        let own = [(TRANSACTION_HEADER, "host/0/1-1"), (FAILURE_HEADER, "upstream")];
        let signed = [(TRANSACTION_HEADER, "host/0/2-7")];
        for end in [&[][..], &signed] {
            let input = revive(letter(&[&own[..], &marks("orders/3/1042"), end].concat()));
            assert_eq!(names(&input), [TRANSACTION_HEADER, FAILURE_HEADER]);
            assert_eq!(input.event.headers[0].value.as_deref(), Some(&b"host/0/1-1"[..]));
        }
    }

    #[test]
    fn what_is_no_dead_letter_stays_as_it_is() {
        for headers in [&[][..], &marks("orders/3"), &marks("orders/3/1042")[1..]] {
            assert_eq!(revive(letter(headers)), letter(headers));
        }
    }
}
