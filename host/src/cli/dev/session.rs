//! The loop of `dev`: waits for changes, tries what has changed, one handler after the other, and
//! begins again when a change comes meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::attempt::{Attempted, Candidate, Tools, attempt};
use crate::cli::folders::Found;
use crate::cli::sources::Sources;
use crate::handler::Handler;
use crate::revision::Revision;
use crate::stop::Stop;
use crate::watch::Watcher;

/// How often a running attempt is looked after while nothing changes.
const GLANCE: Duration = Duration::from_millis(20);
/// Changed files that are named; the others are counted.
const NAMED: usize = 3;

/// A handler folder, and what of it runs.
pub(super) struct Project {
    manifest: PathBuf,
    folder: PathBuf,
    /// What runs.
    active: Arc<Revision>,
    sources: Sources,
}

/// Handlers that run and are watched.
pub(super) struct Session {
    tools: Tools,
    stop: Stop,
    projects: Vec<Project>,
    /// What is to be tried, and when its change was noticed; `None`: tested as it runs.
    pending: BTreeMap<usize, Option<Instant>>,
    running: Option<Running>,
}

/// An attempt on a thread of its own.
struct Running {
    index: usize,
    cancel: Stop,
    thread: JoinHandle<Attempted>,
}

impl Project {
    /// A project whose handler has just been started from what lies in its folder.
    pub(super) fn new(found: &Found, active: &Arc<Revision>, builds: bool) -> Self {
        Self {
            manifest: found.manifest.clone(),
            folder: found.folder.clone(),
            active: Arc::clone(active),
            sources: Sources::of(&found.manifest, &found.folder, &active.handler, builds),
        }
    }
}

impl Session {
    /// Nothing is watched yet; all projects are to be tried once, for their cases.
    pub(super) fn new(tools: Tools, stop: Stop, projects: Vec<Project>) -> Self {
        let pending = (0..projects.len()).map(|index| (index, None)).collect();
        Self { tools, stop, projects, pending, running: None }
    }

    /// Watches until a stop is requested. `watcher` has watched since before the projects were
    /// built.
    pub(super) fn run(mut self, mut watcher: Watcher) {
        while !self.stop.requested() {
            let changed = match watcher.wait(GLANCE) {
                Ok(changed) => changed,
                Err(error) => {
                    error!("changes of files are not seen any more; restart to go on: {error:#}");
                    break;
                }
            };
            self.note(&changed);
            if self.reap()
                && let Some(renewed) = self.watch(&mut watcher)
            {
                watcher = renewed;
            }
            self.start_next();
        }
        if let Some(running) = self.running.take() {
            running.cancel.request();
            drop(running.thread.join());
        }
    }

    /// Queues the handlers that these files belong to. An attempt of what is outdated is called
    /// off.
    fn note(&mut self, changed: &[PathBuf]) {
        for (index, project) in self.projects.iter().enumerate() {
            let own: Vec<_> = changed.iter().filter(|path| project.sources.have(path)).collect();
            if own.is_empty() {
                continue;
            }
            let files = named(&own, &project.folder);
            info!(handler = %project.active.handler.name, files, "changed");
            self.pending.insert(index, Some(Instant::now()));
            if let Some(running) = &self.running
                && running.index == index
            {
                running.cancel.request();
            }
        }
    }

    /// Takes over the result of an attempt that has ended; `true` when other files are to be
    /// watched from now on.
    fn reap(&mut self) -> bool {
        let Some(running) = self.running.take_if(|running| running.thread.is_finished()) else {
            return false;
        };
        let project = &mut self.projects[running.index];
        let handler = match running.thread.join() {
            Ok(Attempted::Active(revision)) => {
                project.active = revision;
                Handler::clone(&project.active.handler)
            }
            Ok(Attempted::Nothing(Some(handler))) => *handler,
            Ok(Attempted::Nothing(None) | Attempted::Stopped) => return false,
            Err(_) => {
                error!(handler = %project.active.handler.name, "a defect of the host: an attempt panicked");
                return false;
            }
        };
        let builds = self.tools.builds;
        let sources = Sources::of(&project.manifest, &project.folder, &handler, builds);
        let others = sources != project.sources;
        project.sources = sources;
        if others {
            // A save of what was not watched yet went unseen.
            self.pending.insert(running.index, Some(Instant::now()));
        }
        others
    }

    /// A watcher of the sources as they are named now. What the old one has seen is noted.
    fn watch(&mut self, old: &mut Watcher) -> Option<Watcher> {
        let sources: Vec<_> = self.projects.iter().map(|p| p.sources.clone()).collect();
        let renewed = Sources::watch(&sources);
        let seen = old.wait(Duration::ZERO).unwrap_or_default();
        self.note(&seen);
        renewed
            .inspect_err(|error| error!("the manifest's sources cannot be watched: {error:#}"))
            .ok()
    }

    fn start_next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some((index, noticed)) = self.pending.pop_first() else { return };
        let project = &self.projects[index];
        let candidate = Candidate {
            running: self.projects.iter().map(|p| Handler::clone(&p.active.handler)).collect(),
            index,
            active: Arc::clone(&project.active),
            manifest: project.manifest.clone(),
            folder: project.folder.clone(),
            noticed,
        };
        let (tools, cancel) = (self.tools.clone(), Stop::default());
        let stop = cancel.clone();
        let spawned = thread::Builder::new()
            .name(format!("dev-{}", project.active.handler.name))
            .spawn(move || attempt(&tools, &candidate, &stop));
        match spawned {
            Ok(thread) => {
                self.running = Some(Running { index, cancel, thread });
            }
            Err(error) => error!("failed to start a thread for a build: {error}"),
        }
    }
}

/// Names files relative to the handler's folder.
fn named(files: &[&PathBuf], folder: &Path) -> String {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let relative =
        |path: &&PathBuf| path.strip_prefix(&folder).unwrap_or(path).display().to_string();
    let mut names: Vec<_> = files.iter().take(NAMED).map(relative).collect();
    if files.len() > NAMED {
        names.push(format!("{} more", files.len() - NAMED));
    }
    names.join(", ")
}
