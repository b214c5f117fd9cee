//! `[aliases]` of a manifest: what a component calls topics that are called otherwise where it runs.
//!
//! A component that names its topics in its code runs elsewhere unchanged, beside another one that
//! has the topics of these names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::decode::quoted_key;
use crate::config::topics::Name;
use crate::topic;

/// What the component says, and the topic that is meant.
pub(super) type AliasesToml = BTreeMap<String, Name>;

/// Checks that each alias stands for one topic of the handler, and is not the name of another.
pub(super) fn check(
    file: &Path,
    toml: AliasesToml,
    from: &[Arc<str>],
    to: &[Arc<str>],
) -> Result<BTreeMap<String, Arc<str>>, ConfigError> {
    let own = |topic: &str| from.iter().chain(to).any(|own| **own == *topic);
    let mut meant: BTreeMap<Arc<str>, String> = BTreeMap::new();
    for (alias, topic) in toml {
        let wrong = |problem: String, fix: &str| {
            Err(ConfigError::new(file, format!("aliases.{}", quoted_key(&alias)), problem, fix))
        };
        let topic = topic.0;
        if let Err(problem) = topic::check_name(&alias) {
            return wrong(problem, "write on the left what the component calls the topic");
        }
        if !own(&topic) {
            let problem = format!("topic {topic:?} is neither in `from` nor in `to`");
            return wrong(problem, "name one of the handler's topics on the right");
        }
        if own(&alias) {
            let problem = format!("{alias:?} is the name of another topic of the handler");
            return wrong(problem, "remove it: the component means that topic");
        }
        if let Some(other) = meant.insert(Arc::clone(&topic), alias.clone()) {
            let problem = format!("topic {topic:?} is called {other:?} too");
            return wrong(problem, "keep the name that the component knows");
        }
    }
    Ok(meant.into_iter().map(|(topic, alias)| (alias, topic)).collect())
}
