//! The exclusive writer: a transactional producer under an id that all of a fleet share for one
//! name. Initialising it fences whoever did so before, and aborts what that one had open.
//!
//! A producer that is finished is never replaced here: that would fence the one who came later.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Clients;
use super::producer::{Failed, TransactionalProducer};
use crate::event::Event;
use crate::log::{WriteError, Writer};

/// How long a topic that was just created may be unknown to the broker that is asked.
const CREATION: Duration = Duration::from_secs(3);

/// The writer of one name, as long as no other is opened.
pub(super) struct KafkaWriter {
    producer: TransactionalProducer,
    /// Topics that exist: to others librdkafka would try to write for a long time.
    known: HashSet<String>,
    /// Why nothing can be written any more.
    finished: Option<&'static str>,
}

impl KafkaWriter {
    /// Takes the name over.
    pub(super) fn open(
        clients: &Arc<Clients>,
        cluster_id: &str,
        name: &str,
    ) -> anyhow::Result<Self> {
        let producer =
            TransactionalProducer::open_writer(clients, format!("{cluster_id}-writer-{name}"))?;
        Ok(Self { producer, known: HashSet::new(), finished: None })
    }

    /// Makes sure that the topics exist.
    fn look_up_topics(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let begun = Instant::now();
        while let Some(unknown) = events.iter().find(|event| !self.known.contains(&*event.topic)) {
            self.known = self.producer.topics()?;
            if self.known.contains(&*unknown.topic) {
                continue;
            }
            anyhow::ensure!(
                begun.elapsed() < CREATION,
                "topic {:?} does not exist; nothing was written",
                unknown.topic
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What a failed transaction means, after what can be aborted was aborted.
    fn judge(&mut self, failed: Failed) -> WriteError {
        let error = match failed {
            Failed::Unopened(reason) => return anyhow::anyhow!(reason).into(),
            Failed::Abort(reason) | Failed::Refused(_, reason) => match self.producer.abort() {
                Ok(()) => return anyhow::anyhow!(reason).into(),
                Err(error) => error.context(reason),
            },
            Failed::Undecided(error) => {
                self.finished = Some("a commit of this writer had no known end");
                return error.context("it is unknown whether anything was written").into();
            }
            Failed::Fatal(error) => error,
        };
        self.finished = Some("this writer has failed before");
        if self.producer.is_fenced() { WriteError::Fenced } else { error.into() }
    }
}

impl Writer for KafkaWriter {
    fn write(&mut self, events: Vec<Event>) -> Result<(), WriteError> {
        if self.producer.is_fenced() {
            return Err(WriteError::Fenced);
        }
        if let Some(reason) = self.finished {
            return Err(anyhow::anyhow!("{reason}; nothing was written, open another").into());
        }
        if events.is_empty() {
            return Ok(());
        }
        self.look_up_topics(&events)?;
        let written = self.producer.write(&events).map_err(|failed| self.judge(failed));
        if self.producer.shaken() && self.finished.is_none() {
            self.finished = Some("the brokers were too slow for a second transaction to be safe");
        }
        written
    }
}
