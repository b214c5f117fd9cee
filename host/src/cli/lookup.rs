//! Finding a topic or group by name, and what to say when there is none.

use super::exit::CliError;
use crate::log::{Log, TopicDescription};

/// Names less alike than this are no suggestion.
const ALIKE: f64 = 0.75;

/// At most so many names are suggested.
const SUGGESTIONS: usize = 3;

/// The topic, or an error that names the existing topics most alike.
pub(super) fn topic(log: &dyn Log, name: &str) -> anyhow::Result<TopicDescription> {
    if let Some(topic) = log.admin().topic(name)? {
        return Ok(topic);
    }
    let names = log.admin().topics()?.into_iter().map(|topic| topic.name).collect();
    let hint = hint(name, names, "create it with `lockstep topic create`");
    let message = format!("topic {name:?} does not exist in {}; {hint}", log.describe());
    Err(CliError::NotFound(message).into())
}

/// The error for a group that does not exist.
pub(super) fn no_such_group(log: &dyn Log, name: &str, groups: Vec<String>) -> CliError {
    let hint = hint(name, groups, "a group appears with its first commit");
    CliError::NotFound(format!("group {name:?} does not exist in {}; {hint}", log.describe()))
}

/// `did you mean …`, or all names when they are few, or `otherwise`.
fn hint(name: &str, names: Vec<String>, otherwise: &str) -> String {
    let alike = most_alike(name, &names);
    let list = |names: &[String]| {
        names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
    };
    if !alike.is_empty() {
        format!("did you mean {}?", list(&alike))
    } else if !names.is_empty() && names.len() <= SUGGESTIONS {
        format!("there is {}; {otherwise}", list(&names))
    } else {
        otherwise.to_owned()
    }
}

fn most_alike(name: &str, names: &[String]) -> Vec<String> {
    let mut rated: Vec<_> =
        names.iter().map(|other| (strsim::jaro_winkler(name, other), other)).collect();
    rated.retain(|(likeness, _)| *likeness >= ALIKE);
    rated.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rated.into_iter().take(SUGGESTIONS).map(|(_, other)| other.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_typing_error_is_answered_with_the_name_that_was_meant() {
        let topics = names(&["destination-topic", "source-topic", "weather.dead-letters"]);
        assert_eq!(most_alike("sorce-topic", &topics).first(), Some(&"source-topic".to_owned()));
        assert!(hint("sorce-topic", topics, "x").starts_with("did you mean \"source-topic\""));
    }

    #[test]
    fn without_a_name_alike_the_few_that_exist_are_listed() {
        assert_eq!(hint("zzz", names(&["a", "b"]), "make one"), "there is \"a\", \"b\"; make one");
        assert_eq!(hint("zzz", names(&["a", "b", "c", "d"]), "make one"), "make one");
        assert_eq!(hint("zzz", names(&[]), "make one"), "make one");
    }
}
