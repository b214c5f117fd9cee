//! Hears what hosts log: JSON, one object a line. Records the transactions that they give up, and
//! counts how often partitions move.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde_json::Value;

use crate::audit::history::{Abandoned, Record};
use crate::audit::recorder::Recorder;

/// Lines of a host that are kept for whoever wants to know why it ended.
const KEPT: usize = 5;

/// Hears all hosts of a run. Clones hear the same.
#[derive(Clone)]
pub(in crate::audit) struct Ear {
    recorder: Recorder,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    /// Whether a host is ready, since it was started last.
    ready: HashMap<String, bool>,
    /// The last lines of each that are worth telling.
    last: HashMap<String, VecDeque<String>>,
    rebalances: usize,
}

impl Ear {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, heard: Arc::default() }
    }

    /// Listens to a host that has just been started, on a thread that ends with it.
    pub(super) fn listen(&self, id: &str, from: impl Read + Send + 'static) -> anyhow::Result<()> {
        self.heard().ready.insert(id.to_owned(), false);
        let (ear, id) = (self.clone(), id.to_owned());
        let listen = move || {
            // What is no UTF-8 is none of the host's own lines.
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                ear.hear(&id, &line);
            }
        };
        let thread = std::thread::Builder::new().name("audit-ear".to_owned()).spawn(listen);
        thread.context("failed to start a thread that listens to a host").map(drop)
    }

    /// Whether the host has said that it is ready.
    pub(super) fn is_ready(&self, id: &str) -> bool {
        self.heard().ready.get(id).copied().unwrap_or_default()
    }

    /// How often a host was given partitions.
    pub(in crate::audit) fn rebalances(&self) -> usize {
        self.heard().rebalances
    }

    /// What the host said last that is worth telling, to follow a problem; empty when it was nothing.
    pub(in crate::audit) fn last_words(&self, id: &str) -> String {
        match self.heard().last.get(id) {
            Some(lines) if !lines.is_empty() => {
                let lines: Vec<_> = lines.iter().map(String::as_str).collect();
                format!("; {id} said last:\n  {}", lines.join("\n  "))
            }
            _ => String::new(),
        }
    }

    fn hear(&self, id: &str, line: &str) {
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
            // A panic, or an error on the way out.
            return self.keep(id, line.to_owned());
        };
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = field("message");
        if message.starts_with("transaction abandoned") && !field("transaction").is_empty() {
            let transaction = field("transaction").to_owned();
            self.recorder.record(Record::Abandoned(Abandoned { transaction }));
        } else if message == "ready" {
            self.heard().ready.insert(id.to_owned(), true);
        } else if message == "partitions assigned" && !field("partitions").is_empty() {
            self.heard().rebalances += 1;
        }
        if matches!(field("level"), "WARN" | "ERROR") {
            self.keep(id, format!("{} {message}", field("level")));
        }
    }

    fn keep(&self, id: &str, line: String) {
        let mut heard = self.heard();
        let last = heard.last.entry(id.to_owned()).or_default();
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(line);
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
