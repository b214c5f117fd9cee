//! One record of the logs. In the topic it is a `LogRecord` of OpenTelemetry's log data model in
//! the JSON encoding of OTLP (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>),
//! with the version of all control records beside it, under the name of the handler as its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deployment::record::{self, RecordError};
use crate::event::{Consumed, Event};
use crate::handler_log::{Entry, Severity};
use crate::moment;

const HANDLER: &str = "lockstep.handler";
const REVISION: &str = "lockstep.revision";
const HOST: &str = "lockstep.host";

/// What was said about a handler, and on which host.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// The id of the host.
    pub host: String,
    /// What was said.
    pub entry: Entry,
}

/// A `LogRecord` of OTLP.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    /// 64-bit numbers are texts there.
    time_unix_nano: String,
    severity_number: u8,
    severity_text: String,
    body: AnyValue,
    attributes: Vec<KeyValue>,
}

#[derive(Serialize, Deserialize)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Serialize, Deserialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    String(String),
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
}

/// A record as programs get it from commands and over HTTP: flat, one object a line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    severity: &'a str,
    host: &'a str,
    handler: &'a str,
    revision: Option<u64>,
    body: &'a str,
    attributes: &'a BTreeMap<String, Value>,
}

impl LogRecord {
    /// The event that tells it, in this topic.
    pub fn event(&self, topic: &Arc<str>) -> anyhow::Result<Event> {
        Ok(Event {
            topic: Arc::clone(topic),
            key: Some(self.entry.handler.as_bytes().to_vec()),
            value: Some(record::encode(&self.wire())?),
            headers: Vec::new(),
            timestamp_ms: Some(self.time_ms()),
        })
    }

    /// Reads a record; `None` for one without a value.
    pub fn of(event: &Consumed) -> Result<Option<Self>, RecordError> {
        let key = String::from_utf8_lossy(event.event.key.as_deref().unwrap_or_default());
        let Some(wire) = record::value::<Wire>(event, &key)? else { return Ok(None) };
        Self::of_wire(wire).map(Some).map_err(|reason| RecordError::Damaged {
            place: event.position().to_string(),
            key: key.into_owned(),
            reason,
        })
    }

    /// When it was said, in milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> i64 {
        i64::try_from(self.entry.time_unix_nano / 1_000_000).unwrap_or(i64::MAX)
    }

    /// The handler and, where it is known, its revision: `weather@7`.
    pub fn label(&self) -> String {
        match self.entry.revision {
            Some(revision) => format!("{}@{revision}", self.entry.handler),
            None => self.entry.handler.clone(),
        }
    }

    fn wire(&self) -> Wire {
        let entry = &self.entry;
        let text = |text: &str| AnyValue::String(text.to_owned());
        let own = [(HANDLER, Some(text(&entry.handler))), (HOST, Some(text(&self.host)))];
        let revision = entry.revision.map(|revision| AnyValue::Int(revision.to_string()));
        let own = own.into_iter().chain([(REVISION, revision)]);
        let own = own.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let more = entry.attributes.iter().map(|(key, value)| (key.clone(), any(value)));
        Wire {
            time_unix_nano: entry.time_unix_nano.to_string(),
            severity_number: entry.severity.number(),
            severity_text: entry.severity.text().to_owned(),
            body: text(&entry.body),
            attributes: own.chain(more).map(|(key, value)| KeyValue { key, value }).collect(),
        }
    }

    /// The error is the reason why it is none.
    fn of_wire(wire: Wire) -> Result<Self, String> {
        let mut attributes = BTreeMap::new();
        for KeyValue { key, value } in wire.attributes {
            attributes.insert(key, plain(value)?);
        }
        let mut text = |key: &str| match attributes.remove(key) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(format!("no text {key:?} is among its attributes")),
        };
        let (handler, host) = (text(HANDLER)?, text(HOST)?);
        let revision = attributes.remove(REVISION).as_ref().and_then(Value::as_u64);
        let time = wire.time_unix_nano.parse();
        let entry = Entry {
            time_unix_nano: time.map_err(|error| format!("its timeUnixNano: {error}"))?,
            severity: Severity::of_number(wire.severity_number),
            handler,
            revision,
            body: match plain(wire.body)? {
                Value::String(text) => text,
                other => other.to_string(),
            },
            attributes,
        };
        Ok(Self { host, entry })
    }
}

impl Serialize for LogRecord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry { severity, handler, revision, body, attributes, .. } = &self.entry;
        let line = Line {
            time: moment::rfc3339(self.time_ms()),
            severity: severity.text(),
            host: &self.host,
            handler,
            revision: *revision,
            body,
            attributes,
        };
        line.serialize(serializer)
    }
}

fn any(value: &Value) -> AnyValue {
    match value {
        Value::Bool(value) => AnyValue::Bool(*value),
        Value::String(text) => AnyValue::String(text.clone()),
        Value::Number(number) if !number.is_f64() => AnyValue::Int(number.to_string()),
        other => AnyValue::String(other.to_string()),
    }
}

fn plain(value: AnyValue) -> Result<Value, String> {
    Ok(match value {
        AnyValue::String(text) => text.into(),
        AnyValue::Bool(value) => value.into(),
        AnyValue::Int(text) => match (text.parse::<u64>(), text.parse::<i64>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            (Err(error), _) => return Err(format!("the whole number {text:?}: {error}")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LogRecord {
        let mut entry = Entry::now("weather", Some(7), Severity::Warn, "cold\u{0}\"");
        entry.time_unix_nano = 1_769_860_800_250_000_001;
        entry.attributes.insert("log.iostream".to_owned(), "stderr".into());
        entry.attributes.insert("lockstep.dropped".to_owned(), 3.into());
        entry.attributes.insert("lockstep.left".to_owned(), (-3).into());
        entry.attributes.insert("lockstep.halted".to_owned(), true.into());
        LogRecord { host: "host-1".to_owned(), entry }
    }

    fn consumed(value: Option<Vec<u8>>) -> Consumed {
        let event = record().event(&"_lockstep.logs".into()).unwrap();
        Consumed { event: Event { value, ..event }, partition: 0, offset: 9 }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let event = record().event(&"_lockstep.logs".into()).unwrap();
        assert_eq!(event.key.as_deref(), Some(&b"weather"[..]));
        assert_eq!(event.timestamp_ms, Some(1_769_860_800_250));
        let read = LogRecord::of(&consumed(event.value)).unwrap();
        assert_eq!(read, Some(record()));
        assert_eq!(LogRecord::of(&consumed(None)).unwrap(), None);
    }

    #[test]
    fn in_the_topic_it_is_a_log_record_of_otlp() {
        let event = record().event(&"_lockstep.logs".into()).unwrap();
        let json: Value = serde_json::from_slice(&event.value.unwrap()).unwrap();
        assert_eq!(json["v"], 1);
        assert_eq!(json["timeUnixNano"], "1769860800250000001");
        assert_eq!((&json["severityNumber"], &json["severityText"]), (&13.into(), &"WARN".into()));
        assert_eq!(json["body"]["stringValue"], "cold\u{0}\"");
        let revision = serde_json::json!({"key": REVISION, "value": {"intValue": "7"}});
        assert!(json["attributes"].as_array().unwrap().contains(&revision), "{json}");
    }

    #[test]
    fn programs_get_one_flat_object() {
        let json = serde_json::to_value(record()).unwrap();
        assert_eq!(json["time"], "2026-01-31T12:00:00.250Z");
        assert_eq!((&json["handler"], &json["revision"]), (&"weather".into(), &7.into()));
        assert_eq!((&json["host"], &json["severity"]), (&"host-1".into(), &"WARN".into()));
        assert_eq!(json["attributes"]["log.iostream"], "stderr");
    }

    #[test]
    fn what_is_damaged_or_newer_is_named_with_its_place() {
        let whole = record().event(&"_lockstep.logs".into()).unwrap().value.unwrap();
        let whole = String::from_utf8(whole).unwrap();
        for (value, word) in [
            ("{\"v\":1".to_owned(), "damaged"),
            (whole.replace("\"v\":1", "\"v\":2"), "version 2"),
            (whole.replace(HOST, "elsewhere"), HOST),
            (whole.replace("\"1769860800250000001\"", "\"soon\""), "timeUnixNano"),
            (whole.replace("\"7\"", "\"seven\""), "seven"),
        ] {
            let error = LogRecord::of(&consumed(Some(value.into_bytes()))).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("_lockstep.logs/0/9"), "{error}");
        }
    }
}
