//! Tests again after every change, until Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{exit, folders};
use super::{ExitCode, TestArgs, load, round, show};
use crate::signals;
use crate::stop::Stop;
use crate::wasm::Runtime;
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
    let runtime = Runtime::new()?;
    let mut watched: Option<(Vec<PathBuf>, Watcher)> = None;
    loop {
        let found = load(args);
        let paths = paths(args, found.as_deref().unwrap_or_default());
        // What changes from here on is noticed, also while the tests run.
        let watcher = match &mut watched {
            Some((before, watcher)) if *before == paths => watcher,
            other => &mut other.insert((paths.clone(), watcher(&paths, &found)?)).1,
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

/// The folders of the handlers; as long as none can be read, where they are looked for.
fn paths(args: &TestArgs, found: &[folders::Found]) -> Vec<PathBuf> {
    match (found, args.folders.as_slice()) {
        ([], []) => vec![PathBuf::from(".")],
        ([], given) => given.to_vec(),
        (found, _) => found.iter().map(|found| found.folder.clone()).collect(),
    }
}

fn watcher(
    paths: &[PathBuf],
    found: &anyhow::Result<Vec<folders::Found>>,
) -> anyhow::Result<Watcher> {
    let found = found.as_deref().unwrap_or_default();
    let components: Vec<_> = found.iter().map(|found| found.handler.component.clone()).collect();
    Watcher::new(paths.iter().cloned(), move |path| {
        is_generated(path) || components.iter().any(|component| component == path)
    })
}

fn told(changed: &[PathBuf]) -> String {
    let names: Vec<_> = changed.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    match changed.len().saturating_sub(SHOWN) {
        0 => format!("changed: {}", names.join(", ")),
        more => format!("changed: {} and {more} more", names.join(", ")),
    }
}
