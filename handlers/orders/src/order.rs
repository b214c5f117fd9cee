//! Orders: JSON in, JSON with currency and sums out.

use serde_json::{Map, Value};

use crate::settings::{Settings, WHOLE};

/// An order that passed every check.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Who ordered: the key of the output.
    pub(crate) customer: String,
    /// The order with `currency`, `netCents`, `taxCents` and `grossCents`.
    pub(crate) json: Vec<u8>,
}

/// Checks an order and adds up its lines. Fields this handler does not know are kept.
///
/// The error says what is wrong with the order, in words for the person who reads the dead
/// letter.
pub(crate) fn accept(json: &[u8], settings: &Settings) -> Result<Accepted, String> {
    let value: Value =
        serde_json::from_slice(json).map_err(|error| format!("not valid JSON: {error}"))?;
    let Value::Object(mut order) = value else {
        return Err(format!("an order must be a JSON object, not {value}"));
    };

    text(&order, "id")?;
    let customer = text(&order, "customer")?.to_owned();
    let net = net_cents(&order)?;
    let (tax, gross) = tax_and_gross(net, settings.tax_basis_points)
        .ok_or_else(|| format!("the order is too large: {net} cents"))?;

    order.insert("currency".into(), settings.currency.as_str().into());
    order.insert("netCents".into(), net.into());
    order.insert("taxCents".into(), tax.into());
    order.insert("grossCents".into(), gross.into());
    Ok(Accepted { customer, json: Value::Object(order).to_string().into_bytes() })
}

fn net_cents(order: &Map<String, Value>) -> Result<u64, String> {
    let lines = order
        .get("lines")
        .and_then(Value::as_array)
        .filter(|lines| !lines.is_empty())
        .ok_or("field \"lines\" must be a list of at least one line")?;

    let mut net = 0_u64;
    for (index, line) in lines.iter().enumerate() {
        let in_line = |error: String| format!("line {}: {error}", index + 1);
        let line = line
            .as_object()
            .ok_or_else(|| in_line(format!("must be a JSON object, not {line}")))?;
        net = line_cents(line)
            .and_then(|cents| net.checked_add(cents).ok_or_else(|| "the sum is too large".into()))
            .map_err(in_line)?;
    }
    Ok(net)
}

fn line_cents(line: &Map<String, Value>) -> Result<u64, String> {
    text(line, "sku")?;
    let quantity = whole(line, "quantity")?;
    if quantity == 0 {
        return Err("field \"quantity\" must be at least 1".into());
    }
    let price = whole(line, "unitPriceCents")?;
    quantity.checked_mul(price).ok_or_else(|| format!("{quantity} × {price} is too large"))
}

/// Rounds half a cent of tax up. `None` when the sums do not fit.
fn tax_and_gross(net: u64, basis_points: u64) -> Option<(u64, u64)> {
    let tax = net.checked_mul(basis_points)?.checked_add(WHOLE / 2)? / WHOLE;
    Some((tax, net.checked_add(tax)?))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let text = field(object, name)?.as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| format!("field {name:?} must be a text that is not empty"))
}

fn whole(object: &Map<String, Value>, name: &str) -> Result<u64, String> {
    let value = field(object, name)?;
    value
        .as_u64()
        .ok_or_else(|| format!("field {name:?} must be a whole number from 0, not {value}"))
}

fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, String> {
    object.get(name).ok_or_else(|| format!("field {name:?} is missing"))
}

#[cfg(test)]
mod tests {
    use super::accept;
    use crate::settings::Settings;

    const ORDER: &str = r#"{"id":"o-1","customer":"ada","lines":[{"sku":"tea","quantity":2,"unitPriceCents":450},{"sku":"pot","quantity":1,"unitPriceCents":1999}]}"#;

    fn settings(tax: &str) -> Settings {
        Settings::read(|key| {
            Ok(match key {
                "currency" => Some("EUR".into()),
                "tax-basis-points" => Some(tax.into()),
                _ => None,
            })
        })
        .unwrap()
    }

    fn refusal(json: &str) -> String {
        accept(json.as_bytes(), &settings("1900")).unwrap_err()
    }

    #[test]
    fn lines_are_added_up_and_taxed() {
        for (tax, sums) in [
            ("1900", r#""currency":"EUR","netCents":2899,"taxCents":551,"grossCents":3450}"#),
            ("550", r#""currency":"EUR","netCents":2899,"taxCents":159,"grossCents":3058}"#),
            ("0", r#""currency":"EUR","netCents":2899,"taxCents":0,"grossCents":2899}"#),
        ] {
            let accepted = accept(ORDER.as_bytes(), &settings(tax)).unwrap();
            assert_eq!(accepted.customer, "ada");
            let expected = ORDER.replace("}]}", &format!("}}],{sums}"));
            assert_eq!(String::from_utf8(accepted.json).unwrap(), expected);
        }
    }

    #[test]
    fn half_a_cent_of_tax_is_rounded_up() {
        for (price, tax) in [(10, 1), (9, 0), (30, 2)] {
            let json = format!(
                r#"{{"id":"1","customer":"c","lines":[{{"sku":"s","quantity":1,"unitPriceCents":{price}}}]}}"#
            );
            let accepted = accept(json.as_bytes(), &settings("500")).unwrap();
            let json = String::from_utf8(accepted.json).unwrap();
            assert!(json.contains(&format!(r#""taxCents":{tax},"#)), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_and_where_is_named() {
        for (from, to, error) in [
            (ORDER, "tea", "not valid JSON: "),
            (ORDER, "7", "an order must be a JSON object, not 7"),
            ("\"id\"", "\"no\"", "field \"id\" is missing"),
            ("\"ada\"", "\"\"", "field \"customer\" must be a text that is not empty"),
            ("\"ada\"", "null", "field \"customer\" must be a text that is not empty"),
            ("lines", "items", "field \"lines\" must be a list of at least one line"),
            ("\"pot\"", "5", "line 2: field \"sku\" must be a text"),
            (":2,", ":0,", "line 1: field \"quantity\" must be at least 1"),
            (":2,", ":1.5,", "line 1: field \"quantity\" must be a whole number from 0, not 1.5"),
            ("450", "-450", "line 1: field \"unitPriceCents\" must be a whole number"),
            ("450", "18446744073709551615", "line 1: 2 × 18446744073709551615 is too large"),
            (
                ":1,\"unitPriceCents\":1999",
                ":1,\"unitPriceCents\":18446744073709551615",
                "line 2: the sum",
            ),
            ("1999", "18446744073709000000", "the order is too large: "),
        ] {
            let json = ORDER.replace(from, to);
            assert!(refusal(&json).starts_with(error), "{json}: {}", refusal(&json));
        }
        assert!(refusal(r#"{"id":"1","customer":"c","lines":[]}"#).contains("at least one line"));
        assert!(refusal(r#"{"id":"1","customer":"c","lines":[1]}"#).contains("line 1: must be"));
    }
}
