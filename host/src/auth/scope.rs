//! What a token permits. A closed set: what is not named here cannot be granted.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::topic::{self, RESERVED_PREFIX};

const INGEST: &str = "ingest:";
const ALL_TOPICS: &str = "*";
const HANDLERS_READ: &str = "handlers:read";
const HANDLERS_WRITE: &str = "handlers:write";
const ADMIN: &str = "admin";

/// One thing that a token may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `ingest:<topic>`: post events to this topic.
    Ingest(Arc<str>),
    /// `ingest:*`: post events to every topic that is open to ingest.
    IngestAll,
    /// `handlers:read`: see how the handlers are.
    HandlersRead,
    /// `handlers:write`: change what runs, and see it.
    HandlersWrite,
    /// `admin`: everything.
    Admin,
}

/// A text is no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no scope{reason}; use {}", Scope::ALL)]
pub struct ScopeError {
    text: String,
    /// Empty, or what is wrong with the topic.
    reason: String,
}

impl Scope {
    /// All the forms that a scope has, for people to read.
    pub const ALL: &str = "ingest:<topic>, ingest:*, handlers:read, handlers:write or admin";

    /// Whether whoever has this scope has that one too.
    pub fn includes(&self, other: &Self) -> bool {
        match self {
            Self::Admin => true,
            Self::IngestAll => matches!(other, Self::IngestAll | Self::Ingest(_)),
            Self::HandlersWrite => matches!(other, Self::HandlersWrite | Self::HandlersRead),
            Self::Ingest(_) | Self::HandlersRead => self == other,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingest(topic) => write!(f, "{INGEST}{topic}"),
            Self::IngestAll => write!(f, "{INGEST}{ALL_TOPICS}"),
            Self::HandlersRead => f.write_str(HANDLERS_READ),
            Self::HandlersWrite => f.write_str(HANDLERS_WRITE),
            Self::Admin => f.write_str(ADMIN),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let wrong = |reason| ScopeError { text: text.to_owned(), reason };
        match text {
            HANDLERS_READ => return Ok(Self::HandlersRead),
            HANDLERS_WRITE => return Ok(Self::HandlersWrite),
            ADMIN => return Ok(Self::Admin),
            _ => {}
        }
        match text.strip_prefix(INGEST) {
            Some(ALL_TOPICS) => Ok(Self::IngestAll),
            Some(topic) if topic.starts_with(RESERVED_PREFIX) => {
                let reason =
                    format!(": topics that begin with {RESERVED_PREFIX:?} belong to Lockstep");
                Err(wrong(reason))
            }
            Some(topic) => match topic::check_name(topic) {
                Ok(()) => Ok(Self::Ingest(topic.into())),
                Err(reason) => Err(wrong(format!(": {reason}"))),
            },
            None => Err(wrong(String::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for text in ["ingest:orders", "ingest:*", "handlers:read", "handlers:write", "admin"] {
            assert_eq!(scope(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scope_is_refused_with_those_there_are() {
        for text in
            ["", "ingest", "ingest:", "ingest:a/b", "ingest:_lockstep.hosts", "handlers", "Admin"]
        {
            let error = text.parse::<Scope>().expect_err(text).to_string();
            assert!(error.contains("handlers:write") && error.contains(text), "{error}");
        }
    }

    #[test]
    fn wide_scopes_include_narrow_ones_and_nothing_else() {
        let all = ["ingest:a", "ingest:b", "ingest:*", "handlers:read", "handlers:write", "admin"];
        for (wide, included) in [
            ("ingest:a", &["ingest:a"] as &[_]),
            ("ingest:*", &["ingest:a", "ingest:b", "ingest:*"]),
            ("handlers:read", &["handlers:read"]),
            ("handlers:write", &["handlers:read", "handlers:write"]),
            ("admin", &all),
        ] {
            for narrow in all {
                let included = included.contains(&narrow);
                assert_eq!(scope(wide).includes(&scope(narrow)), included, "{wide}, {narrow}");
            }
        }
    }
}
