//! Which values are secrets, and keeping them out of texts.

use std::fmt;

/// Parts of the names of librdkafka's properties whose values are secrets, wherever they come
/// from.
const SENSITIVE: [&str; 9] = [
    "password",
    "secret",
    "key",
    "pem",
    "token",
    "jaas",
    "credential",
    "keystore",
    "sasl.oauthbearer",
];

/// Properties whose values are no secrets even when they come from the environment: hiding them
/// would only make messages useless.
const PUBLIC: [&str; 7] = [
    "bootstrap.servers",
    "client.id",
    "client.rack",
    "debug",
    "sasl.mechanism",
    "sasl.mechanisms",
    "security.protocol",
];

/// Shortest line of a multi-line secret that is hidden on its own.
const MIN_LINE: usize = 8;

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// The value of a property. Its text is seen by [`Value::expose`] alone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value {
    text: String,
    secret: bool,
}

impl Value {
    /// The value of property `name`; `indirect` when it came from the environment or a file.
    pub(crate) fn new(name: &str, text: String, indirect: bool) -> Self {
        let sensitive = is_sensitive(name);
        let telling = indirect && !PUBLIC.contains(&name) && text.parse::<f64>().is_err();
        let secret = (sensitive || telling) && !matches!(&*text, "" | "true" | "false");
        Self { text, secret }
    }

    /// The text, for the client library only.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// The text as messages may show it.
    pub(crate) fn shown(&self) -> String {
        if self.secret { "the value given".to_owned() } else { format!("{:?}", self.text) }
    }

    /// What must not be shown: the whole text, and its lines, which may be printed one by one.
    pub(crate) fn hidden_parts(&self) -> impl Iterator<Item = &str> {
        let text = self.secret.then_some(&*self.text);
        let lines = text.into_iter().flat_map(str::lines).map(str::trim);
        text.into_iter().chain(lines.filter(|line| line.len() >= MIN_LINE))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret { f.write_str(HIDDEN) } else { fmt::Debug::fmt(&self.text, f) }
    }
}

/// Whether a property of this name holds a secret. The location of a file is none: whoever
/// mistyped it has to see it.
pub(crate) fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.ends_with(".location") && SENSITIVE.iter().any(|part| name.contains(part))
}

/// `text` with each of these parts replaced; the longest first, because one may hold another.
pub(crate) fn redact<'a>(text: &str, parts: impl Iterator<Item = &'a str>) -> String {
    let mut parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    parts.into_iter().fold(text.to_owned(), |text, part| text.replace(part, HIDDEN))
}
