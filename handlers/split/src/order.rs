//! Orders and what they consist of: JSON in, several JSON objects out.

use serde_json::{Map, Value, json};

/// What one order becomes.
#[derive(Debug)]
pub(crate) struct Order {
    /// The lines in the order of the order, keyed by article.
    pub(crate) lines: Vec<Part>,
    /// How much was ordered, keyed by customer.
    pub(crate) summary: Part,
}

/// A key and a JSON object.
#[derive(Debug)]
pub(crate) struct Part {
    /// Decides the partition.
    pub(crate) key: String,
    /// The value.
    pub(crate) json: Vec<u8>,
}

/// Takes an order apart. Each line keeps its fields and gets `order` and `line`, from 1.
pub(crate) fn split(json: &[u8]) -> Result<Order, String> {
    let order: Value =
        serde_json::from_slice(json).map_err(|error| format!("not valid JSON: {error}"))?;
    let id = text(&order, "id")?;
    let customer = text(&order, "customer")?;
    let lines = order.get("lines").and_then(Value::as_array).ok_or("\"lines\" is no list")?;

    let mut parts = Vec::with_capacity(lines.len());
    let mut items = 0_u64;
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let in_line = |error: String| format!("line {number}: {error}");
        let sku = text(line, "sku").map_err(in_line)?;
        items = line
            .get("quantity")
            .and_then(Value::as_u64)
            .and_then(|quantity| items.checked_add(quantity))
            .ok_or_else(|| in_line("\"quantity\" is no whole number or too large".into()))?;
        parts.push(Part { key: sku.into(), json: numbered(id, number, line) });
    }

    let summary =
        json!({ "order": id, "customer": customer, "lines": lines.len(), "items": items });
    Ok(Order { lines: parts, summary: Part { key: customer.into(), json: bytes(summary) } })
}

fn numbered(order: &str, number: usize, line: &Value) -> Vec<u8> {
    let mut object = Map::new();
    if let Value::Object(fields) = line {
        object.extend(fields.clone());
    }
    object.insert("order".into(), order.into());
    object.insert("line".into(), number.into());
    bytes(Value::Object(object))
}

fn bytes(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name:?} is no text"))
}

#[cfg(test)]
mod tests {
    use super::{Part, split};

    fn shown(part: &Part) -> String {
        format!("{} {}", part.key, str::from_utf8(&part.json).unwrap())
    }

    #[test]
    fn each_line_becomes_a_part_and_the_order_a_summary() {
        let order = split(
            br#"{"id":"o-1","customer":"ada","lines":[{"sku":"tea","quantity":2,"gift":true},{"sku":"pot","quantity":1}]}"#,
        )
        .unwrap();
        let lines: Vec<String> = order.lines.iter().map(shown).collect();
        assert_eq!(
            lines,
            [
                r#"tea {"sku":"tea","quantity":2,"gift":true,"order":"o-1","line":1}"#,
                r#"pot {"sku":"pot","quantity":1,"order":"o-1","line":2}"#,
            ]
        );
        assert_eq!(
            shown(&order.summary),
            r#"ada {"order":"o-1","customer":"ada","lines":2,"items":3}"#
        );
    }

    #[test]
    fn an_order_without_lines_is_only_a_summary() {
        let order = split(br#"{"id":"o-1","customer":"ada","lines":[]}"#).unwrap();
        assert!(order.lines.is_empty());
        assert!(shown(&order.summary).ends_with(r#""lines":0,"items":0}"#));
    }

    #[test]
    fn what_is_wrong_and_where_is_named() {
        for (json, error) in [
            ("", "not valid JSON: "),
            ("[]", "\"id\" is no text"),
            (r#"{"id":"o-1"}"#, "\"customer\" is no text"),
            (r#"{"id":"o-1","customer":"ada"}"#, "\"lines\" is no list"),
            (r#"{"id":"o-1","customer":"ada","lines":[7]}"#, "line 1: \"sku\" is no text"),
            (
                r#"{"id":"o-1","customer":"ada","lines":[{"sku":"tea","quantity":-1}]}"#,
                "line 1: \"quantity\" is no whole number",
            ),
        ] {
            assert!(split(json.as_bytes()).unwrap_err().starts_with(error), "{json}");
        }
    }
}
