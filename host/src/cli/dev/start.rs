//! The start of `dev`: the first build, then the host, then the loop that watches.

use std::io::Write as _;
use std::sync::{PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tracing::{error, info};

use super::attempt::{self, Tools, build_trouble};
use super::live::Live;
use super::screen::{Screen, Trouble};
use super::session::{Project, Session};
use super::{handlers, topics};
use crate::cli::folders::Found;
use crate::cli::invitation::{Invitation, events_url};
use crate::cli::sandbox;
use crate::cli::terminal::{self, Lines};
use crate::config::HostConfig;
use crate::deployment;
use crate::server::{self, Ready};
use crate::stop::Stop;
use crate::toolchain::BuildError;
use crate::watch::Watcher;

/// How often somebody who waits for a change looks for a stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Builds all handlers. One that does not build is an error, unless there is a watcher: then a
/// change of its sources is waited for, and it is built again. `false` when a stop came first.
pub(super) fn build(
    found: &mut [Found],
    screen: &Screen,
    mut mender: Option<&mut Watcher>,
    stop: &Stop,
) -> anyhow::Result<bool> {
    for found in found {
        loop {
            let name = found.handler.name.clone();
            let built = attempt::build(&found.handler, &found.folder, &name, screen, stop);
            if stop.requested() {
                return Ok(false);
            }
            screen.idle(&name);
            match (built, mender.as_deref_mut()) {
                (Ok(()), _) => break,
                (Err(error @ BuildError::Failed { .. }), Some(watcher)) => {
                    screen.trouble(&name, build_trouble(error));
                    if !mended(found, &name, screen, watcher, stop)? {
                        return Ok(false);
                    }
                }
                (Err(error), _) => return Err(failed(error, &name)),
            }
        }
        screen.cured(&found.handler.name);
    }
    Ok(true)
}

/// What the compiler said, as it said it, and the error that names the handler.
fn failed(error: BuildError, name: &str) -> anyhow::Error {
    if let BuildError::Failed { output, .. } = &error {
        // Without stderr there is nobody to tell.
        drop(Lines.write_all(output));
    }
    anyhow::Error::from(error).context(format!("failed to build handler {name:?}"))
}

/// Waits for a change after which the manifest can be read; `false` when a stop came first.
fn mended(
    found: &mut Found,
    name: &str,
    screen: &Screen,
    watcher: &mut Watcher,
    stop: &Stop,
) -> anyhow::Result<bool> {
    info!(handler = %name, "waiting for a change");
    while !stop.requested() {
        if watcher.wait(GLANCE)?.is_empty() {
            continue;
        }
        match deployment::load(&found.manifest) {
            Ok(handler) => {
                found.handler = handler;
                screen.runs(name, &found.handler);
                return Ok(true);
            }
            Err(error) => {
                let title = "the manifest is refused".to_owned();
                screen.trouble(name, Trouble { title, text: error.to_string() });
            }
        }
    }
    Ok(false)
}

/// What there is to start.
pub(super) struct Start {
    pub(super) found: Vec<Found>,
    /// The host's, without topics.
    pub(super) config: HostConfig,
    pub(super) invitation: Invitation,
    pub(super) builds: bool,
    pub(super) screen: Screen,
    pub(super) watcher: Option<Watcher>,
    pub(super) stop: Stop,
}

impl Start {
    /// Runs the host until a stop is requested, and the loop beside it.
    pub(super) fn run(self, live: Option<&Live>) -> anyhow::Result<()> {
        let handlers = handlers(&self.found);
        crate::config::cross_check(&self.config, &handlers)?;
        let config = HostConfig { topics: topics::of(&handlers), ..self.config.clone() };
        let stop = self.stop.clone();
        let shown = live.map(Live::host);
        let (sender, sessions) = mpsc::channel();
        let on_ready = move |ready: Ready| {
            if let Some(shown) = shown {
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                *shown = Some(ready.control.clone());
            }
            match self.watch(ready) {
                // Taken over by the thread that runs the host.
                Ok(Some(session)) => drop(sender.send(session)),
                Ok(None) => {}
                Err(error) => error!("changes are not watched: {error:#}"),
            }
        };
        let ran = server::run(
            config,
            handlers,
            sandbox::of_author_who_edits()?,
            stop,
            Box::new(on_ready),
        );
        while let Ok(session) = sessions.try_recv() {
            // A panic has said why.
            drop(session.join());
        }
        ran
    }

    /// Invites to try what runs, and starts the loop.
    fn watch(self, ready: Ready) -> anyhow::Result<Option<thread::JoinHandle<()>>> {
        // Without stdout there is nobody to invite; the host runs all the same.
        drop(terminal::stdout(&self.invitation.text(ready.ingest)));
        let sources = self.found.iter().flat_map(|found| &found.handler.from);
        let topic = sources.map(|topic| &**topic).next().unwrap_or_default();
        self.screen.host_runs(events_url(ready.ingest, topic));
        let Some(watcher) = self.watcher else { return Ok(None) };
        let projects: Vec<_> = self
            .found
            .iter()
            .zip(&ready.revisions)
            .map(|(found, active)| Project::new(found, active, self.builds))
            .collect();
        let tools = Tools {
            control: ready.control,
            config: self.config,
            screen: self.screen,
            builds: self.builds,
        };
        let session = Session::new(tools, self.stop, projects);
        let watching = thread::Builder::new().name("dev".to_owned());
        let thread = watching.spawn(move || session.run(watcher));
        let thread = thread.context("failed to start the thread that watches the sources")?;
        info!("watching; a save builds, tests and swaps");
        Ok(Some(thread))
    }
}
