//! A place to read from, as people write it.

use std::str::FromStr;
use std::time::UNIX_EPOCH;

use super::ReadFrom;

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
                None => timestamp_ms(time).map(ReadFrom::Timestamp).ok_or_else(|| {
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

/// RFC 3339 in milliseconds since the epoch. The date and time are humantime's, which knows UTC
/// only, so the zone is taken off first.
fn timestamp_ms(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (local, zone_minutes) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, zone_minutes(zone)?)
        }
    };
    let time = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let ms = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    Some((ms - zone_minutes * 60_000).max(0))
}

/// Minutes east of UTC, from `+01:00`.
fn zone_minutes(zone: &str) -> Option<i64> {
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = zone.split_once(':')?;
    let two_digits = |text: &str, below: i64| {
        let valid = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| valid && *n < below)
    };
    Some(sign * (two_digits(hours, 24)? * 60 + two_digits(minutes, 60)?))
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
