//! One attempt to make what lies in a handler's folder its active revision: manifest, build,
//! component, cases, swap. Whatever fails leaves the old revision running.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::screen::{Phase, Screen, Trouble};
use super::topics;
use crate::cli::building::rounded;
use crate::cli::logging;
use crate::config::{self, HostConfig};
use crate::deployment;
use crate::digest::Digest;
use crate::handler::{Handler, Instances};
use crate::revision::Revision;
use crate::runner::{self, Options, Report};
use crate::server::Control;
use crate::stop::Stop;
use crate::supervisor::Change;
use crate::toolchain::{BuildError, Toolchain};

/// How long workers may take to run a revision before that is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they do.
const GLANCE: Duration = Duration::from_millis(5);

/// What every attempt needs.
#[derive(Clone)]
pub(super) struct Tools {
    /// The host.
    pub(super) control: Control,
    /// Its configuration.
    pub(super) config: HostConfig,
    /// Where people see how it goes.
    pub(super) screen: Screen,
    /// Whether components are built, or taken as they are.
    pub(super) builds: bool,
}

/// One handler, as it is tried.
#[derive(Clone)]
pub(super) struct Candidate {
    /// The handlers that run, in the order of the configuration.
    pub(super) running: Vec<Handler>,
    /// Which of them is tried.
    pub(super) index: usize,
    /// What of it runs.
    pub(super) active: Arc<Revision>,
    /// Its manifest.
    pub(super) manifest: PathBuf,
    /// The folder of the manifest.
    pub(super) folder: PathBuf,
    /// When a change was noticed; `None` when nothing has changed, and what runs is only tested.
    pub(super) noticed: Option<Instant>,
}

/// How an attempt ended.
pub(super) enum Attempted {
    /// This revision is the active one.
    Active(Arc<Revision>),
    /// Nothing is to be changed; the manifest as it was read, when it could be.
    Nothing(Option<Box<Handler>>),
    /// It was called off.
    Stopped,
}

/// Why the old revision stays.
struct Refusal {
    trouble: Trouble,
    /// The manifest, when that was not the reason.
    handler: Option<Box<Handler>>,
}

impl Refusal {
    fn new(title: impl Into<String>, text: impl Into<String>, handler: Option<&Handler>) -> Self {
        let trouble = Trouble { title: title.into(), text: text.into() };
        Self { trouble, handler: handler.cloned().map(Box::new) }
    }
}

/// Tries the candidate, says how it went, and never fails.
pub(super) fn attempt(tools: &Tools, candidate: &Candidate, stop: &Stop) -> Attempted {
    let old = &*candidate.active.handler;
    let tried = Attempt { tools, candidate, old, stop }.run();
    if stop.requested() && !matches!(tried, Ok(Attempted::Active(..))) {
        return Attempted::Stopped;
    }
    let runs = match &tried {
        Ok(Attempted::Active(revision)) => &revision.handler.name,
        _ => &old.name,
    };
    tools.screen.idle(runs);
    match tried {
        Ok(attempted) => attempted,
        Err(Refusal { trouble, handler }) => {
            warn!(handler = %old.name, "{}; {} keeps running", trouble.title, old.label());
            tools.screen.trouble(&old.name, trouble);
            Attempted::Nothing(handler)
        }
    }
}

struct Attempt<'a> {
    tools: &'a Tools,
    candidate: &'a Candidate,
    old: &'a Handler,
    stop: &'a Stop,
}

impl Attempt<'_> {
    fn run(&self) -> Result<Attempted, Refusal> {
        if self.candidate.noticed.is_none() {
            self.cases(&self.candidate.active)?;
            self.properties(&self.candidate.active);
            return Ok(Attempted::Nothing(None));
        }
        let mut handler = self.manifest()?;
        if self.tools.builds {
            self.build(&handler)?;
        }
        let component = deployment::read_component(&handler)
            .map_err(|e| Refusal::new("no component", format!("{e:#}"), Some(&handler)))?;
        handler.revision = self.old.revision;
        let changed =
            handler != *self.old || self.candidate.active.digest != Digest::of(&component);
        if changed && handler.name == self.old.name {
            handler.revision += 1;
        }
        if !changed {
            self.cases(&self.candidate.active)?;
            self.tools.screen.cured(&self.old.name);
            info!(handler = %handler.name, "nothing to swap: manifest and component are the same");
            self.properties(&self.candidate.active);
            return Ok(Attempted::Nothing(Some(Box::new(handler))));
        }
        let revision = self.load(handler, &component)?;
        self.cases(&revision)?;
        self.go_on(Phase::Swapping)?;
        let change = self.swap(&revision).map_err(|error| {
            Refusal::new("the change is refused", format!("{error:#}"), Some(&revision.handler))
        })?;
        self.wait_until_it_runs(&revision.handler, change);
        self.properties(&revision);
        Ok(Attempted::Active(revision))
    }

    fn load(&self, handler: Handler, component: &[u8]) -> Result<Arc<Revision>, Refusal> {
        self.go_on(Phase::Loading)?;
        let revision = self.tools.control.load(handler.clone(), component).map_err(|error| {
            Refusal::new("the component is refused", format!("{error:#}"), Some(&handler))
        })?;
        Ok(Arc::new(revision))
    }

    /// The manifest, checked on its own and beside the others.
    fn manifest(&self) -> Result<Handler, Refusal> {
        let refused = |error: config::ConfigError| {
            Refusal::new("the manifest is refused", error.to_string(), None)
        };
        let handler = deployment::load(&self.candidate.manifest).map_err(refused)?;
        config::cross_check(&self.tools.config, &self.all(&handler)).map_err(refused)?;
        Ok(handler)
    }

    /// All handlers, with this one in its place.
    fn all(&self, handler: &Handler) -> Vec<Handler> {
        let mut all = self.candidate.running.clone();
        all[self.candidate.index] = handler.clone();
        all
    }

    fn build(&self, handler: &Handler) -> Result<(), Refusal> {
        let (name, folder) = (&self.old.name, &self.candidate.folder);
        build(handler, folder, name, &self.tools.screen, self.stop).map_err(|e| {
            let handler = Some(Box::new(handler.clone()));
            Refusal { trouble: build_trouble(e), handler }
        })
    }

    /// What the author expects: without that, nothing is swapped.
    fn cases(&self, revision: &Revision) -> Result<(), Refusal> {
        self.go_on(Phase::Testing)?;
        let handler = &revision.handler;
        let begun = Instant::now();
        let report = self
            .report(revision, Options { properties: false, ..Options::default() })
            .map_err(|e| Refusal::new("a case is wrong", format!("{e:#}"), Some(handler)))?;
        if !report.passed() {
            return Err(Refusal::new("cases fail", report.failures(), Some(handler)));
        }
        let took = rounded(begun.elapsed());
        info!(handler = %handler.name, cases = report.results.len(), took, "cases passed");
        Ok(())
    }

    /// What holds for every good handler. Takes longer than somebody wants to wait for the swap,
    /// and what it finds may be meant so for now.
    fn properties(&self, revision: &Revision) {
        if self.stop.requested() {
            return;
        }
        self.tools.screen.phase(&revision.handler.name, Phase::Testing);
        // Its workers run it meanwhile, and may share a pool of instances.
        let jobs = (revision.handler.instances == Instances::PerEvent).then_some(1);
        let failures =
            match self.report(revision, Options { cases: false, jobs, ..Options::default() }) {
                Ok(report) if report.passed() => return,
                Ok(report) => report.failures(),
                Err(error) => format!("{error:#}"),
            };
        let title = "properties do not hold";
        warn!(handler = %revision.handler.name, "{title}; {} runs all the same", revision.handler.label());
        let trouble = Trouble { title: title.to_owned(), text: failures };
        self.tools.screen.trouble(&revision.handler.name, trouble);
    }

    fn report(&self, revision: &Revision, options: Options) -> anyhow::Result<Report> {
        runner::run(&revision.program, &self.candidate.folder, &options)
    }

    fn swap(&self, revision: &Arc<Revision>) -> anyhow::Result<Change> {
        let (control, handler) = (&self.tools.control, &revision.handler);
        let revision = Arc::clone(revision);
        let topics = topics::of(&self.all(handler));
        if handler.name == self.old.name {
            return control.activate(revision, &topics);
        }
        control.remove(&self.old.name)?;
        control.activate(revision, &topics)
    }

    fn wait_until_it_runs(&self, handler: &Handler, change: Change) {
        self.tools.screen.runs(&self.old.name, handler);
        let begun = Instant::now();
        while !self.tools.control.runs(&handler.name, handler.revision) {
            if begun.elapsed() > PATIENCE {
                let label = handler.label();
                warn!("{label} is active, but its workers do not run it yet");
                return;
            }
            if self.stop.sleep(GLANCE) {
                return;
            }
        }
        let waited = rounded(begun.elapsed());
        let took = rounded(self.candidate.noticed.map(|at| at.elapsed()).unwrap_or_default());
        info!(handler = %handler.name, waited, took, "{change}: {} runs", handler.label());
    }

    /// The next step, unless the attempt is called off.
    fn go_on(&self, phase: Phase) -> Result<(), Refusal> {
        if self.stop.requested() {
            return Err(Refusal::new("called off", "", None));
        }
        self.tools.screen.phase(&self.old.name, phase);
        Ok(())
    }
}

/// Builds a handler; `name` is the one that the screen knows it by.
pub(super) fn build(
    handler: &Handler,
    folder: &Path,
    name: &str,
    screen: &Screen,
    stop: &Stop,
) -> Result<(), BuildError> {
    screen.phase(name, Phase::Building(String::new()));
    let begun = Instant::now();
    let progress = |line: &str| screen.phase(name, Phase::Building(line.trim().to_owned()));
    let toolchain = Toolchain { colours: logging::colours() };
    toolchain.build_until(handler, folder, &progress, stop)?;
    let took = rounded(begun.elapsed());
    info!(handler = %handler.name, took, "built");
    Ok(())
}

/// A build that failed, with all that its compiler said.
pub(super) fn build_trouble(error: BuildError) -> Trouble {
    let text = match &error {
        BuildError::Failed { output, .. } => {
            format!("{}\n{error}", String::from_utf8_lossy(output).trim_end())
        }
        _ => String::new(),
    };
    let text = if text.is_empty() { format!("{:#}", anyhow::Error::from(error)) } else { text };
    Trouble { title: "does not build".to_owned(), text }
}
