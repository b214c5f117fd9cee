//! What a developer is shown: how each handler is, what came out of it last, what is wrong.
//!
//! Steps and troubles also go to the log, line by line; without a terminal that is all there is.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cli::render;
use crate::cli::terminal::Lines;
use crate::event::Consumed;
use crate::handler::{FAILURE_HEADER, FAILURE_MESSAGE_HEADER, HANDLER_HEADER, Handler};
use crate::status::HandlerStatus;

/// Outputs and dead letters that are kept for each handler.
pub(super) const KEPT: usize = 3;

/// What is shown. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Screen(Arc<Mutex<State>>);

/// Everything there is to show.
#[derive(Default)]
pub(super) struct State {
    /// Where events are sent to, once the host runs.
    pub(super) ingest: Option<String>,
    pub(super) handlers: Vec<Shown>,
}

/// One handler.
pub(super) struct Shown {
    pub(super) name: String,
    /// Where its outputs go, and its dead letters.
    outputs_to: Vec<Arc<str>>,
    dead_letters_to: Arc<str>,
    pub(super) phase: Phase,
    pub(super) since: Instant,
    pub(super) trouble: Option<Trouble>,
    /// What the host said last.
    pub(super) status: Option<HandlerStatus>,
    /// Events per second.
    pub(super) rate: f64,
    counted: Option<(Instant, u64)>,
    pub(super) outputs: VecDeque<String>,
    pub(super) dead_letters: VecDeque<String>,
}

/// What is being done for a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// Its build runs, and wrote this line.
    Building(String),
    /// Its component is compiled for this machine.
    Loading,
    /// Its cases run.
    Testing,
    /// Its workers take it up.
    Swapping,
}

/// Something that only the developer can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What it is, in a few words.
    pub(super) title: String,
    /// Everything about it, such as what the compiler said.
    pub(super) text: String,
}

impl Screen {
    /// A screen for these handlers.
    pub(super) fn new<'a>(handlers: impl IntoIterator<Item = &'a Handler>) -> Self {
        let screen = Self::default();
        screen.state().handlers = handlers.into_iter().map(Shown::new).collect();
        screen
    }

    /// The host runs, and events are sent there.
    pub(super) fn host_runs(&self, ingest: String) {
        self.state().ingest = Some(ingest);
    }

    /// The handler is at this step.
    pub(super) fn phase(&self, name: &str, phase: Phase) {
        self.with(name, |shown| {
            if std::mem::discriminant(&shown.phase) != std::mem::discriminant(&phase) {
                shown.since = Instant::now();
            }
            shown.phase = phase;
        });
    }

    /// Nothing is done for the handler any more.
    pub(super) fn idle(&self, name: &str) {
        self.phase(name, Phase::Idle);
    }

    /// Tells what is wrong, and keeps it in view until it is mended.
    pub(super) fn trouble(&self, name: &str, trouble: Trouble) {
        // Without stderr there is nobody to tell.
        drop(Lines.write_all(format!("{}\n", trouble.text.trim_end()).as_bytes()));
        self.with(name, |shown| shown.trouble = Some(trouble));
    }

    /// Nothing is wrong with the handler any more.
    pub(super) fn cured(&self, name: &str) {
        self.with(name, |shown| shown.trouble = None);
    }

    /// The handler of this name runs as `handler` says, and nothing is wrong with it.
    pub(super) fn runs(&self, name: &str, handler: &Handler) {
        self.with(name, |shown| {
            shown.name.clone_from(&handler.name);
            shown.trouble = None;
            (shown.outputs_to, shown.dead_letters_to) = routes(handler);
        });
    }

    /// What the host says of its handlers now.
    pub(super) fn note(&self, statuses: Vec<HandlerStatus>, now: Instant) {
        for status in statuses {
            let name = status.name.clone();
            self.with(&name, |shown| shown.note(status, now));
        }
    }

    /// An event has come out, on any of the handlers' topics.
    pub(super) fn came_out(&self, event: &Consumed) {
        let mut state = self.state();
        let topic = &event.event.topic;
        let maker = last_header(event, HANDLER_HEADER).unwrap_or_default();
        let maker = maker.rsplit_once('@').map(|(name, _)| name);
        let is_of = |shown: &&mut Shown| match maker {
            Some(maker) => shown.name == maker,
            None => shown.outputs_to.contains(topic) || shown.dead_letters_to == *topic,
        };
        let Some(shown) = state.handlers.iter_mut().find(is_of) else { return };
        let (lines, line) = if shown.dead_letters_to == *topic {
            (&mut shown.dead_letters, dead_letter(event))
        } else {
            (&mut shown.outputs, output(event))
        };
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Every topic that something may come out on.
    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        let state = self.state();
        let mut topics: Vec<_> = state
            .handlers
            .iter()
            .flat_map(|shown| shown.outputs_to.iter().chain([&shown.dead_letters_to]))
            .cloned()
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// Looks at everything.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    fn with(&self, name: &str, change: impl FnOnce(&mut Shown)) {
        if let Some(shown) = self.state().handlers.iter_mut().find(|shown| shown.name == name) {
            change(shown);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn new(handler: &Handler) -> Self {
        let (outputs_to, dead_letters_to) = routes(handler);
        Self { outputs_to, dead_letters_to, ..Self::named(&handler.name) }
    }

    /// A handler of which nothing but its name is known.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            outputs_to: Vec::new(),
            dead_letters_to: "".into(),
            phase: Phase::Idle,
            since: Instant::now(),
            trouble: None,
            status: None,
            rate: 0.0,
            counted: None,
            outputs: VecDeque::new(),
            dead_letters: VecDeque::new(),
        }
    }

    /// All events that its workers have done.
    pub(super) fn events(&self) -> u64 {
        self.status.iter().flat_map(|status| &status.workers).map(|worker| worker.events).sum()
    }

    fn note(&mut self, status: HandlerStatus, now: Instant) {
        self.status = Some(status);
        let events = self.events();
        // Workers that started anew count from 0.
        if let Some((then, counted)) = self.counted.replace((now, events))
            && now > then
        {
            let rate = events.saturating_sub(counted) as f64 / (now - then).as_secs_f64();
            // Smooth enough to be read.
            self.rate = if rate == 0.0 && self.rate < 1.0 { 0.0 } else { (self.rate + rate) / 2.0 };
        }
    }
}

fn routes(handler: &Handler) -> (Vec<Arc<str>>, Arc<str>) {
    (handler.to.clone(), Arc::clone(&handler.dead_letter_topic))
}

fn output(event: &Consumed) -> String {
    let key = match &event.event.key {
        Some(key) => format!("{}  ", render::glimpse(Some(key))),
        None => String::new(),
    };
    format!("{}  {key}{}", event.position(), render::glimpse(event.event.value.as_deref()))
}

fn dead_letter(event: &Consumed) -> String {
    let header = |name| last_header(event, name).unwrap_or_default();
    let message = header(FAILURE_MESSAGE_HEADER);
    format!(
        "{}  {}: {}",
        event.position(),
        header(FAILURE_HEADER),
        render::glimpse(Some(message.as_bytes()))
    )
}

fn last_header(event: &Consumed, name: &str) -> Option<String> {
    let header = event.event.headers.iter().rfind(|header| header.name == name)?;
    Some(String::from_utf8_lossy(header.value.as_deref()?).into_owned())
}
