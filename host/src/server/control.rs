//! The handle by which others change what a host runs, while it runs.
//!
//! Loading takes as long as it takes, on the thread of whoever asks; the change itself goes
//! through one queue to the thread that owns the supervisor. A handle keeps nothing open: once
//! the host has ended it answers that it has.

use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};

use anyhow::{Context as _, bail};

use super::Host;
use super::prepare::{self, Wanted};
use crate::config::HostTopic;
use crate::handler::Handler;
use crate::log::Log;
use crate::revision::Revision;
use crate::status::HandlerStatus;
use crate::supervisor::{Change, Command, Supervisor};
use crate::topic::TopicSpec;

/// Changes what a host runs. Cloning shares the host.
#[derive(Clone)]
pub struct Control {
    host: Weak<Host>,
    requests: mpsc::Sender<Request>,
}

/// What the thread that owns the supervisor is asked to do.
pub(super) enum Request {
    /// This, and to say how it went.
    Perform(Command, mpsc::Sender<anyhow::Result<Change>>),
    /// To hand the supervisor over: the host stops.
    End,
}

/// Performs what is requested, in order, until the end.
pub(super) fn perform(supervisor: &mut Supervisor, requests: &mpsc::Receiver<Request>) {
    while let Ok(Request::Perform(command, answer)) = requests.recv() {
        // Nobody listens any more when the host stops meanwhile.
        drop(answer.send(supervisor.perform(command)));
    }
}

/// The topics that were made or found, so that nothing is told twice about them.
#[derive(Default)]
pub(super) struct KnownTopics(Mutex<Vec<TopicSpec>>);

impl KnownTopics {
    pub(super) fn add(&self, specs: impl IntoIterator<Item = TopicSpec>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(specs);
    }

    fn has(&self, spec: &TopicSpec) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(spec)
    }
}

impl Control {
    pub(super) fn new(host: &Arc<Host>, requests: mpsc::Sender<Request>) -> Self {
        Self { host: Arc::downgrade(host), requests }
    }

    /// Makes a revision ready: compiles, links and tries its component out. Changes nothing that
    /// runs.
    pub fn load(&self, handler: Handler, component: &[u8]) -> anyhow::Result<Revision> {
        Revision::of(&self.host()?.sandbox, handler, component)
    }

    /// Makes a revision the active one. Topics that it needs and `topics` are made first when
    /// they are missing, and opened to ingest as they say. `Err` changes nothing that runs.
    ///
    /// Returns when the workers are told; [`Control::runs`] says when they have taken it up.
    pub fn activate(
        &self,
        revision: Arc<Revision>,
        topics: &[HostTopic],
    ) -> anyhow::Result<Change> {
        let host = self.host()?;
        let handlers = [Arc::clone(&revision.handler)];
        let mut wanted = Wanted::new(topics.iter().map(|topic| &topic.spec), &handlers);
        wanted.leave_out(|spec| host.known.has(spec));
        let problems = prepare::attempt(&*host.log, &wanted);
        if !problems.is_empty() {
            bail!("{}", problems.join("; "));
        }
        host.known.add(wanted.specs());
        let open = topics.iter().filter(|topic| topic.ingest);
        open.for_each(|topic| host.ingest.open(&topic.spec.name));
        drop(host);
        self.perform(Command::Activate(revision))
    }

    /// Ends a handler.
    pub fn remove(&self, name: &str) -> anyhow::Result<Change> {
        self.perform(Command::Remove(name.to_owned()))
    }

    /// Whether all workers of this handler run this revision.
    pub fn runs(&self, name: &str, revision: u64) -> bool {
        self.host.upgrade().is_some_and(|host| host.board.runs(name, revision))
    }

    /// What all handlers are doing; empty when the host has ended.
    pub fn handlers(&self) -> Vec<HandlerStatus> {
        self.host.upgrade().map(|host| host.board.handlers()).unwrap_or_default()
    }

    /// The host's log, for those who look on. Whoever keeps it keeps it open.
    pub fn log(&self) -> Option<Arc<dyn Log>> {
        self.host.upgrade().map(|host| Arc::clone(&host.log))
    }

    fn perform(&self, command: Command) -> anyhow::Result<Change> {
        let (answer, answered) = mpsc::channel();
        let sent = self.requests.send(Request::Perform(command, answer));
        let outcome = sent.ok().and_then(|()| answered.recv().ok());
        outcome.context("the host has stopped")?
    }

    fn host(&self) -> anyhow::Result<Arc<Host>> {
        let host = self.host.upgrade().context("the host has stopped")?;
        if host.stop.requested() {
            bail!("the host is stopping");
        }
        Ok(host)
    }
}
