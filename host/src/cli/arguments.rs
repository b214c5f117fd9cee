//! Values of arguments: from text to what they mean, or what is wrong with them.

use crate::event::{Header, now_ms};
use crate::log::ReadFrom;
use crate::{moment, topic};

/// `KEY=VALUE`; the value may hold further `=` and may be empty.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// `NAME=VALUE`, an event header.
pub(super) fn header(text: &str) -> Result<Header, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Header::text(name, value)),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A topic that may be read.
pub(super) fn topic_name(text: &str) -> Result<String, String> {
    topic::check_name(text).map(|()| text.to_owned())
}

/// A topic that may be created and written: not one of Lockstep's own.
pub(super) fn own_topic_name(text: &str) -> Result<String, String> {
    if text.starts_with(topic::RESERVED_PREFIX) {
        return Err(format!(
            "topics that begin with {:?} belong to Lockstep itself; choose another name",
            topic::RESERVED_PREFIX
        ));
    }
    topic_name(text)
}

/// `earliest`, `latest`, an offset, or a point in time after `@` or `timestamp:`.
pub(super) fn read_from(text: &str) -> Result<ReadFrom, String> {
    text.parse()
}

/// An age such as `10m`, or a point in time, as milliseconds since the epoch.
pub(super) fn since(text: &str) -> Result<i64, String> {
    moment::since(text, now_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_split_at_the_first_equals_sign() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(key_value("security.protocol=ssl"), pair("security.protocol", "ssl"));
        assert_eq!(key_value("sasl.password=a=b"), pair("sasl.password", "a=b"));
        assert_eq!(key_value("client.rack="), pair("client.rack", ""));
        assert!(key_value("=x").is_err());
        assert!(key_value("x").is_err());
    }

    #[test]
    fn a_header_keeps_its_value_as_it_is() {
        assert_eq!(header("trace=a=b "), Ok(Header::text("trace", "a=b ")));
        assert_eq!(header("empty="), Ok(Header::text("empty", "")));
        assert!(header("=x").is_err());
        assert!(header("x").is_err());
    }

    #[test]
    fn the_topics_of_lockstep_itself_may_be_read_and_not_written() {
        assert!(topic_name("_lockstep.deployments").is_ok());
        assert!(own_topic_name("_lockstep.deployments").is_err());
        assert!(own_topic_name("orders").is_ok());
        assert!(own_topic_name("or ders").is_err());
    }
}
