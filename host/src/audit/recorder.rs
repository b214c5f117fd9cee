//! Keeps the history of a run, in memory and in a file, whoever observes it on which thread.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::history::{Entry, Record, Run};

/// So many entries may be lost with the process that observes: the file is written from time to
/// time, since nobody reads it before the run is over.
const FLUSH_EVERY: usize = 1_000;

/// Records what is observed. Clones record into the same history.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    begun: Instant,
    file: PathBuf,
    state: Mutex<State>,
}

struct State {
    entries: Vec<Entry>,
    out: BufWriter<File>,
    /// The first write that failed; what is in memory is complete all the same.
    failed: Option<anyhow::Error>,
}

impl Recorder {
    /// Begins a history in this file, which is replaced.
    pub fn create(file: &Path, run: &Run) -> anyhow::Result<Self> {
        let out = File::create(file).with_context(|| format!("failed to create {file:?}"))?;
        let state = State { entries: Vec::new(), out: BufWriter::new(out), failed: None };
        let shared =
            Shared { begun: Instant::now(), file: file.to_owned(), state: Mutex::new(state) };
        let recorder = Self(Arc::new(shared));
        recorder.record(Record::Run(run.clone()));
        Ok(recorder)
    }

    /// Microseconds since the history began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Adds an observation. What cannot be written is told by [`Self::finish`].
    pub fn record(&self, record: Record) {
        let mut state = self.0.state.lock();
        // Behind the lock, so that the entries are in the order of their times.
        let entry = Entry { at_us: self.now_us(), record };
        let written = serde_json::to_writer(&mut state.out, &entry)
            .map_err(anyhow::Error::from)
            .and_then(|()| state.out.write_all(b"\n").map_err(anyhow::Error::from));
        state.entries.push(entry);
        let written = match state.entries.len() % FLUSH_EVERY {
            0 => written.and_then(|()| state.out.flush().map_err(anyhow::Error::from)),
            _ => written,
        };
        if let Err(error) = written {
            state.failed.get_or_insert(error);
        }
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.state.lock().entries.clone()
    }

    /// Writes down what is not yet written, and gives the whole history. `Err` when the file is not
    /// complete.
    pub fn finish(&self) -> anyhow::Result<Vec<Entry>> {
        let mut state = self.0.state.lock();
        let flushed = state.out.flush().map_err(anyhow::Error::from);
        let result = match state.failed.take() {
            Some(error) => Err(error),
            None => flushed,
        };
        result.with_context(|| format!("failed to write the history {:?}", self.0.file))?;
        Ok(state.entries.clone())
    }
}
