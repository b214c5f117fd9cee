//! One thing that was said about a handler. Plain data.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A longer text is cut. Far below what a topic takes in one event by default.
const LONGEST: usize = 64 << 10;

/// One thing that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When, in nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// How grave it is.
    pub severity: Severity,
    /// The name of the handler.
    pub handler: String,
    /// The revision that it is about, where whoever said it knew.
    pub revision: Option<u64>,
    /// What was said. The host's own words may have several lines, a guest's have one.
    pub body: String,
    /// What belongs to it, by names such as `log.iostream`: texts, whole numbers and booleans.
    pub attributes: BTreeMap<String, Value>,
}

/// How grave something is: the middle of OpenTelemetry's severities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Everyday life.
    Info,
    /// Something went wrong, and it goes on.
    Warn,
    /// A person is needed.
    Error,
}

impl Entry {
    /// Something that is said now.
    pub fn now(handler: &str, revision: Option<u64>, severity: Severity, body: &str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            time_unix_nano: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            severity,
            handler: handler.to_owned(),
            revision,
            body: shortened(body),
            attributes: BTreeMap::new(),
        }
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let of = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(8, str::len);
        self.handler.len() + self.body.len() + self.attributes.iter().map(of).sum::<usize>()
    }
}

impl Severity {
    /// OpenTelemetry's `SeverityNumber`.
    pub fn number(self) -> u8 {
        match self {
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
        }
    }

    /// The severity whose range has this number; what is less than a warning is everyday life.
    pub fn of_number(number: u8) -> Self {
        match number {
            0..13 => Self::Info,
            13..17 => Self::Warn,
            17.. => Self::Error,
        }
    }

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// As much of a text as one entry may hold.
pub(super) fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let kept = &text[..text.floor_char_boundary(LONGEST)];
    format!("{kept}… ({} bytes cut)", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_found_again_by_its_number() {
        for severity in [Severity::Info, Severity::Warn, Severity::Error] {
            assert_eq!(Severity::of_number(severity.number()), severity);
        }
    }

    #[test]
    fn a_text_beyond_measure_is_cut_between_two_characters_and_says_so() {
        let entry = Entry::now("weather", None, Severity::Info, &"é".repeat(LONGEST));
        assert!(entry.body.ends_with(&format!("é… ({LONGEST} bytes cut)")));
        assert!(entry.size() < LONGEST + 100);
    }
}
