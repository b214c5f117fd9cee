//! The log on a Kafka cluster, through rdkafka.
//!
//! Promises what [`crate::log`] promises, with Kafka's transactions: a session is one consumer
//! and two transactional producers used in turn (KIP-98, KIP-447). Any librdkafka property
//! passes through from the configuration. Nothing outside this module names rdkafka, and no
//! message that leaves it holds a secret.

mod admin;
mod append;
mod check;
mod client;
mod consumer;
mod deliveries;
mod error;
mod placement;
mod positions;
mod producer;
mod reader;
mod record;
mod session;
mod trouble;
mod watched;
mod watermarks;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::{Admin, AppendError, Log, ReadFrom, Reader, Receipt, Session, Subscription, Writer};
use crate::config::KafkaConfig;
use crate::event::Event;
pub use admin::GroupOffsets;
use admin::KafkaAdmin;
use append::Appender;
pub use check::check_properties;
use client::Clients;
use reader::KafkaReader;
use session::KafkaSession;
use writer::KafkaWriter;

/// Who this process is within the fleet. Part of every transactional id, so it has to be stable
/// across restarts and unique among live hosts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The fleet.
    pub cluster_id: String,
    /// The host within the fleet.
    pub host_id: String,
}

/// The log on a Kafka cluster.
pub struct KafkaLog {
    clients: Arc<Clients>,
    identity: Identity,
    appender: Appender,
    admin: KafkaAdmin,
}

impl KafkaLog {
    /// Makes the clients. Brokers need not be up: librdkafka connects in the background and
    /// keeps trying. Fails as [`check_properties`] does.
    pub fn connect(config: &KafkaConfig, identity: &Identity) -> anyhow::Result<Self> {
        check_properties(config)?;
        let clients = Arc::new(Clients::new(config.clone()));
        let appender = Appender::new(&clients)?;
        let admin = KafkaAdmin::new(Arc::clone(&clients))?;
        Ok(Self { clients, identity: identity.clone(), appender, admin })
    }

    /// Where a group is, for whoever asks often.
    pub fn group_offsets(&self, group: &str) -> anyhow::Result<GroupOffsets> {
        self.admin.group_offsets(group)
    }

    /// Deletes topics and a group, by their exact names, for whoever made them. Members of the group
    /// that were killed are waited for so long.
    pub fn delete(&self, topics: &[&str], group: &str, patience: Duration) -> anyhow::Result<()> {
        // Each is tried, whatever comes of the other.
        let group = self.admin.delete_group(group, patience);
        self.admin.delete_topics(topics).and(group)
    }
}

impl Log for KafkaLog {
    fn describe(&self) -> String {
        format!("Kafka at {}", self.clients.config().brokers())
    }

    fn append(&self, event: Event, partition: Option<i32>) -> Result<Receipt, AppendError> {
        self.appender.append(&event, partition)
    }

    fn session(&self, subscription: &Subscription) -> anyhow::Result<Box<dyn Session>> {
        self.admin.look_up_message_limits(&subscription.outputs)?;
        Ok(Box::new(KafkaSession::open(&self.clients, &self.identity, subscription)?))
    }

    fn reader(&self, topic: &str, start: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
        Ok(Box::new(KafkaReader::open(&self.clients, topic, start)?))
    }

    fn writer(&self, name: &str) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(KafkaWriter::open(&self.clients, &self.identity.cluster_id, name)?))
    }

    fn admin(&self) -> &dyn Admin {
        &self.admin
    }

    fn ping(&self, timeout: Duration) -> anyhow::Result<()> {
        self.appender.ping(timeout).with_context(|| format!("{} does not answer", self.describe()))
    }
}
