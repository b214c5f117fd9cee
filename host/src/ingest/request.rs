//! What a request says about its event besides the value: key and headers.
//!
//! Strict: what is not understood is refused and named, so that a misspelt parameter cannot
//! change where an event goes. Pure, no I/O.

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode;

use crate::event::Header;
use crate::problem::{Kind, Problem};

/// The request header that holds the key.
const KEY: &str = "lockstep-key";
/// Request headers with this prefix become headers of the event.
const PREFIX: &str = "lockstep-header-";
/// Request headers with this prefix are Lockstep's.
const OURS: &str = "lockstep-";
/// The one query parameter.
const KEY_PARAMETER: &str = "key";

/// The key, from the query or from the header; `None` when neither is there.
pub(super) fn key(parts: &Parts) -> Result<Option<Vec<u8>>, Problem> {
    let in_query = query_key(parts.uri.query().unwrap_or_default())?;
    let mut in_headers = parts.headers.get_all(KEY).iter();
    let in_header = in_headers.next().map(|value| value.as_bytes().to_vec());
    if in_headers.next().is_some() {
        let detail = format!("header {KEY:?} is there more than once; an event has one key");
        return Err(Problem::new(Kind::BadHeader, detail));
    }
    match (in_query, in_header) {
        (Some(_), Some(_)) => {
            let detail = format!(
                "the key is in the query (\"{KEY_PARAMETER}\") and in the header {KEY:?}; \
                 give it once"
            );
            Err(Problem::new(Kind::BadRequest, detail))
        }
        (in_query, in_header) => Ok(in_query.or(in_header)),
    }
}

/// The headers of the event: those with the prefix, and `content-type`, values byte for byte.
///
/// In the order received, with one exception that HTTP allows (RFC 9110, 5.3): values of the
/// same name stand together, at the place of the first.
pub(super) fn headers(received: &HeaderMap) -> Result<Vec<Header>, Problem> {
    let mut headers = Vec::new();
    for (name, value) in received {
        if let Some(name) = event_header(name)? {
            let value = Some(value.as_bytes().to_vec());
            headers.push(Header { name: name.to_owned(), value });
        }
    }
    Ok(headers)
}

/// The name of the event's header that this request header becomes, if any.
fn event_header(name: &HeaderName) -> Result<Option<&str>, Problem> {
    let text = name.as_str();
    match text.strip_prefix(PREFIX) {
        Some("") => {
            let detail = format!("header {PREFIX:?} names no event header; append its name");
            Err(Problem::new(Kind::BadHeader, detail))
        }
        Some(rest) => Ok(Some(rest)),
        None if name == header::CONTENT_TYPE => Ok(Some(text)),
        None if text == KEY || !text.starts_with(OURS) => Ok(None),
        None => {
            let detail = format!(
                "unknown header {text:?}; valid are {KEY:?} and {PREFIX:?} with a name appended"
            );
            Err(Problem::new(Kind::BadHeader, detail))
        }
    }
}

/// Reads the query as forms are written: percent-escapes, and `+` for a space. The key's bytes
/// need not be text.
fn query_key(query: &str) -> Result<Option<Vec<u8>>, Problem> {
    let mut key = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name)?;
        if name != KEY_PARAMETER.as_bytes() {
            let name = String::from_utf8_lossy(&name);
            let detail =
                format!("unknown query parameter {name:?}; the one there is: {KEY_PARAMETER:?}");
            return Err(Problem::new(Kind::BadRequest, detail).with("parameter", name));
        }
        if key.replace(decode(value)?).is_some() {
            let detail =
                format!("query parameter {KEY_PARAMETER:?} is there twice; an event has one key");
            return Err(Problem::new(Kind::BadRequest, detail));
        }
    }
    Ok(key)
}

fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = &rest[at + 1..];
        if !rest.get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            let detail = "the query has a \"%\" without two hexadecimal digits after it; write \
                          \"%25\" for the character itself";
            return Err(Problem::new(Kind::BadRequest, detail));
        }
    }
    let spaced: Cow<'_, str> =
        if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    Ok(percent_decode(spaced.as_bytes()).collect())
}
