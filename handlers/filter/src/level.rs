//! The levels of log records, and which records pass.

use std::str::FromStr;

use serde_json::Value;

/// How much a record matters. Later ones matter more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            _ => Err(format!("must be trace, debug, info, warn or error, not {name:?}")),
        }
    }
}

/// Whether a record is at least at the minimum. Only what is known to be below it is dropped:
/// a tombstone, a value that is no JSON and a record without a known level all pass.
pub(crate) fn passes(value: Option<&[u8]>, minimum: Level) -> bool {
    value.and_then(level).is_none_or(|level| level >= minimum)
}

fn level(json: &[u8]) -> Option<Level> {
    let record: Value = serde_json::from_slice(json).ok()?;
    record.get("level")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Level, passes};

    #[test]
    fn records_below_the_minimum_are_dropped() {
        for (level, kept) in [
            ("trace", false),
            ("debug", false),
            ("Info", false),
            ("WARNING", true),
            ("error", true),
        ] {
            let json = format!(r#"{{"level":{level:?},"text":"t"}}"#);
            assert_eq!(passes(Some(json.as_bytes()), Level::Warn), kept, "{level}");
        }
    }

    #[test]
    fn what_has_no_level_passes() {
        for value in
            [None, Some(""), Some("plain text"), Some("7"), Some("{}"), Some(r#"{"level":"loud"}"#)]
        {
            assert!(passes(value.map(str::as_bytes), Level::Error), "{value:?}");
        }
    }

    #[test]
    fn an_unknown_level_is_refused_with_the_known_ones() {
        assert_eq!(
            "loud".parse::<Level>(),
            Err("must be trace, debug, info, warn or error, not \"loud\"".into())
        );
    }
}
