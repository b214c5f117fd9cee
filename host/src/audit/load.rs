//! Drives the load: events at a steady rate, until it is told to stop. Records what the log said of
//! each: an answer that does not tell is [`Ack::Unknown`], never a failure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fastrand::Rng;

use super::history::{Ack, Record, Written};
use super::inputs::Inputs;
use super::recorder::Recorder;
use crate::event::Event;
use crate::log::{AppendError, Log, Receipt};
use crate::stop::Stop;

/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(5);
/// Between two looks at how far the hosts are.
const LOOK: Duration = Duration::from_millis(500);
/// Before a log that is full is tried again.
const FULL: Duration = Duration::from_millis(10);
/// Seconds of load that may wait for the hosts: more is held back, so that the end is in reach.
const BACKLOG_SECONDS: u64 = 15;

/// A load that runs.
pub(super) struct Load {
    stop: Stop,
    told: Arc<Told>,
    threads: Vec<JoinHandle<()>>,
}

/// What is told of it.
#[derive(Default)]
struct Told {
    written: AtomicU64,
    handled: AtomicU64,
    refused: Mutex<Option<String>>,
}

/// What a load is made of.
pub(super) struct Source {
    /// Where to.
    pub(super) log: Arc<dyn Log>,
    /// What.
    pub(super) inputs: Inputs,
    /// How many partitions each of the topics has, at least.
    pub(super) partitions: u32,
    /// Events in a second.
    pub(super) rate: u32,
    /// What the partitions are drawn from.
    pub(super) seed: u64,
    /// How many events the hosts have handled, when that can be said.
    pub(super) handled: Box<dyn Fn() -> Option<u64> + Send>,
}

/// An event that the log has been given.
struct Given {
    id: String,
    topic: Arc<str>,
    answer: Result<Receipt, AppendError>,
}

impl Load {
    /// Starts it.
    pub(super) fn start(source: Source, recorder: Recorder) -> anyhow::Result<Self> {
        let mut load = Self { stop: Stop::default(), told: Arc::default(), threads: Vec::new() };
        let (sender, given) = channel();
        let Source { log, mut inputs, partitions, rate, seed, handled } = source;
        let (stop, told) = (load.stop.clone(), Arc::clone(&load.told));
        let look = move || {
            while !stop.sleep(LOOK) {
                if let Some(events) = handled() {
                    told.handled.store(events, Ordering::Relaxed);
                }
            }
        };
        load.spawn("audit-backlog", look)?;
        let (stop, told) = (load.stop.clone(), Arc::clone(&load.told));
        let mut random = Rng::with_seed(seed);
        let write = move || {
            let pace = Pace { rate, stop: &stop, told: &told };
            pace.keep(|| {
                let (id, event) = inputs.next();
                let partition = i32::try_from(random.u32(..partitions)).unwrap_or_default();
                let topic = Arc::clone(&event.topic);
                let answer = append(&*log, &event, partition, &stop);
                sender.send(Given { id, topic, answer }).is_ok()
            });
        };
        load.spawn("audit-load", write)?;
        let told = Arc::clone(&load.told);
        load.spawn("audit-acks", move || hear(&given, &recorder, &told))?;
        Ok(load)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.context("failed to start a thread of the load")?);
        Ok(())
    }

    /// How many events the log has taken.
    pub(super) fn written(&self) -> u64 {
        self.told.written.load(Ordering::Relaxed)
    }

    /// Writes nothing more, and waits until the log has answered everything. Gives the number of
    /// events that it took, and why it refused others, if it did.
    pub(super) fn finish(mut self) -> (u64, Option<String>) {
        self.end();
        let refused = self.told.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        (self.written(), refused)
    }

    fn end(&mut self) {
        self.stop.request();
        for thread in self.threads.drain(..) {
            // One that panicked has said so; what it has not recorded is unknown.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// So many events in a second, but for what would only add to a backlog.
struct Pace<'a> {
    rate: u32,
    stop: &'a Stop,
    told: &'a Told,
}

impl Pace<'_> {
    /// Calls `write` for each event, until it says no or a stop is requested.
    fn keep(&self, mut write: impl FnMut() -> bool) {
        let backlog = u64::from(self.rate) * BACKLOG_SECONDS;
        let (mut begun, mut since, mut all) = (Instant::now(), 0, 0);
        while !self.stop.sleep(TICK) {
            if all > self.told.handled.load(Ordering::Relaxed) + backlog {
                // What is held back now is not made up for.
                (begun, since) = (Instant::now(), 0);
                continue;
            }
            let due = (begun.elapsed().as_secs_f64() * f64::from(self.rate)) as u64;
            while since < due && !self.stop.requested() {
                (since, all) = (since + 1, all + 1);
                if !write() {
                    return;
                }
            }
        }
    }
}

/// Hands an event to the log, and waits while the log is full.
fn append(
    log: &dyn Log,
    event: &Event,
    partition: i32,
    stop: &Stop,
) -> Result<Receipt, AppendError> {
    loop {
        match log.append(event.clone(), Some(partition)) {
            Err(AppendError::QueueFull) if !stop.requested() => {
                stop.sleep(FULL);
            }
            answer => return answer,
        }
    }
}

/// Records the answers, in the order in which the log was given the events.
fn hear(given: &Receiver<Given>, recorder: &Recorder, told: &Told) {
    for Given { id, topic, answer } in given {
        let ack = match answer.and_then(Receipt::wait_blocking) {
            Ok(_) => {
                told.written.fetch_add(1, Ordering::Relaxed);
                Ack::Acknowledged
            }
            Err(AppendError::Unavailable(_)) => Ack::Unknown,
            Err(error) => {
                let mut refused = told.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.get_or_insert_with(|| error.to_string());
                Ack::Refused
            }
        };
        recorder.record(Record::Written(Written { id, topic, ack }));
    }
}
