//! Watches a run from outside, as any `read_committed` reader can, and takes no host's word for it.
//!
//! One thread reads all topics from their beginning as they grow, another one samples the offsets
//! of the group. A reader that fails is replaced by one that begins anew; what is not answered is
//! not recorded. When the run is over, a last reader reads everything once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use super::history::{At, CaughtUp, Ends, Offsets, Origin, Record, Run, Seen};
use super::recorder::Recorder;
use crate::digest::Digest;
use crate::event::{Consumed, Event, Header};
use crate::handler::{
    ATTEMPTS_HEADER, FAILURE_HEADER, FAILURE_MESSAGE_HEADER, HANDLER_HEADER, OUTPUT_HEADER,
    SOURCE_HEADER, TRANSACTION_HEADER,
};
use crate::log::{Log, ReadFrom, Reader};
use crate::stop::Stop;

/// Header of an input: its id, unique in the run.
pub const ID_HEADER: &str = "lockstep-audit-id";

/// What the host writes into outputs and dead letters, which is no content.
const HOSTS: [&str; 7] = [
    HANDLER_HEADER,
    SOURCE_HEADER,
    TRANSACTION_HEADER,
    OUTPUT_HEADER,
    FAILURE_HEADER,
    FAILURE_MESSAGE_HEADER,
    ATTEMPTS_HEADER,
];

/// How long one look at one topic waits.
const GLANCE: Duration = Duration::from_millis(10);
/// Events of one look.
const PORTION: usize = 5_000;
/// Between two samples of the offsets.
const SAMPLE: Duration = Duration::from_millis(200);
/// Before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// What can be seen of a log. Each call may fail while brokers are away.
pub trait Sight: Send + Sync {
    /// Reads a topic from its beginning, committed events only.
    fn reader(&self, topic: &str) -> anyhow::Result<Box<dyn Reader>>;

    /// The committed offsets of a group in a topic, by partition.
    fn committed(&self, group: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>>;

    /// Partition, last stable offset and high watermark.
    fn ends(&self, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>>;
}

/// The sight that the log itself offers.
pub struct LogSight(Arc<dyn Log>);

impl LogSight {
    /// The sight of this log.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self(log)
    }
}

impl Sight for LogSight {
    fn reader(&self, topic: &str) -> anyhow::Result<Box<dyn Reader>> {
        self.0.reader(topic, ReadFrom::Earliest)
    }

    fn committed(&self, group: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
        let offsets = self.0.admin().group(group)?;
        let of_topic = offsets.into_iter().filter(|offset| *offset.at.topic == *topic);
        Ok(of_topic.map(|offset| (offset.at.partition, offset.committed)).collect())
    }

    fn ends(&self, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
        let admin = self.0.admin();
        let stable = admin.offsets(topic, ReadFrom::Latest)?;
        let topic = admin.topic(topic)?.ok_or_else(|| anyhow!("topic {topic:?} is gone"))?;
        let end = |range: &crate::log::PartitionRange| {
            let stable = stable.get(&range.partition).copied().unwrap_or(range.end);
            (range.partition, stable, range.end)
        };
        Ok(topic.partitions.iter().map(end).collect())
    }
}

/// Watches a run until it is finished.
pub struct Observer {
    watch: Watch,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Watch {
    sight: Arc<dyn Sight>,
    recorder: Recorder,
    group: String,
    sources: Vec<Arc<str>>,
    topics: Vec<Arc<str>>,
}

impl Observer {
    /// Begins to watch what the run is about.
    pub fn start(sight: Arc<dyn Sight>, recorder: Recorder, run: &Run) -> anyhow::Result<Self> {
        let mut topics = run.from.clone();
        topics.extend(run.to.iter().cloned());
        topics.push(Arc::clone(&run.dead_letters));
        topics.sort();
        topics.dedup();
        let (group, sources) = (run.group.clone(), run.from.clone());
        let watch = Watch { sight, recorder, group, sources, topics };
        let mut observer = Self { watch, stop: Stop::default(), threads: Vec::new() };
        observer.spawn("audit-reader", Watch::read_live)?;
        observer.spawn("audit-offsets", Watch::sample_offsets)?;
        Ok(observer)
    }

    fn spawn(&mut self, name: &str, work: fn(&Watch, &Stop)) -> anyhow::Result<()> {
        let (watch, stop) = (self.watch.clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread =
            thread.spawn(move || work(&watch, &stop)).context("failed to start a thread")?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends the watch when no host runs any more: reads everything from the beginning, and where
    /// the offsets and the ends of topics are. `Err` when that is not possible within the deadline.
    pub fn finish(mut self, deadline: Duration) -> anyhow::Result<()> {
        self.end();
        let until = Instant::now() + deadline;
        self.watch.settle(until)?;
        for topic in &self.watch.topics {
            self.watch.read_all(topic, until)?;
        }
        for topic in &self.watch.sources {
            retry(until, || self.watch.sample(topic))?;
        }
        self.watch.recorder.record(Record::Frozen);
        Ok(())
    }

    fn end(&mut self) {
        self.stop.request();
        for thread in self.threads.drain(..) {
            // A thread that panicked has recorded what it saw until then.
            let _ = thread.join();
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watch {
    /// Reads all topics as they grow.
    fn read_live(&self, stop: &Stop) {
        for number in 1.. {
            let name = if number == 1 { "live".to_owned() } else { format!("live-{number}") };
            if stop.requested() {
                return;
            }
            if let Err(error) = self.read_as(&name.into(), stop) {
                tracing::debug!("a reader begins anew: {error:#}");
                stop.sleep(AGAIN);
            }
        }
    }

    fn read_as(&self, name: &Arc<str>, stop: &Stop) -> anyhow::Result<()> {
        let mut readers = Vec::new();
        for topic in &self.topics {
            readers.push(self.sight.reader(topic)?);
        }
        while !stop.requested() {
            let since_us = self.recorder.now_us();
            let mut news = false;
            for reader in &mut readers {
                news |= self.look(name, &mut **reader)?;
            }
            if !news && readers.iter().all(|reader| reader.at_end()) {
                let (reader, topics) = (Arc::clone(name), self.topics.clone());
                self.recorder.record(Record::CaughtUp(CaughtUp { reader, topics, since_us }));
            }
        }
        Ok(())
    }

    /// Takes what is there, but no more than a portion: the other topics grow too. A read may end at
    /// the end of one partition while there is more in the next. Whether there was anything.
    fn look(&self, name: &Arc<str>, reader: &mut dyn Reader) -> anyhow::Result<bool> {
        let (mut count, mut wait) = (0, GLANCE);
        while count < PORTION {
            let events = reader.read(PORTION, wait)?;
            if events.is_empty() {
                break;
            }
            count += events.len();
            wait = Duration::ZERO;
            for event in &events {
                self.recorder.record(Record::Seen(self.seen(name, event)));
            }
        }
        Ok(count > 0)
    }

    /// One question at a time, so that no answer is overtaken by an older one.
    fn sample_offsets(&self, stop: &Stop) {
        while !stop.requested() {
            for topic in &self.sources {
                if let Err(error) = self.sample(topic) {
                    tracing::debug!("the offsets are not known at this moment: {error:#}");
                }
            }
            stop.sleep(SAMPLE);
        }
    }

    fn sample(&self, topic: &Arc<str>) -> anyhow::Result<()> {
        let asked_us = self.recorder.now_us();
        let committed = self.sight.committed(&self.group, topic)?.into_iter().collect();
        let topic = Arc::clone(topic);
        let offsets = Offsets { topic, committed, asked_us, undecided: false };
        self.recorder.record(Record::Offsets(offsets));
        Ok(())
    }

    /// Waits until no transaction is open, or the time is over, and notes where the ends are.
    fn settle(&self, until: Instant) -> anyhow::Result<()> {
        for topic in &self.topics {
            let partitions = loop {
                let partitions = retry(until, || self.sight.ends(topic))?;
                let open = partitions.iter().any(|(_, stable, high)| stable != high);
                if !open || Instant::now() > until {
                    break partitions;
                }
                std::thread::sleep(AGAIN);
            };
            let topic = Arc::clone(topic);
            self.recorder.record(Record::Ends(Ends { topic, partitions }));
        }
        Ok(())
    }

    fn read_all(&self, topic: &Arc<str>, until: Instant) -> anyhow::Result<()> {
        let name: Arc<str> = "final".into();
        let mut reader = retry(until, || self.sight.reader(topic))?;
        while !reader.at_end() {
            if Instant::now() > until {
                bail!("the end of topic {topic:?} was not reached in time");
            }
            let read = reader.read(PORTION, AGAIN);
            for event in read.with_context(|| format!("failed to read topic {topic:?}"))? {
                self.recorder.record(Record::Seen(self.seen(&name, &event)));
            }
        }
        Ok(())
    }

    fn seen(&self, reader: &Arc<str>, event: &Consumed) -> Seen {
        let is_source = self.sources.contains(&event.event.topic);
        Seen {
            reader: Arc::clone(reader),
            at: At(event.position()),
            id: header(&event.event, ID_HEADER),
            key: event.event.key.as_deref().map(|key| short(&[key])),
            digest: content_digest(&event.event),
            origin: if is_source { None } else { origin(&event.event) },
        }
    }
}

/// Tries until it succeeds or the time is over.
fn retry<T>(until: Instant, mut call: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}

/// A digest of what a handler made: key, value and the headers that are not the host's. Not the
/// timestamp: topics may be stamped by their log.
pub fn content_digest(event: &Event) -> String {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let optional =
        |part: Option<&[u8]>| part.map_or_else(|| vec![0], |bytes| [&[1], bytes].concat());
    parts.push(optional(event.key.as_deref()));
    parts.push(optional(event.value.as_deref()));
    for Header { name, value } in &event.headers {
        if !HOSTS.contains(&name.as_str()) {
            parts.push(name.clone().into_bytes());
            parts.push(optional(value.as_deref()));
        }
    }
    short(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Enough of a digest to tell the contents of a run apart. The lengths are part of it, so that
/// nothing moves from one part into the next unseen.
fn short(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(*part);
    }
    Digest::of(&bytes).hex().chars().take(24).collect()
}

fn header(event: &Event, name: &str) -> Option<String> {
    let header = event.headers.iter().rfind(|header| header.name == name)?;
    Some(String::from_utf8_lossy(header.value.as_deref()?).into_owned())
}

/// What the host wrote; `None` where it did not, as in events that somebody else put there.
fn origin(event: &Event) -> Option<Origin> {
    let source = header(event, SOURCE_HEADER)?.parse().ok()?;
    let revision = header(event, HANDLER_HEADER)?.rsplit_once('@')?.1.parse().ok()?;
    let sibling = header(event, OUTPUT_HEADER);
    let sibling = sibling.as_deref().and_then(|text| text.split_once('/'));
    Some(Origin {
        source,
        revision,
        transaction: header(event, TRANSACTION_HEADER),
        sibling: sibling.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?))),
        failure: header(event, FAILURE_HEADER),
    })
}
