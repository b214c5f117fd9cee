//! What is different between two manifests, key by key.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// A line for each key that is new, gone or has another value. Values of settings are not shown:
/// they may be secrets.
pub(super) fn of(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (flat(old), flat(new));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let line = |key: &String| {
        let shown = |value: &String| match key.starts_with("config.") {
            true => "…".to_owned(),
            false => value.clone(),
        };
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("{key}: {} → {}", shown(old), shown(new))),
            (Some(old), None) => Some(format!("{key}: {} → the default", shown(old))),
            (None, Some(new)) => Some(format!("{key}: {} is new", shown(new))),
            (None, None) => None,
        }
    };
    keys.into_iter().filter_map(line).collect()
}

/// The values by their paths, such as `limits.memory`.
fn flat(text: &str) -> BTreeMap<String, String> {
    fn visit(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    visit(&path, value, flat);
                }
            }
            value => drop(flat.insert(path.to_owned(), value.to_string())),
        }
    }
    let mut values = BTreeMap::new();
    // What is in the registry was checked before it was written.
    visit("", &Value::Table(text.parse::<Table>().unwrap_or_default()), &mut values);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_that_differs_is_a_line() {
        let old = "name = \"a\"\nto = [\"x\"]\n[limits]\ntime = \"1s\"\n[config]\nkey = \"secret\"";
        let new = "name = \"a\"\nto = [\"x\", \"y\"]\nworkers = 2\n[config]\nkey = \"other\"";
        let lines = of(old, new);
        assert_eq!(
            lines,
            [
                "config.key: … → …",
                "limits.time: \"1s\" → the default",
                "to: [\"x\"] → [\"x\", \"y\"]",
                "workers: 2 is new",
            ]
        );
        assert!(of(new, new).is_empty());
    }
}
