//! Names, paths, addresses and texts, checked while they are read.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::checked::{Fallback, Rule};
use crate::topic::{self, RESERVED_PREFIX};

/// The name of a topic that belongs to users, not to Lockstep itself.
pub(crate) struct TopicName;
/// The name of a handler.
pub(crate) struct HandlerName;
/// The name of a consumer group.
pub(crate) struct GroupName;
/// A part of transactional ids.
pub(crate) struct Identifier;
/// The path of a file or folder.
pub(crate) struct FilePath;
/// A shell command.
pub(crate) struct Command;
/// Where to listen; the default is this port of 127.0.0.1.
pub(crate) struct Address<const PORT: u16>;
/// A string of any kind.
pub(crate) struct Text;
/// A value of a topic setting: a string, a number or a boolean, kept as text.
pub(crate) struct Setting;

/// Longest part of a transactional id.
const MAX_IDENTIFIER: usize = 64;
/// Longest name of a handler: that of a DNS label.
const MAX_HANDLER_NAME: usize = 63;
/// Longest name of a group: that of a topic.
const MAX_GROUP_NAME: usize = 249;

impl Rule for TopicName {
    type Value = Arc<str>;

    fn what() -> String {
        "a topic name".to_owned()
    }

    fn example() -> String {
        "\"orders\"".to_owned()
    }

    fn text(text: &str) -> Result<Arc<str>, String> {
        topic::check_name(text)?;
        if text.starts_with(RESERVED_PREFIX) {
            return Err(format!("names that begin with {RESERVED_PREFIX:?} belong to Lockstep"));
        }
        Ok(text.into())
    }
}

impl Rule for HandlerName {
    type Value = String;

    fn what() -> String {
        format!(
            "a handler name (1 to {MAX_HANDLER_NAME} of a-z, 0-9 and \"-\", with a letter or \
             digit at both ends)"
        )
    }

    fn example() -> String {
        "\"weather\"".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=MAX_HANDLER_NAME).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits { Ok(text.to_owned()) } else { Err(String::new()) }
    }
}

/// Whether a handler may have this name.
pub(crate) fn is_handler_name(text: &str) -> bool {
    HandlerName::text(text).is_ok()
}

/// What the names of handlers are like, to follow "is not".
pub(crate) fn handler_name_is() -> String {
    HandlerName::what()
}

impl Rule for GroupName {
    type Value = String;

    fn what() -> String {
        format!("a group name (1 to {MAX_GROUP_NAME} characters, none of them a control character)")
    }

    fn example() -> String {
        "\"weather-group\"".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        let fits = (1..=MAX_GROUP_NAME).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if fits { Ok(text.to_owned()) } else { Err(String::new()) }
    }
}

impl Rule for Identifier {
    type Value = String;

    fn what() -> String {
        format!("an identifier (1 to {MAX_IDENTIFIER} letters, digits, \".\", \"_\" and \"-\")")
    }

    fn example() -> String {
        "\"host-1\"".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        let fits = (1..=MAX_IDENTIFIER).contains(&text.len()) && text.chars().all(is_identifier);
        if fits { Ok(text.to_owned()) } else { Err(String::new()) }
    }
}

/// The nearest text that is an identifier: other characters become `-`.
pub(crate) fn identifier_from(text: &str) -> String {
    let replaced = text.chars().map(|c| if is_identifier(c) { c } else { '-' });
    let identifier: String = replaced.take(MAX_IDENTIFIER).collect();
    if identifier.is_empty() { "host".to_owned() } else { identifier }
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl Rule for FilePath {
    type Value = PathBuf;

    fn what() -> String {
        "a path".to_owned()
    }

    fn example() -> String {
        "\"path/to/it\"".to_owned()
    }

    fn text(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(String::new());
        }
        Ok(PathBuf::from(text))
    }
}

impl Rule for Command {
    type Value = String;

    fn what() -> String {
        "a shell command".to_owned()
    }

    fn example() -> String {
        "\"cargo build --release --target wasm32-wasip2\"".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        if text.trim().is_empty() || text.contains('\0') {
            return Err(String::new());
        }
        Ok(text.to_owned())
    }
}

impl<const PORT: u16> Rule for Address<PORT> {
    type Value = SocketAddr;

    fn what() -> String {
        "a socket address".to_owned()
    }

    fn example() -> String {
        format!("\"{}\"", Self::fallback())
    }

    fn text(text: &str) -> Result<SocketAddr, String> {
        text.parse().map_err(|_| String::new())
    }
}

impl<const PORT: u16> Fallback for Address<PORT> {
    fn fallback() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
    }
}

impl Rule for Text {
    type Value = String;

    fn what() -> String {
        "a string".to_owned()
    }

    fn example() -> String {
        "\"42\", with the quotes".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

impl Rule for Setting {
    type Value = String;

    fn what() -> String {
        "a string, number or boolean".to_owned()
    }

    fn example() -> String {
        "\"604800000\", and put a name with dots in quotes".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn integer(number: i64) -> Result<String, String> {
        Ok(number.to_string())
    }

    fn float(number: f64) -> Result<String, String> {
        Ok(number.to_string())
    }

    fn boolean(value: bool) -> Result<String, String> {
        Ok(value.to_string())
    }
}
