//! Greetings: JSON in, JSON with one more field out. Knows nothing of events.

use serde_json::{Map, Value};

/// Adds `greeting` to a person, a JSON object with a text `name`. The error says what is wrong
/// instead, for the one who reads the dead letter.
pub(crate) fn greet(json: &[u8]) -> Result<Vec<u8>, String> {
    let expected = "expected a JSON object with a text \"name\"";
    let mut person: Map<String, Value> =
        serde_json::from_slice(json).map_err(|error| format!("{expected}: {error}"))?;
    let name = person.get("name").and_then(Value::as_str).ok_or(expected)?;
    let greeting = format!("Hello, {name}!");
    person.insert("greeting".to_owned(), greeting.into());
    Ok(Value::Object(person).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::greet;

    #[test]
    fn a_person_is_greeted() {
        let greeted = greet(br#"{"name":"Ada"}"#).unwrap();
        assert_eq!(greeted, br#"{"greeting":"Hello, Ada!","name":"Ada"}"#);
    }

    #[test]
    fn what_is_no_person_is_refused_with_the_reason() {
        for json in ["", "no JSON", "[]", "{}", r#"{"name":7}"#] {
            let error = greet(json.as_bytes()).unwrap_err();
            assert!(
                error.starts_with("expected a JSON object with a text"),
                "{json}: {error}"
            );
        }
    }
}
