//! Weather forecasts: JSON in, JSON with one more field out.

use serde_json::{Map, Number, Value};
use time::{Date, macros::format_description};

const ABSOLUTE_ZERO_C: f64 = -273.15;

/// The core of the Sun. No forecast is hotter, and below it the arithmetic is exact.
const HOTTEST_C: f64 = 15_000_000.0;

/// Checks a forecast and adds `temperatureF`. Every other field stays as it was, in its place.
///
/// The error says what is wrong with the forecast, in words for the person who reads the dead
/// letter.
pub(crate) fn with_fahrenheit(json: &[u8]) -> Result<Vec<u8>, String> {
    let value: Value =
        serde_json::from_slice(json).map_err(|error| format!("not valid JSON: {error}"))?;
    let Value::Object(mut forecast) = value else {
        return Err(format!("a forecast must be a JSON object, not {value}"));
    };

    check_date(field(&forecast, "date")?)?;
    let summary = field(&forecast, "summary")?;
    if !summary.is_string() {
        return Err(format!("field \"summary\" must be a string, not {summary}"));
    }
    let fahrenheit = to_fahrenheit(field(&forecast, "temperatureC")?)?;

    forecast.insert("temperatureF".into(), fahrenheit.into());
    Ok(Value::Object(forecast).to_string().into_bytes())
}

fn field<'a>(forecast: &'a Map<String, Value>, name: &str) -> Result<&'a Value, String> {
    forecast.get(name).ok_or_else(|| format!("field {name:?} is missing"))
}

fn check_date(value: &Value) -> Result<(), String> {
    let wrong = || format!("field \"date\" must be a date like \"2026-01-31\", not {value}");
    let text = value.as_str().ok_or_else(wrong)?;
    // Ten characters: the parser alone would accept a signed year.
    let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
    if text.len() == 10 && date.is_ok() { Ok(()) } else { Err(wrong()) }
}

/// A whole number of degrees stays a whole number, anything finer keeps two decimals.
fn to_fahrenheit(value: &Value) -> Result<Number, String> {
    let wrong = || format!("field \"temperatureC\" must be a number, not {value}");
    let celsius = value.as_f64().ok_or_else(wrong)?;
    if celsius < ABSOLUTE_ZERO_C {
        return Err(format!("field \"temperatureC\" is below absolute zero: {value}"));
    }
    if celsius > HOTTEST_C {
        return Err(format!("field \"temperatureC\" is hotter than any weather: {value}"));
    }

    let fahrenheit = celsius * 9.0 / 5.0 + 32.0;
    if value.is_i64() {
        return Ok(Number::from(fahrenheit.round() as i64));
    }
    Number::from_f64((fahrenheit * 100.0).round() / 100.0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::with_fahrenheit;

    fn forecast(temperature: &str) -> String {
        format!(r#"{{"date":"2026-01-31","temperatureC":{temperature},"summary":"Mild"}}"#)
    }

    fn handled(json: &str) -> String {
        String::from_utf8(with_fahrenheit(json.as_bytes()).unwrap()).unwrap()
    }

    fn refusal(json: &str) -> String {
        with_fahrenheit(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn whole_degrees_become_whole_degrees() {
        for (celsius, fahrenheit) in [
            ("0", "32"),
            ("100", "212"),
            ("-40", "-40"),
            ("21", "70"),
            ("37", "99"),
            ("-273", "-459"),
        ] {
            let json = handled(&forecast(celsius));
            assert!(json.ends_with(&format!(",\"temperatureF\":{fahrenheit}}}")), "{json}");
        }
    }

    #[test]
    fn fractions_keep_two_decimals() {
        for (celsius, fahrenheit) in
            [("21.5", "70.7"), ("36.66", "97.99"), ("-273.15", "-459.67"), ("1e1", "50.0")]
        {
            let json = handled(&forecast(celsius));
            assert!(json.ends_with(&format!(",\"temperatureF\":{fahrenheit}}}")), "{json}");
        }
    }

    #[test]
    fn other_fields_and_their_order_are_kept() {
        let json = r#"{"station":{"id":12345678901234567890123,"lat":1.10},"summary":"Mild","temperatureF":0,"temperatureC":25,"date":"2024-02-29"}"#;
        assert_eq!(handled(json), json.replace(r#""temperatureF":0"#, r#""temperatureF":77"#));
    }

    #[test]
    fn a_bad_date_is_named() {
        for date in [
            "31.01.2026",
            "2026-1-31",
            "2026-02-29",
            "2026-13-01",
            "2026-01-31T00:00:00Z",
            "+2026-01-31",
            "-2026-01-31",
            "20260131",
            "",
        ] {
            let json = forecast("1").replace("2026-01-31", date);
            assert_eq!(
                refusal(&json),
                format!("field \"date\" must be a date like \"2026-01-31\", not {date:?}")
            );
        }
        assert!(refusal(r#"{"date":20260131}"#).starts_with("field \"date\" must be"));
    }

    #[test]
    fn a_missing_or_wrong_field_is_named() {
        for name in ["date", "temperatureC", "summary"] {
            let json = forecast("1").replace(&format!("{name:?}"), "\"other\"");
            assert_eq!(refusal(&json), format!("field {name:?} is missing"));
        }
        assert_eq!(
            refusal(&forecast("\"warm\"")),
            "field \"temperatureC\" must be a number, not \"warm\""
        );
        assert_eq!(
            refusal(&forecast("1").replace("\"Mild\"", "7")),
            "field \"summary\" must be a string, not 7"
        );
    }

    #[test]
    fn impossible_temperatures_are_refused() {
        assert!(refusal(&forecast("-274")).contains("below absolute zero: -274"));
        assert!(refusal(&forecast("-273.16")).contains("below absolute zero"));
        assert!(refusal(&forecast("1e300")).contains("hotter than any weather"));
        // Too large for a float: which of the two messages it gets does not matter.
        assert!(refusal(&forecast("1e999")).contains("temperatureC"));
    }

    #[test]
    fn what_is_not_a_json_object_is_refused() {
        assert!(refusal("rain").starts_with("not valid JSON: "));
        assert!(refusal("").starts_with("not valid JSON: "));
        assert!(with_fahrenheit(b"\xff").unwrap_err().starts_with("not valid JSON: "));
        assert_eq!(refusal("[1]"), "a forecast must be a JSON object, not [1]");
    }
}
