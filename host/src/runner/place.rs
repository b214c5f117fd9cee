//! A place in a case file, so that what is wrong there can be named; and reading such a file.

use std::path::Path;

use serde_json::Value;

use crate::config::ConfigError;

/// A value in a JSON file: `[1].headers[0].value`.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    file: &'a Path,
    path: String,
}

impl<'a> Place<'a> {
    /// The whole file.
    pub(super) fn file(file: &'a Path) -> Self {
        Self { file, path: String::new() }
    }

    /// A member of the object here.
    pub(super) fn member(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { file: self.file, path: format!("{}{dot}{name}", self.path) }
    }

    /// An element of the list here.
    pub(super) fn element(&self, index: usize) -> Self {
        Self { file: self.file, path: format!("{}[{index}]", self.path) }
    }

    /// Something is wrong here.
    pub(super) fn wrong(&self, problem: impl Into<String>, fix: impl Into<String>) -> ConfigError {
        ConfigError::new(self.file, self.path.clone(), problem, fix)
    }

    /// The members of the object here, none of them unknown.
    pub(super) fn object<'v>(
        &self,
        value: &'v Value,
        what: &str,
        known: &[&str],
    ) -> Result<&'v serde_json::Map<String, Value>, ConfigError> {
        let list = known.join(", ");
        let Value::Object(members) = value else {
            let problem = format!("{} is not {what}", short(value));
            return Err(self.wrong(problem, format!("write an object with any of {list}")));
        };
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(members),
            Some(unknown) => {
                let score = |name: &&&str| strsim::jaro_winkler(unknown, name);
                let nearest = known.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
                let hint = match nearest.filter(|name| score(name) > 0.8) {
                    Some(nearest) => format!("did you mean {nearest:?}? {what} has {list}"),
                    None => format!("{what} has {list}"),
                };
                Err(self.member(unknown).wrong(format!("{unknown:?} is unknown here"), hint))
            }
        }
    }
}

/// Reads a JSON file.
pub(super) fn read(file: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read(file).map_err(|error| {
        let fix = "check that it is a file that this user may read";
        Place::file(file).wrong(format!("cannot be read: {error}"), fix)
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let fix = "correct the syntax there; strings and names stand in double quotes";
        ConfigError::new(file, place, format!("is not JSON: {message}"), fix)
    })
}

/// A value in a message: not longer than a line.
pub(super) fn short(value: &Value) -> String {
    /// Characters that are shown.
    const LENGTH: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LENGTH) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
