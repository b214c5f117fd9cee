//! Which log a command talks to, and opening it. Shared by all commands that only look at or
//! write to a log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::arguments::key_value;
use super::exit::CliError;
use crate::config::{DEFAULT_CLUSTER_ID, HostConfig, KafkaConfig};
use crate::log::Log;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::{Identity, KafkaLog};

/// Where the embedded log lies when nothing is said.
pub(super) const DEFAULT_DATA_DIR: &str = "./lockstep-data";

/// How long a log may take to answer before a command gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which log. At most one of `--config`, `--brokers` and `--data-dir`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Which log")]
pub(super) struct LogSelection {
    /// The log that this host configuration uses: its `[kafka]` brokers, or its `data_dir`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["brokers", "data_dir"])]
    config: Option<PathBuf>,

    /// Kafka at these brokers
    #[arg(long, value_name = "HOST:PORT,…", conflicts_with = "data_dir")]
    brokers: Option<String>,

    /// A property for the Kafka client, such as `security.protocol=ssl`; any librdkafka
    /// property, may be repeated
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE")]
    #[arg(requires = "brokers", value_parser = key_value)]
    properties: Vec<(String, String)>,

    /// The embedded log in this directory, also while a host runs on it
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

/// What a command needs of a log that may not be there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMissing {
    /// An embedded log that does not exist is an error.
    Fail,
    /// An embedded log is created.
    Create,
}

enum Place {
    Kafka(KafkaConfig, Identity),
    Embedded(PathBuf),
}

impl LogSelection {
    /// Opens the log and waits until it answers.
    pub(super) fn open(&self, if_missing: IfMissing) -> anyhow::Result<Arc<dyn Log>> {
        let cluster_id = self.cluster_id()?.unwrap_or_else(|| DEFAULT_CLUSTER_ID.to_owned());
        self.open_in(&cluster_id, if_missing)
    }

    /// The same, as somebody who belongs to this fleet.
    pub(super) fn open_in(
        &self,
        cluster_id: &str,
        if_missing: IfMissing,
    ) -> anyhow::Result<Arc<dyn Log>> {
        let log: Arc<dyn Log> = match self.place(cluster_id)? {
            Place::Kafka(config, identity) => Arc::new(KafkaLog::connect(&config, &identity)?),
            Place::Embedded(dir) => Arc::new(open_embedded(&dir, if_missing)?),
        };
        log.ping(PATIENCE).map_err(|error| CliError::Unreachable(format!("{error:#}")))?;
        Ok(log)
    }

    /// The fleet that the host configuration names, if one was given.
    pub(super) fn cluster_id(&self) -> anyhow::Result<Option<String>> {
        let config = self.config.as_deref().map(HostConfig::load).transpose()?;
        Ok(config.map(|config| config.cluster_id))
    }

    fn place(&self, cluster_id: &str) -> anyhow::Result<Place> {
        // A command is a client of its own: it must not be taken for the host.
        let host_id = format!("command-{}", std::process::id());
        let identity = Identity { cluster_id: cluster_id.to_owned(), host_id };
        if let Some(brokers) = &self.brokers {
            let config = KafkaConfig::from_command_line(brokers, &self.properties)?;
            return Ok(Place::Kafka(config, identity));
        }
        let Some(file) = &self.config else { return Ok(Place::Embedded(self.data_dir.clone())) };
        let config = HostConfig::load(file)?;
        Ok(match config.kafka {
            Some(kafka) => Place::Kafka(kafka, identity),
            None => Place::Embedded(config.data_dir),
        })
    }
}

fn open_embedded(dir: &Path, if_missing: IfMissing) -> anyhow::Result<EmbeddedLog> {
    if if_missing == IfMissing::Fail && !dir.is_dir() {
        return Err(CliError::Unreachable(format!(
            "there is no embedded log at {dir:?}; `lockstep dev` starts a host with one, \
             `lockstep topic create NAME` makes one; or choose another log with --data-dir, \
             --brokers or --config"
        ))
        .into());
    }
    EmbeddedLog::open_client(dir, if_missing == IfMissing::Create)
        .map_err(|error| CliError::Unreachable(format!("{error:#}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_not_there_is_reported_with_ways_to_make_one() {
        let error = open_embedded(Path::new("/nowhere/at/all"), IfMissing::Fail);
        let error = error.map(drop).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        assert!(error.contains("`lockstep dev`"), "{error}");
        assert!(error.contains("`lockstep topic create NAME`"), "{error}");
        assert!(!Path::new("/nowhere").exists());
    }
}
