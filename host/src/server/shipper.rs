//! Ships what is said about the handlers of this host to the fleet: appends it to the topic of the
//! logs, in the order in which it was said.
//!
//! Nobody who speaks waits for it, and it promises little: what the log does not take in time is
//! lost, and the number is told as soon as the log takes something again. Events are not touched
//! by any of it.

use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::readiness::HostReadiness;
use crate::deployment::logs::LogRecord;
use crate::deployment::store::Store;
use crate::handler_log::{Entry, Queue, Severity, Taken};
use crate::log::{AppendError, Receipt};
use crate::retry::RetryPolicy;

/// What is said within such a time is shipped together.
const LINGER: Duration = Duration::from_millis(50);
/// How often somebody who waits for the log looks for the end.
const GLANCE: Duration = Duration::from_millis(50);
/// How long the log may take after the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pauses after what went wrong.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    multiplier: 2.0,
    jitter: 0.3,
};

/// Ships until its queue is closed and empty.
pub(super) struct Shipper {
    pub(super) store: Store,
    pub(super) host_id: String,
    pub(super) readiness: HostReadiness,
    pub(super) queue: Arc<Queue>,
}

/// What went wrong, told once until it goes well again.
#[derive(Default)]
struct Trouble {
    attempt: u32,
    told: bool,
}

impl Shipper {
    /// Keeps what is said from now on, and starts to ship it.
    pub(super) fn start(self) -> anyhow::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("failed to start what ships the logs of handlers")?;
        self.queue.open();
        thread::Builder::new()
            .name("logs".to_owned())
            .spawn(move || self.run(&runtime))
            .context("failed to start the thread that ships the logs of handlers")
    }

    fn run(&self, runtime: &tokio::runtime::Runtime) {
        // Until then the log may be down, and others say so.
        while !self.readiness.is_started() {
            if self.queue.sleep(GLANCE) {
                return;
            }
        }
        let (mut trouble, mut is_prepared) = (Trouble::default(), false);
        loop {
            let went = match is_prepared {
                false if self.queue.closed_for().is_some() => return,
                false => self.store.prepare_logs().map_err(|error| format!("{error:#}")),
                true => match self.queue.take() {
                    Some(taken) => runtime.block_on(self.ship(taken)),
                    None => return,
                },
            };
            let pause = match (&went, is_prepared) {
                (Err(reason), _) => trouble.note(reason),
                (Ok(()), true) => trouble.is_over(),
                (Ok(()), false) => Duration::ZERO,
            };
            // Whatever went wrong, the topic may be gone.
            is_prepared = went.is_ok();
            self.queue.sleep(pause);
        }
    }

    /// Ships what was taken. What does not arrive is counted again; the error is the last reason.
    async fn ship(&self, taken: Taken) -> Result<(), String> {
        let mut shipped = Ok(());
        let mut sent = Vec::with_capacity(taken.entries.len());
        for (entry, count) in entries(taken) {
            let handler = entry.handler.clone();
            sent.push((handler, count, self.append(entry)));
        }
        for (handler, count, sent) in sent {
            let arrived = match sent {
                Ok(receipt) => self.answer(receipt).await.map_err(|error| error.to_string()),
                Err(reason) => Err(reason),
            };
            if let Err(reason) = arrived {
                self.queue.lose(&handler, count);
                shipped = Err(reason);
            }
        }
        shipped
    }

    fn append(&self, entry: Entry) -> Result<Receipt, String> {
        let record = LogRecord { host: self.host_id.clone(), entry };
        let event =
            record.event(&self.store.topics().logs).map_err(|error| format!("{error:#}"))?;
        self.store.log().append(event, Some(0)).map_err(|error| error.to_string())
    }

    /// The log's answer. After the end it has little time left.
    async fn answer(&self, receipt: Receipt) -> Result<(), AppendError> {
        let mut answer = pin!(receipt.wait());
        loop {
            let is_over = self.queue.closed_for().is_some_and(|since| since > FAREWELL);
            let patience = if is_over { Duration::ZERO } else { GLANCE };
            if let Ok(answer) = timeout(patience, &mut answer).await {
                return answer.map(drop);
            }
            if is_over {
                return Err(AppendError::Unavailable("it did not answer in time".to_owned()));
            }
        }
    }
}

/// What was taken, each with the number of entries that it stands for: those that were lost come
/// as one that says so.
fn entries(taken: Taken) -> impl Iterator<Item = (Entry, u64)> {
    let lost = taken.lost.into_iter().map(|(handler, count)| {
        let body = "lines lost: the log did not take them in time";
        let mut entry = Entry::now(&handler, None, Severity::Warn, body);
        entry.attributes.insert("lockstep.dropped".to_owned(), count.into());
        (entry, count)
    });
    taken.entries.into_iter().map(|entry| (entry, 1)).chain(lost)
}

impl Trouble {
    /// Tells it the first time; how long to pause.
    fn note(&mut self, reason: &str) -> Duration {
        self.attempt += 1;
        if self.told {
            debug!("logs of handlers are still not shipped: {reason}");
        } else {
            warn!(
                "logs of handlers are not shipped, and the handlers go on (`handler_logs = false` \
                 does without them): {reason}"
            );
        }
        self.told = true;
        PAUSES.backoff(self.attempt, fastrand::f64())
    }

    /// Tells that it is over; how long to pause.
    fn is_over(&mut self) -> Duration {
        if std::mem::take(self).told {
            info!("logs of handlers are shipped again");
        }
        LINGER
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_lost_comes_last_with_its_number() {
        let entry = Entry::now("a", Some(1), Severity::Info, "line");
        let taken =
            Taken { entries: vec![entry.clone()], lost: BTreeMap::from([("b".to_owned(), 7)]) };
        let all: Vec<_> = entries(taken).collect();
        let [first, (told, 7)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(*first, (entry, 1));
        assert_eq!((told.handler.as_str(), &told.attributes["lockstep.dropped"]), ("b", &7.into()));
    }
}
