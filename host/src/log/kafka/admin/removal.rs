//! Removes topics and groups, by their exact names. For whoever made them: nothing else in the
//! program deletes what lies in a log.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::error::RDKafkaErrorCode;

use super::{KafkaAdmin, TIMEOUT};

/// Before a group that still has members is tried again.
const AGAIN: Duration = Duration::from_millis(500);

impl KafkaAdmin {
    /// Deletes these topics; one that is not there is as good as deleted.
    pub(in crate::log::kafka) fn delete_topics(&self, names: &[&str]) -> anyhow::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let deleted = block_on(self.admin.delete_topics(names, &options()))
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to delete topics {}", names.join(", ")))?;
        let refused: Vec<_> = deleted
            .into_iter()
            .filter_map(Result::err)
            .filter(|(_, code)| *code != RDKafkaErrorCode::UnknownTopicOrPartition)
            .map(|(name, code)| format!("{name:?}: {code}"))
            .collect();
        if !refused.is_empty() {
            bail!("the broker refuses to delete topics: {}", refused.join(", "));
        }
        Ok(())
    }

    /// Deletes a group; one that is not there is as good as deleted. Members that were killed count
    /// until their session times out, so it is tried for a while.
    pub(in crate::log::kafka) fn delete_group(
        &self,
        name: &str,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let deleted = block_on(self.admin.delete_groups(&[name], &options()))
                .map_err(|e| self.clients.error(&e))
                .with_context(|| format!("failed to delete group {name:?}"))?;
            match deleted.into_iter().next() {
                None | Some(Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound))) => return Ok(()),
                Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) if begun.elapsed() < patience => {
                    std::thread::sleep(AGAIN);
                }
                Some(Err((_, code))) => {
                    bail!("the broker refuses to delete group {name:?}: {code}")
                }
            }
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}
