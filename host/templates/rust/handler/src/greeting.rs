//! Greetings: JSON in, JSON with one more field out. Knows nothing of events.

use serde_json::{Map, Value};

/// Adds `greeting` to a person, a JSON object with a text `name`. `None` when it is none.
pub(crate) fn greet(json: &[u8]) -> Option<Vec<u8>> {
    let mut person: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let greeting = format!("Hello, {}!", person.get("name")?.as_str()?);
    person.insert("greeting".to_owned(), greeting.into());
    Some(Value::Object(person).to_string().into_bytes())
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
    fn what_is_no_person_is_not() {
        for json in ["", "no JSON", "[]", "{}", r#"{"name":7}"#] {
            assert_eq!(greet(json.as_bytes()), None, "{json}");
        }
    }
}
