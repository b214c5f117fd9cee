//! Events as text for people and as JSON for programs. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::event::{Consumed, Header};
use crate::moment;

/// What the text of an event may do to the one who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// A terminal, which control characters would steer: they are escaped.
    Terminal,
    /// A file or a program: text is given as it is.
    Program,
}

/// One event as a block of lines; the value comes last. A null key has no line.
pub(super) fn text(consumed: &Consumed, audience: Audience) -> String {
    let event = &consumed.event;
    let mut block = format!("{}  {}\n", consumed.position(), timestamp(event.timestamp_ms));
    if let Some(key) = &event.key {
        block += &format!("  key     {}\n", bytes(key, audience, Lines::One));
    }
    for Header { name, value } in &event.headers {
        let name = safe(name, audience, Lines::One);
        let value =
            value.as_deref().map_or("(null)".to_owned(), |v| bytes(v, audience, Lines::One));
        block += &format!("  header  {name}: {value}\n");
    }
    let value = event.value.as_deref();
    let value = value.map_or("(tombstone)".to_owned(), |v| bytes(v, audience, Lines::Many));
    block += &format!("  value   {}\n", value.replace('\n', "\n          "));
    block
}

/// The beginning of a key or a value, on one line of a terminal.
pub(super) fn glimpse(value: Option<&[u8]>) -> String {
    /// More than any line shows.
    const CHARACTERS: usize = 500;
    let Some(value) = value else { return "(null)".to_owned() };
    let text = match std::str::from_utf8(value) {
        Ok("") => return "(empty)".to_owned(),
        Ok(text) => text.chars().take(CHARACTERS).collect(),
        Err(_) => format!("({} bytes)", value.len()),
    };
    safe(&text, Audience::Terminal, Lines::One).replace('\t', " ")
}

/// A timestamp as RFC 3339, in UTC.
fn timestamp(ms: Option<i64>) -> String {
    ms.map_or_else(|| "no timestamp".to_owned(), moment::rfc3339)
}

/// Whether a text may go over several lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

fn bytes(bytes: &[u8], audience: Audience, lines: Lines) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "(empty)".to_owned(),
        Ok(text) => safe(text, audience, lines),
        Err(_) => format!("(base64) {}", STANDARD.encode(bytes)),
    }
}

/// A text as it may be shown to somebody.
pub(super) fn safe(text: &str, audience: Audience, lines: Lines) -> String {
    if audience == Audience::Program {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => escaped.push(c),
            '\n' if lines == Lines::Many => escaped.push(c),
            c if c.is_control() || reorders(c) => escaped.extend(c.escape_default()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Characters that make a terminal show text in another order than it has.
fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One event as an object of JSON: `consume --output json`.
#[derive(Debug, Serialize)]
pub(super) struct JsonEvent<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<JsonBytes<'a>>,
    value: Option<JsonBytes<'a>>,
    headers: Vec<JsonHeader<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonHeader<'a> {
    name: &'a str,
    value: Option<JsonBytes<'a>>,
}

/// A string when the bytes are UTF-8, otherwise an object, so that the two cannot be confused.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum JsonBytes<'a> {
    Text(&'a str),
    Binary { base64: String },
}

impl<'a> JsonBytes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Binary { base64: STANDARD.encode(bytes) },
        }
    }
}

impl<'a> From<&'a Consumed> for JsonEvent<'a> {
    fn from(consumed: &'a Consumed) -> Self {
        let event = &consumed.event;
        let header = |h: &'a Header| JsonHeader {
            name: &h.name,
            value: h.value.as_deref().map(JsonBytes::new),
        };
        Self {
            topic: &event.topic,
            partition: consumed.partition,
            offset: consumed.offset,
            timestamp_ms: event.timestamp_ms,
            key: event.key.as_deref().map(JsonBytes::new),
            value: event.value.as_deref().map(JsonBytes::new),
            headers: event.headers.iter().map(header).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn consumed(key: Option<&[u8]>, value: Option<&[u8]>, headers: Vec<Header>) -> Consumed {
        let event = Event {
            topic: "orders".into(),
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers,
            timestamp_ms: Some(1_769_860_800_250),
        };
        Consumed { event, partition: 2, offset: 17 }
    }

    fn json(consumed: &Consumed) -> String {
        serde_json::to_string(&JsonEvent::from(consumed)).unwrap_or_default()
    }

    #[test]
    fn json_keeps_text_bytes_and_null_apart() {
        let headers = vec![
            Header::text("a", "1"),
            Header { name: "a".to_owned(), value: None },
            Header { name: "b".to_owned(), value: Some(vec![0xff]) },
        ];
        assert_eq!(
            json(&consumed(Some(b"\xff\x00"), Some("é\"\n".as_bytes()), headers)),
            r#"{"topic":"orders","partition":2,"offset":17,"timestamp_ms":1769860800250,"#
                .to_owned()
                + r#""key":{"base64":"/wA="},"value":"é\"\n","headers":[{"name":"a","value":"1"},"#
                + r#"{"name":"a","value":null},{"name":"b","value":{"base64":"/w=="}}]}"#
        );
        let empty = json(&consumed(None, Some(b""), vec![]));
        assert!(empty.ends_with(r#""key":null,"value":"","headers":[]}"#), "{empty}");
        assert!(json(&consumed(None, None, vec![])).contains(r#""value":null"#));
    }

    #[test]
    fn text_shows_place_time_key_headers_and_value() {
        let event = consumed(Some(b"k"), Some(b"{\n}"), vec![Header::text("trace", "1")]);
        assert_eq!(
            text(&event, Audience::Terminal),
            "orders/2/17  2026-01-31T12:00:00.250Z\n  key     k\n  header  trace: 1\n  \
             value   {\n          }\n"
        );
    }

    #[test]
    fn text_tells_tombstones_empty_values_and_binary_apart() {
        let value = |value| text(&consumed(None, value, vec![]), Audience::Terminal);
        assert!(value(None).ends_with("  value   (tombstone)\n"));
        assert!(value(Some(b"")).ends_with("  value   (empty)\n"));
        assert!(value(Some(b"\xff")).ends_with("  value   (base64) /w==\n"));
    }

    #[test]
    fn events_cannot_steer_a_terminal() {
        let headers = vec![Header::text("h\r", "\u{202e}x\n")];
        let event =
            consumed(Some(b"a\nb"), Some("\u{1b}]0;x\u{7}\u{9b}2J\t\n".as_bytes()), headers);
        let shown = text(&event, Audience::Terminal);
        let steering = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!shown.contains(steering), "{shown:?}");
        assert!(shown.contains(r"key     a\nb"), "{shown}");
        assert!(shown.contains(r"header  h\r: \u{202e}x\n"), "{shown}");
        assert!(shown.contains(r"\u{1b}]0;x\u{7}\u{9b}2J"), "{shown}");
        assert!(text(&event, Audience::Program).contains("\u{1b}]0;x"));
    }

    #[test]
    fn a_timestamp_beyond_the_calendar_is_shown_as_a_number() {
        assert_eq!(timestamp(Some(i64::MAX)), format!("@{}", i64::MAX));
        assert_eq!(timestamp(Some(-1)), "@-1");
        assert_eq!(timestamp(Some(253_402_300_799_999)), "9999-12-31T23:59:59.999Z");
        assert_eq!(timestamp(None), "no timestamp");
    }
}
