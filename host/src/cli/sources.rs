//! What is watched of a handler: the files that a person writes, and not those that builds write.

use std::path::{Path, PathBuf};

use crate::cli::folders::Found;
use crate::handler::Handler;
use crate::watch::{self, Watcher};

/// A folder of test cases: it makes no new component, but another verdict on it.
const CASES: &str = "cases";

/// The files of one handler.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::cli) struct Sources {
    /// Files, and folders with all that they hold.
    roots: Vec<PathBuf>,
    /// What the build writes; a source all the same when nothing is built.
    component: PathBuf,
    builds: bool,
}

impl Sources {
    /// The sources of a handler: what its manifest names, by default its whole folder, and always
    /// its manifest and its cases. Without builds, the component in place of the code.
    pub(in crate::cli) fn of(
        manifest: &Path,
        folder: &Path,
        handler: &Handler,
        builds: bool,
    ) -> Self {
        let mut roots = vec![absolute(manifest), absolute(&folder.join(CASES))];
        let component = absolute(&handler.component);
        match handler.build_watch.as_slice() {
            _ if !builds => roots.push(component.clone()),
            [] => roots.push(absolute(folder)),
            named => roots.extend(named.iter().map(|path| absolute(path))),
        }
        Self { roots, component, builds }
    }

    /// The sources of each of these handlers.
    pub(in crate::cli) fn of_all(found: &[Found], builds: bool) -> Vec<Self> {
        let of = |found: &Found| Self::of(&found.manifest, &found.folder, &found.handler, builds);
        found.iter().map(of).collect()
    }

    /// Watches the files of all of these from now on.
    pub(in crate::cli) fn watch(all: &[Self]) -> anyhow::Result<Watcher> {
        let roots: Vec<_> = all.iter().flat_map(|sources| sources.roots.clone()).collect();
        let built: Vec<_> = all.iter().filter(|s| s.builds).map(|s| s.component.clone()).collect();
        Watcher::new(roots, move |path| {
            watch::is_generated(path) || built.iter().any(|component| component == path)
        })
    }

    /// Whether this file, which has changed, is one of them.
    pub(in crate::cli) fn have(&self, path: &Path) -> bool {
        !(self.builds && path == self.component)
            && self.roots.iter().any(|root| path.starts_with(root))
    }
}

/// A path that can be compared. Failing that, the path as it is.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
