//! Points in time as people write them. Pure.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond that RFC 3339 can write, of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// An age before `now_ms` such as `10m`, or a point in time: RFC 3339, or milliseconds since the
/// Unix epoch, both also after an `@`. In milliseconds since the Unix epoch; the error says what is
/// expected.
pub fn since(text: &str, now_ms: i64) -> Result<i64, String> {
    if let Ok(age) = humantime::parse_duration(text) {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        return Ok(now_ms.saturating_sub(age).max(0));
    }
    let time = text.strip_prefix('@').unwrap_or(text);
    let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let ms = if digits { time.parse().ok() } else { rfc3339_ms(time) };
    ms.ok_or_else(|| {
        "expected an age such as 10m or 2h, or a time such as 2026-01-31T12:00:00Z or \
         2026-01-31T12:00:00+01:00"
            .to_owned()
    })
}

/// Milliseconds since the Unix epoch as RFC 3339, in UTC; what it cannot write comes as a number
/// after an `@`.
pub fn rfc3339(ms: i64) -> String {
    match u64::try_from(ms) {
        Ok(since) if ms <= LAST_MS => {
            humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(since)).to_string()
        }
        _ => format!("@{ms}"),
    }
}

/// RFC 3339 in milliseconds since the epoch; `None` when it is none. The date and time are
/// humantime's, which knows UTC only, so the zone is taken off first.
pub fn rfc3339_ms(text: &str) -> Option<i64> {
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
    fn an_age_is_counted_back_from_now_and_a_time_is_taken_as_it_is() {
        let now = 1_769_860_800_000;
        for (text, ms) in [
            ("10m", now - 600_000),
            ("1h 30s", now - 3_630_000),
            ("999999999days", 0),
            ("2026-01-31T12:00:00Z", now),
            ("@2026-01-31T13:30:00+01:30", now),
            ("1769860800000", now),
        ] {
            assert_eq!(since(text, now), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_what_is_expected() {
        for text in ["", "@", "yesterday", "-5m", "2026-01-31"] {
            let said = since(text, 0);
            assert!(said.as_ref().is_err_and(|e| e.contains("such as 10m")), "{text}: {said:?}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        assert_eq!(rfc3339(1_769_860_800_250), "2026-01-31T12:00:00.250Z");
        assert_eq!(rfc3339_ms("2026-01-31T12:00:00.250Z"), Some(1_769_860_800_250));
        assert_eq!(rfc3339(-1), "@-1");
    }
}
