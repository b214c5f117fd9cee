//! Tests again after every change, until Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use super::super::sources::Sources;
use super::super::{exit, folders, sandbox};
use super::{ExitCode, TestArgs, load, round, show};
use crate::signals;
use crate::stop::Stop;
use crate::watch::{Watcher, is_generated};

/// The longest that Ctrl-C goes unnoticed.
const GLANCE: Duration = Duration::from_millis(200);
/// Names of changed files that are shown.
const SHOWN: usize = 3;

/// Tests, and tests again, whatever goes wrong in between.
pub(super) fn watch(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::default();
    let asked = stop.clone();
    signals::watch(move || asked.request())?;
    let runtime = sandbox::of_author_who_edits()?;
    let mut watched: Option<(Watched, Watcher)> = None;
    loop {
        let found = load(args);
        let now = Watched::of(args, found.as_deref().unwrap_or_default());
        // What changes from here on is noticed, also while the tests run.
        let watcher = match &mut watched {
            Some((before, watcher)) if *before == now => watcher,
            other => {
                let watcher = now.watch()?;
                &mut other.insert((now, watcher)).1
            }
        };
        if let Err(error) = found.and_then(|found| round(args, &runtime, &found)) {
            exit::report(&error);
        }
        show("\nwaiting for changes; Ctrl-C ends it\n")?;
        let changed = loop {
            if stop.requested() {
                return Ok(ExitCode::Success);
            }
            match watcher.wait(GLANCE)? {
                changed if changed.is_empty() => {}
                changed => break changed,
            }
        };
        show(&format!("\n{}\n\n", told(&changed)))?;
    }
}

/// What is watched.
#[derive(PartialEq, Eq)]
enum Watched {
    /// The sources of the handlers.
    Sources(Vec<Sources>),
    /// As long as none can be read: where they are looked for.
    Folders(Vec<PathBuf>),
}

impl Watched {
    fn of(args: &TestArgs, found: &[folders::Found]) -> Self {
        match (found, args.folders.as_slice()) {
            ([], []) => Self::Folders(vec![PathBuf::from(".")]),
            ([], given) => Self::Folders(given.to_vec()),
            (found, _) => Self::Sources(Sources::of_all(found, !args.no_build)),
        }
    }

    fn watch(&self) -> anyhow::Result<Watcher> {
        match self {
            Self::Sources(sources) => Sources::watch(sources),
            Self::Folders(folders) => Watcher::new(folders.iter().cloned(), is_generated),
        }
    }
}

fn told(changed: &[PathBuf]) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let name = |path: &PathBuf| path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let names: Vec<_> = changed.iter().take(SHOWN).map(name).collect();
    match changed.len().saturating_sub(SHOWN) {
        0 => format!("changed: {}", names.join(", ")),
        more => format!("changed: {} and {more} more", names.join(", ")),
    }
}
