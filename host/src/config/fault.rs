//! The serde error of configurations: keeps apart what serde would melt into one text, so that
//! the problem, the fix and the value (which may be a secret) can be told separately.
//!
//! Knows no files and no key paths; [`super::decode`] adds them.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

/// Why a value was refused.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A value that is not what the key takes.
    Wrong { given: Given, expected: String, fix: String },
    /// Something else than a table where one belongs; these are the keys it would have.
    NotTable { given: Given, keys: &'static [&'static str] },
    /// Something else than a list where one belongs.
    NotList { given: Given },
    /// A key that the table does not have.
    Unknown { known: &'static [&'static str] },
    /// A key that must be there.
    Missing { key: &'static str },
    /// A [`Refusal`].
    Refused { problem: String, fix: String },
}

/// A value as messages show it.
#[derive(Debug)]
pub(crate) struct Given {
    /// With its text, for keys that cannot hold secrets.
    pub(crate) shown: String,
    /// Its type alone.
    pub(crate) kind: &'static str,
}

/// A problem and its fix on their way through serde, which passes on nothing but one `Display`:
/// `{}` is the problem, `{:#}` the fix. [`Expected`]s of this crate keep to the same rule.
pub(crate) struct Refusal<'a> {
    pub(crate) problem: &'a str,
    pub(crate) fix: &'a str,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if f.alternate() { self.fix } else { self.problem })
    }
}

/// Longest text of a value shown in a message.
const SHOWN_CHARS: usize = 120;

impl Given {
    pub(crate) fn new(unexpected: &Unexpected<'_>) -> Self {
        let (shown, kind) = match unexpected {
            Unexpected::Str(text) if text.chars().count() > SHOWN_CHARS => {
                let start: String = text.chars().take(SHOWN_CHARS).collect();
                (format!("{start:?}…"), "the string given")
            }
            Unexpected::Str(text) => (format!("{text:?}"), "the string given"),
            Unexpected::Signed(n) => (n.to_string(), "the number given"),
            Unexpected::Unsigned(n) => (n.to_string(), "the number given"),
            Unexpected::Float(n) => (n.to_string(), "the number given"),
            Unexpected::Bool(b) => (b.to_string(), "the boolean given"),
            Unexpected::Seq => ("a list".to_owned(), "a list"),
            Unexpected::Map => ("a table".to_owned(), "a table"),
            Unexpected::Other(text) => ((*text).to_owned(), "the value given"),
            _ => ("the value given".to_owned(), "the value given"),
        };
        Self { shown, kind }
    }
}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused { problem: message.to_string(), fix: format!("{message:#}") }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Wrong {
            given: Given::new(&unexpected),
            expected: expected.to_string(),
            fix: format!("use {expected:#}"),
        }
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_field(_field: &str, known: &'static [&'static str]) -> Self {
        Self::Unknown { known }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Missing { key }
    }
}

impl fmt::Display for Fault {
    /// Without values: this form is for nobody's eyes but a debugger's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { given, expected, .. } => write!(f, "{} is not {expected}", given.kind),
            Self::NotTable { given, .. } => write!(f, "{} is not a table", given.kind),
            Self::NotList { given } => write!(f, "{} is not a list", given.kind),
            Self::Unknown { .. } => f.write_str("unknown key"),
            Self::Missing { key } => write!(f, "{key} is missing"),
            Self::Refused { problem, .. } => f.write_str(problem),
        }
    }
}

impl std::error::Error for Fault {}
