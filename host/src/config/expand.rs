//! `${NAME}` in strings: the value of an environment variable. `$${` is a literal `${`.

/// Looks up an environment variable.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string with its variables replaced.
#[derive(Debug)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Whether the environment had a part in it.
    pub(crate) from_environment: bool,
}

/// Why a string cannot be expanded. Holds no text of the string but the names of variables.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// The variable is not set, or is not UTF-8.
    Unset(String),
    /// A `${` without its `}`, or something else than a name between them.
    Malformed,
}

/// The environment of this process.
pub(crate) fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Replaces the variables in `text`. Their values are not expanded again.
pub(crate) fn expand(text: &str, env: Env<'_>) -> Result<Expanded, ExpandError> {
    let mut expanded =
        Expanded { text: String::with_capacity(text.len()), from_environment: false };
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            expanded.text.push_str(before);
            expanded.text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.text.push_str(&rest[..at]);
        let (name, after) = rest[at + 2..].split_once('}').ok_or(ExpandError::Malformed)?;
        if !is_name(name) {
            return Err(ExpandError::Malformed);
        }
        let value = env(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?;
        expanded.text.push_str(&value);
        expanded.from_environment = true;
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "USER" => Some("ada".to_owned()),
            "NESTED" => Some("${USER}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_anywhere_and_only_once() {
        let text = expand("<${USER}|${NESTED}>", &env).map(|e| (e.text, e.from_environment));
        assert_eq!(text.ok(), Some(("<ada|${USER}>".to_owned(), true)));
    }

    #[test]
    fn dollars_that_name_nothing_stay() {
        for (given, want) in [("a$b$", "a$b$"), ("$${USER}", "${USER}"), ("$$$${x", "$$${x")] {
            let text = expand(given, &env).map(|e| (e.text, e.from_environment));
            assert_eq!(text.ok(), Some((want.to_owned(), false)), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_an_error_without_the_text() {
        let error = |text| expand(text, &env).err();
        assert_eq!(error("x${GONE}"), Some(ExpandError::Unset("GONE".to_owned())));
        for text in ["hunter2${USER", "${}", "${a b}", "${1A}"] {
            assert_eq!(error(text), Some(ExpandError::Malformed), "{text}");
        }
    }
}
