//! Events as JSON for people: in the files that `--bless` writes, and in differences. Bytes are
//! shown in the form that reads best, and when two are compared, in one form on both sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::notation::Content;
use crate::event::{Consumed, Header};

/// Bytes as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum ShownBytes {
    Null(()),
    Text(String),
    Json { json: Value },
    Base64 { base64: String },
}

/// A header as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ShownHeader {
    pub(super) name: String,
    pub(super) value: ShownBytes,
}

/// An event as JSON, with the fields that matter where it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp_ms: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<ShownBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<ShownBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) headers: Option<Vec<ShownHeader>>,
}

impl ShownBytes {
    /// In the form that reads best and loses nothing.
    pub(super) fn of(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Null(()) };
        match document(bytes) {
            Some(json) => Self::Json { json },
            None => Self::raw(Some(bytes)),
        }
    }

    /// The very bytes: text, or else base64.
    pub(super) fn raw(bytes: Option<&[u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Null(()) };
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 { base64: STANDARD.encode(bytes) },
        }
    }

    /// As the author wrote it.
    pub(super) fn noted(content: Option<&Content>) -> Self {
        match content {
            Some(Content::Json(json)) => Self::Json { json: json.clone() },
            Some(Content::Bytes(bytes)) => Self::of(Some(bytes)),
            None => Self::Null(()),
        }
    }

    /// What was expected and what came instead, so that a difference can be seen.
    pub(super) fn pair(expected: Option<&Content>, actual: Option<&[u8]>) -> (Self, Self) {
        let as_json = || actual.and_then(|bytes| serde_json::from_slice(bytes).ok());
        match expected {
            Some(Content::Json(json)) => {
                let actual = as_json().map_or_else(|| Self::of(actual), |json| Self::Json { json });
                (Self::Json { json: json.clone() }, actual)
            }
            Some(Content::Bytes(bytes)) => {
                let (expected, shown) = (Self::of(Some(bytes)), Self::of(actual));
                let same_form = std::mem::discriminant(&expected) == std::mem::discriminant(&shown);
                if same_form && (expected != shown || Some(&**bytes) == actual) {
                    (expected, shown)
                } else {
                    // JSON that differs in its form only, or against something else.
                    (Self::raw(Some(bytes)), Self::raw(actual))
                }
            }
            None => (Self::Null(()), Self::of(actual)),
        }
    }
}

/// The bytes as a JSON object or list, when writing it as JSON loses nothing but the order of its
/// keys and its blanks.
fn document(bytes: &[u8]) -> Option<Value> {
    let json: Value = serde_json::from_slice(bytes).ok()?;
    let container = json.is_object() || json.is_array();
    (container && census(bytes) == census(json.to_string().as_bytes())).then_some(json)
}

/// How often each byte occurs, without blanks. Numbers that were rounded, characters that were
/// escaped and keys that were dropped change it; another order of keys does not.
fn census(bytes: &[u8]) -> [usize; 256] {
    let mut counts = [0; 256];
    let visible = bytes.iter().filter(|byte| !b" \t\r\n".contains(byte));
    visible.for_each(|byte| counts[usize::from(*byte)] += 1);
    counts
}

impl ShownHeader {
    /// All of these.
    pub(super) fn list(headers: &[Header]) -> Vec<Self> {
        let shown = |header: &Header| Self {
            name: header.name.clone(),
            value: ShownBytes::raw(header.value.as_deref()),
        };
        headers.iter().map(shown).collect()
    }
}

impl Shown {
    /// An input, complete, as `in.json` could hold it.
    pub(super) fn input(input: &Consumed) -> Self {
        let event = &input.event;
        Self {
            topic: Some(event.topic.to_string()),
            partition: Some(input.partition),
            offset: Some(input.offset),
            timestamp_ms: Some(event.timestamp_ms),
            key: Some(ShownBytes::of(event.key.as_deref())),
            value: Some(ShownBytes::of(event.value.as_deref())),
            headers: Some(ShownHeader::list(&event.headers)),
        }
    }
}

/// The text of an `in.json` with this one event.
pub(super) fn input_json(input: &Consumed) -> String {
    pretty(&Shown::input(input)) + "\n"
}

/// JSON over several lines.
pub(super) fn pretty(value: &impl Serialize) -> String {
    // Nothing that is shown can fail to become JSON: all keys are strings.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(bytes: &[u8]) -> Value {
        serde_json::to_value(ShownBytes::of(Some(bytes))).unwrap()
    }

    #[test]
    fn bytes_are_shown_in_the_form_that_reads_best() {
        assert_eq!(
            shown(br#"{"b": [1, 2], "a": "x y"}"#),
            json!({"json": {"a": "x y", "b": [1, 2]}})
        );
        assert_eq!(shown(b"plain"), json!("plain"));
        assert_eq!(shown(b""), json!(""));
        assert_eq!(shown(b"42"), json!("42"));
        assert_eq!(shown(b"\xff"), json!({"base64": "/w=="}));
        assert_eq!(serde_json::to_value(ShownBytes::of(None)).unwrap(), json!(null));
    }

    #[test]
    fn json_that_would_lose_something_stays_text() {
        for text in
            [r#"[12345678901234567890123]"#, r#"[1.10]"#, r#"{"a":1,"a":2}"#, r#"["\u0041"]"#]
        {
            assert_eq!(shown(text.as_bytes()), json!(text));
        }
    }

    #[test]
    fn a_difference_of_form_alone_can_be_seen() {
        let (expected, actual) =
            ShownBytes::pair(Some(&Content::Bytes(b"[1, 2]".to_vec())), Some(b"[1,2]"));
        assert_eq!(expected, ShownBytes::Text("[1, 2]".to_owned()));
        assert_eq!(actual, ShownBytes::Text("[1,2]".to_owned()));
        let (expected, actual) =
            ShownBytes::pair(Some(&Content::Bytes(b"[1]".to_vec())), Some(b"[2]"));
        assert_eq!(expected, ShownBytes::Json { json: json!([1]) });
        assert_eq!(actual, ShownBytes::Json { json: json!([2]) });
    }
}
