//! TOML, written again.

use toml::Table;

/// The same table in another order and another layout, without comments. `None` when the text is
/// no table.
pub fn rewritten(text: &str) -> Option<String> {
    let table: Table = text.parse().ok()?;
    let again = toml::to_string(&table).expect("what was parsed can be written");
    assert!(table == again.parse().expect("what was written can be parsed") || has_nan(text));
    Some(again)
}

/// Whether the text may hold a number that does not equal itself.
fn has_nan(text: &str) -> bool {
    text.contains("nan")
}
