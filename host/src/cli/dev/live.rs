//! Keeps the terminal up to date while `dev` runs: asks the host how its handlers are, and looks
//! on at what comes out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::debug;

use super::screen::{KEPT, Screen};
use super::view;
use crate::cli::terminal::{self, Area};
use crate::log::{Log, ReadFrom};
use crate::server::Control;
use crate::stop::Stop;

/// How often the terminal is brought up to date.
const FRAME: Duration = Duration::from_millis(200);
/// How long a look at a topic waits: also how late it notices the end.
const LOOK: Duration = Duration::from_millis(100);
/// Events of one look; of more than are shown only the last matter.
const EVENTS: usize = 1_000;
/// Until a topic that could not be read is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A terminal that is being kept up to date; it is left alone when this is dropped.
pub(super) struct Live {
    stop: Stop,
    host: Arc<Mutex<Option<Control>>>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts with nothing but the screen; there is no host yet.
    pub(super) fn start(screen: Screen) -> anyhow::Result<Self> {
        let (stop, host) = (Stop::default(), Arc::default());
        let (stopped, asked) = (stop.clone(), Arc::clone(&host));
        let thread = thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || keep(&screen, &asked, &stopped))
            .context("failed to start the thread that draws on the terminal")?;
        Ok(Self { stop, host, thread: Some(thread) })
    }

    /// Where the host will be put once it runs.
    pub(super) fn host(&self) -> Arc<Mutex<Option<Control>>> {
        Arc::clone(&self.host)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take() {
            // A panic has said why.
            drop(thread.join());
        }
    }
}

fn keep(screen: &Screen, host: &Mutex<Option<Control>>, stop: &Stop) {
    let area = Area::new();
    let mut tails = BTreeMap::new();
    loop {
        let control = host.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(control) = control {
            screen.note(control.handlers(), Instant::now());
            for topic in screen.topics() {
                let follow = || follow(&topic, control.log(), screen.clone(), stop.clone());
                tails.entry(Arc::clone(&topic)).or_insert_with(follow);
            }
        }
        let size = terminal::size();
        area.show(&screen.look(|state| view::lines(state, size, Instant::now())));
        if stop.sleep(FRAME) {
            break;
        }
    }
    for tail in tails.into_values().flatten() {
        drop(tail.join());
    }
}

/// Looks on at a topic from now on, on a thread of its own.
fn follow(
    topic: &Arc<str>,
    log: Option<Arc<dyn Log>>,
    screen: Screen,
    stop: Stop,
) -> Option<JoinHandle<()>> {
    let (log, topic) = (log?, Arc::clone(topic));
    let look_on = move || {
        while !stop.requested() {
            if let Err(error) = look_on(&topic, &*log, &screen, &stop) {
                debug!(%topic, "what comes out is not seen: {error:#}");
                stop.sleep(PAUSE);
            }
        }
    };
    thread::Builder::new().name("tail".to_owned()).spawn(look_on).ok()
}

fn look_on(topic: &str, log: &dyn Log, screen: &Screen, stop: &Stop) -> anyhow::Result<()> {
    let mut reader = log.reader(topic, ReadFrom::Latest)?;
    while !stop.requested() {
        let events = reader.read(EVENTS, LOOK)?;
        let last = events.iter().rev().take(KEPT).rev();
        last.for_each(|event| screen.came_out(event));
    }
    Ok(())
}
