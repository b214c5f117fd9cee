//! Finds the last records that somebody wants, and follows those that come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::warn;

use super::LogRecord;
use crate::event::Consumed;
use crate::log::{Log, ReadFrom, Reader};

/// Records read at once.
const STRIDE: usize = 1_000;
/// How long one read waits for more.
const WAIT: Duration = Duration::from_millis(100);
/// When a log has given nothing for so long, and its end is not reached, it is asked how it is.
const SILENCE: Duration = Duration::from_secs(5);
/// Records that are looked through first to find the last ones; then ever more.
const LOOK_BACK: i64 = 4_096;
/// So many times more.
const FURTHER: i64 = 8;

/// Which records somebody wants. `Default` is all of them.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those about this handler.
    pub handler: Option<String>,
    /// Those of the host with this id.
    pub host: Option<String>,
    /// Those that say that they are about this revision.
    pub revision: Option<u64>,
    /// Those that are not older, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Of those that are there already: the last so many.
    pub tail: Option<usize>,
}

/// The records that come from now on.
pub struct Following {
    reader: Box<dyn Reader>,
    wanted: Wanted,
}

/// Those of the wanted records that are in this topic, which exists, and those that will come.
/// Records that cannot be used are told and left out.
pub(super) fn read(
    log: &dyn Log,
    topic: &Arc<str>,
    wanted: Wanted,
) -> anyhow::Result<(Vec<LogRecord>, Following)> {
    let read = || -> anyhow::Result<_> {
        let mut back = LOOK_BACK;
        loop {
            let (start, is_all) = start(log, topic, &wanted, back)?;
            let mut following =
                Following { reader: log.reader(topic, start)?, wanted: wanted.clone() };
            let found = following.backlog(log)?;
            if is_all || wanted.tail.is_some_and(|tail| found.records.len() >= tail) {
                found.unusable.iter().for_each(|error| warn!("{error}"));
                return Ok((found.records.into(), following));
            }
            back = back.saturating_mul(FURTHER);
        }
    };
    read().with_context(|| format!("failed to read topic {topic:?}"))
}

/// Where to begin so that `back` records are read, and whether that is all there is to read.
fn start(
    log: &dyn Log,
    topic: &Arc<str>,
    wanted: &Wanted,
    back: i64,
) -> anyhow::Result<(ReadFrom, bool)> {
    let all = wanted.since.map_or(ReadFrom::Earliest, ReadFrom::Timestamp);
    if wanted.tail.is_none() {
        return Ok((all, true));
    }
    let of = |at| -> anyhow::Result<i64> {
        Ok(log.admin().offsets(topic, at)?.into_values().next().unwrap_or_default())
    };
    let (first, end) = (of(all)?, of(ReadFrom::Latest)?);
    let begin = end.saturating_sub(back).max(first);
    Ok((ReadFrom::Offset(begin), begin == first))
}

/// What was found.
#[derive(Default)]
struct Found {
    records: VecDeque<LogRecord>,
    unusable: Vec<String>,
}

impl Following {
    /// Waits up to `max_wait` for records. Those that cannot be used are told and left out.
    pub fn next(&mut self, max_wait: Duration) -> anyhow::Result<Vec<LogRecord>> {
        let mut found = Found::default();
        for event in self.reader.read(STRIDE, max_wait)? {
            self.sort(&event, &mut found);
        }
        found.unusable.iter().for_each(|error| warn!("{error}"));
        Ok(found.records.into())
    }

    /// The wanted ones of all the records until the end.
    fn backlog(&mut self, log: &dyn Log) -> anyhow::Result<Found> {
        let mut found = Found::default();
        let mut heard = Instant::now();
        loop {
            let events = self.reader.read(STRIDE, WAIT)?;
            if !events.is_empty() {
                heard = Instant::now();
            } else if self.reader.at_end() {
                return Ok(found);
            } else if heard.elapsed() > SILENCE {
                log.ping(SILENCE)?;
                heard = Instant::now();
            }
            for event in events {
                self.sort(&event, &mut found);
            }
            let tail = self.wanted.tail.unwrap_or(usize::MAX);
            let surplus = found.records.len().saturating_sub(tail);
            found.records.drain(..surplus);
        }
    }

    fn sort(&self, event: &Consumed, found: &mut Found) {
        if !self.wanted.may_be(event) {
            return;
        }
        match LogRecord::of(event) {
            Ok(Some(record)) if self.wanted.is(&record) => found.records.push_back(record),
            Ok(_) => {}
            Err(error) => found.unusable.push(error.to_string()),
        }
    }
}

impl Wanted {
    /// Whether the record is wanted as far as its key tells, which costs nothing to look at.
    fn may_be(&self, event: &Consumed) -> bool {
        let key = event.event.key.as_deref();
        self.handler.as_ref().is_none_or(|handler| key == Some(handler.as_bytes()))
    }

    fn is(&self, record: &LogRecord) -> bool {
        self.handler.as_ref().is_none_or(|handler| *handler == record.entry.handler)
            && self.host.as_ref().is_none_or(|host| *host == record.host)
            && self.revision.is_none_or(|revision| record.entry.revision == Some(revision))
            && self.since.is_none_or(|since| record.time_ms() >= since)
    }
}
