//! What whoever asks for logs gets: lines, or that nobody knows the handler.

use super::{Following, LogRecord, Wanted, read};
use crate::deployment::hosts::Hosts;
use crate::deployment::store::Store;

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// Nothing was said about such a handler, and neither the registry nor a host knows it.
    #[error("there is no handler {name:?}; {}", list(.names))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// The log does not answer, or not as it should.
    #[error(transparent)]
    Log(#[from] anyhow::Error),
}

/// The wanted lines that are there, and those that will come. Makes the topic when it is missing.
pub fn ask(store: &Store, wanted: Wanted) -> Result<(Vec<LogRecord>, Following), LogsError> {
    store.prepare_logs()?;
    let name = wanted.handler.clone();
    let (records, following) = read(&**store.log(), &store.topics().logs, wanted)?;
    if let Some(name) = name
        && records.is_empty()
    {
        check(store, name)?;
    }
    Ok((records, following))
}

/// A handler of which no line is wanted may be there all the same: in older lines, in the registry,
/// or in the configuration of a host.
fn check(store: &Store, name: String) -> Result<(), LogsError> {
    let any = Wanted { handler: Some(name.clone()), tail: Some(1), ..Wanted::default() };
    if !read(&**store.log(), &store.topics().logs, any)?.0.is_empty() {
        return Ok(());
    }
    let registry = store.registry()?;
    let mut hosts = Hosts::listen(&**store.log(), store.topics())?;
    hosts.catch_up()?;
    let deployed = registry.handlers().map(|(name, ..)| name.to_owned());
    let run = hosts.live().flat_map(|host| host.handlers.iter().map(|h| h.name.clone()));
    let mut names: Vec<_> = deployed.chain(run).collect();
    if registry.handler(&name).is_some() || names.contains(&name) {
        return Ok(());
    }
    names.sort_unstable();
    names.dedup();
    Err(LogsError::Unknown { name, names })
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing is deployed, and no host is there".to_owned();
    }
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("there is {}", names.join(", "))
}
