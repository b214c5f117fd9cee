//! A place to read from, as people write it.

use std::str::FromStr;

use super::ReadFrom;
use crate::moment;

impl FromStr for ReadFrom {
    /// What was expected instead.
    type Err = String;

    /// `earliest`, `latest`, an offset, or a point in time after `@` or `timestamp:`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(ReadFrom::Earliest),
            "latest" => return Ok(ReadFrom::Latest),
            _ => {}
        }
        let number =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok());
        if let Some(time) = text.strip_prefix('@').or_else(|| text.strip_prefix("timestamp:")) {
            return match number(time).flatten() {
                Some(ms) => Ok(ReadFrom::Timestamp(ms)),
                None => moment::rfc3339_ms(time).map(ReadFrom::Timestamp).ok_or_else(|| {
                    "expected a time such as @2026-01-31T12:00:00Z, @2026-01-31T12:00:00+01:00 or \
                     @1769860800000 (milliseconds)"
                        .to_owned()
                }),
            };
        }
        number(text).flatten().map(ReadFrom::Offset).ok_or_else(|| {
            "expected earliest, latest, an offset such as 42, or a time such as \
             @2026-01-31T12:00:00Z"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_the_argument_says() {
        let ms = 1_769_860_800_000;
        for (text, from) in [
            ("earliest", ReadFrom::Earliest),
            ("latest", ReadFrom::Latest),
            ("0", ReadFrom::Offset(0)),
            ("42", ReadFrom::Offset(42)),
            ("@1769860800000", ReadFrom::Timestamp(ms)),
            ("@2026-01-31T12:00:00Z", ReadFrom::Timestamp(ms)),
            ("timestamp:1769860800000", ReadFrom::Timestamp(ms)),
            ("timestamp:2026-01-31T12:00:00Z", ReadFrom::Timestamp(ms)),
            ("@2026-01-31T12:00:00.25z", ReadFrom::Timestamp(ms + 250)),
            ("@2026-01-31T13:30:00+01:30", ReadFrom::Timestamp(ms)),
            ("@2026-01-31T07:00:00.001-05:00", ReadFrom::Timestamp(ms + 1)),
        ] {
            assert_eq!(text.parse::<ReadFrom>(), Ok(from), "{text}");
        }
    }

    #[test]
    fn a_place_that_is_none_is_refused_with_what_is_expected() {
        for text in [
            "",
            "-1",
            "newest",
            "1.5",
            "99999999999999999999",
            "@",
            "@yesterday",
            "timestamp:",
            "timestamp:@1",
            "@2026-01-31",
            "@2026-01-31T12:00:00",
            "@2026-13-31T12:00:00Z",
            "@2026-01-31T12:00:00+1:00",
            "@2026-01-31T12:00:00+25:00",
            "@é",
        ] {
            assert!(text.parse::<ReadFrom>().is_err_and(|e| e.starts_with("expected ")), "{text}");
        }
    }
}
