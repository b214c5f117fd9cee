//! Events as case files write them: JSON in the shape that `lockstep consume --output json`
//! prints, with more ways to write bytes. Read here; written by `shown`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::place::{Place, short};
use crate::config::ConfigError;

/// The fields of an event.
const FIELDS: &[&str] =
    &["topic", "partition", "offset", "timestamp_ms", "key", "value", "headers"];

type Read<T> = Result<T, ConfigError>;

/// An event as far as it is written down. `Some(None)` is a null.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) topic: Option<String>,
    pub(super) partition: Option<i32>,
    pub(super) offset: Option<i64>,
    pub(super) timestamp_ms: Option<Option<i64>>,
    pub(super) key: Option<Option<Content>>,
    pub(super) value: Option<Option<Content>>,
    pub(super) headers: Option<Headers>,
}

/// Bytes, or JSON whose form does not matter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    Json(Value),
}

/// The headers of an event.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) list: Vec<(String, Option<Content>)>,
    /// Written as a list, whose order counts, and not as an object.
    pub(super) ordered: bool,
}

impl Content {
    /// The bytes that a handler gets: JSON in its compact form.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Json(value) => value.to_string().into_bytes(),
        }
    }
}

/// Reads an event. Files that it names are looked for in `folder`.
pub(super) fn event(place: &Place<'_>, value: &Value, folder: &Path) -> Read<Noted> {
    if let Value::Object(members) = value
        && !members.is_empty()
        && !members.keys().any(|name| FIELDS.contains(&name.as_str()))
    {
        let fix = format!(
            "a payload stands below \"value\": {{\"value\": {{\"json\": {}}}}}",
            short(value)
        );
        return Err(place.wrong("is no event: none of its fields is one of an event", fix));
    }
    let members = place.object(value, "an event", FIELDS)?;
    let field = |name: &str| members.get(name).map(|value| (place.member(name), value));
    let mut noted = Noted::default();
    if let Some((place, value)) = field("topic") {
        noted.topic = Some(topic(&place, value)?);
    }
    if let Some((place, value)) = field("partition") {
        noted.partition = Some(number(&place, value)?);
    }
    if let Some((place, value)) = field("offset") {
        noted.offset = Some(number(&place, value)?);
    }
    if let Some((place, value)) = field("timestamp_ms") {
        noted.timestamp_ms = Some(match value {
            Value::Null => None,
            value => Some(number(&place, value)?),
        });
    }
    if let Some((place, value)) = field("key") {
        noted.key = Some(content(&place, value, folder)?);
    }
    if let Some((place, value)) = field("value") {
        noted.value = Some(content(&place, value, folder)?);
    }
    if let Some((place, value)) = field("headers") {
        noted.headers = Some(headers(&place, value, folder)?);
    }
    Ok(noted)
}

fn topic(place: &Place<'_>, value: &Value) -> Read<String> {
    let refuse = |problem: String| place.wrong(problem, "write for example \"orders\"");
    let name = value.as_str().ok_or_else(|| refuse(format!("{} is not a topic", short(value))))?;
    crate::topic::check_name(name).map_err(refuse)?;
    Ok(name.to_owned())
}

/// A number from 0.
fn number<T: TryFrom<u64>>(place: &Place<'_>, value: &Value) -> Read<T> {
    value.as_u64().and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let problem = format!("{} is not a whole number from 0 that fits", short(value));
        place.wrong(problem, "write for example 0")
    })
}

fn headers(place: &Place<'_>, value: &Value, folder: &Path) -> Read<Headers> {
    match value {
        Value::Object(members) => {
            let read = |(name, value): (&String, &Value)| {
                Ok((name.clone(), content(&place.member(name), value, folder)?))
            };
            let list = members.iter().map(read).collect::<Read<_>>()?;
            Ok(Headers { list, ordered: false })
        }
        Value::Array(elements) => {
            let read =
                |(index, value): (usize, &Value)| header(&place.element(index), value, folder);
            let list = elements.iter().enumerate().map(read).collect::<Read<_>>()?;
            Ok(Headers { list, ordered: true })
        }
        other => Err(place.wrong(
            format!("{} is not a list of headers", short(other)),
            "write [{\"name\": \"trace\", \"value\": \"a1\"}], or {\"trace\": \"a1\"} when no \
             name repeats",
        )),
    }
}

fn header(place: &Place<'_>, value: &Value, folder: &Path) -> Read<(String, Option<Content>)> {
    let members = place.object(value, "a header", &["name", "value"])?;
    let Some(Value::String(name)) = members.get("name") else {
        let fix = "write {\"name\": \"trace\", \"value\": \"a1\"}";
        return Err(place.wrong("is a header without a name in quotes", fix));
    };
    let value = members.get("value").unwrap_or(&Value::Null);
    Ok((name.clone(), content(&place.member("value"), value, folder)?))
}

/// A key, a value or the value of a header; `None` for null.
fn content(place: &Place<'_>, value: &Value, folder: &Path) -> Read<Option<Content>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Content::Bytes(text.clone().into_bytes()))),
        Value::Object(members) => match single(members) {
            Some(("json", json)) => {
                exact(&place.member("json"), json)?;
                Ok(Some(Content::Json(json.clone())))
            }
            Some(("base64", Value::String(text))) => decode(&place.member("base64"), text),
            Some(("file", Value::String(name))) => load(&place.member("file"), name, folder),
            Some((tag @ ("base64" | "file"), other)) => {
                let problem = format!("{} is not a string", short(other));
                Err(place.member(tag).wrong(problem, format!("write {{{tag:?}: \"…\"}}")))
            }
            _ => Err(untagged(place, value)),
        },
        other => Err(untagged(place, other)),
    }
}

fn single(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = members.iter();
    let first = members.next().filter(|_| members.next().is_none())?;
    Some((first.0, first.1))
}

fn untagged(place: &Place<'_>, value: &Value) -> ConfigError {
    let shown = short(value);
    place.wrong(
        format!("{shown} could mean several things"),
        format!(
            "write {{\"json\": {shown}}} for JSON, a string for text, null for none, \
             {{\"base64\": \"…\"}} for bytes or {{\"file\": \"name\"}} for a file of the case"
        ),
    )
}

fn decode(place: &Place<'_>, text: &str) -> Read<Option<Content>> {
    let fix = "write standard base64 with padding, for example \"AAE=\"";
    let decoded = STANDARD.decode(text);
    decoded
        .map(|bytes| Some(Content::Bytes(bytes)))
        .map_err(|error| place.wrong(format!("is not base64: {error}"), fix))
}

fn load(place: &Place<'_>, name: &str, folder: &Path) -> Read<Option<Content>> {
    let path = folder.join(name);
    std::fs::read(&path).map(|bytes| Some(Content::Bytes(bytes))).map_err(|error| {
        let fix = "name a file that lies in the folder of the case";
        place.wrong(format!("{} cannot be read: {error}", path.display()), fix)
    })
}

/// Refuses numbers that would not reach the handler as they are written.
fn exact(place: &Place<'_>, json: &Value) -> Read<()> {
    /// Beyond it floating point has gaps between whole numbers.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match json {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().is_some_and(|n| n.abs() >= EXACT);
            if rounded {
                let fix = "write the whole text as a string instead of {\"json\": …}";
                return Err(place.wrong(format!("{number} may not be exact"), fix));
            }
            Ok(())
        }
        Value::Array(elements) => {
            let mut elements = elements.iter().enumerate();
            elements.try_for_each(|(index, value)| exact(&place.element(index), value))
        }
        Value::Object(members) => {
            members.iter().try_for_each(|(name, value)| exact(&place.member(name), value))
        }
        _ => Ok(()),
    }
}
