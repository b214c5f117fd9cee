//! Waits until files change.
//!
//! The operating system only gives the alarm; what has changed is found by looking at the files:
//! those that are new, gone, or have another size or time of modification. So reading is no
//! change, a burst of writes is one, and an alarm that comes late or twice does no harm. Folders
//! that are ignored are not entered and cost nothing. Knows nothing of handlers or builds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// A change is reported once nothing has happened for so long: editors write in several steps.
const QUIET: Duration = Duration::from_millis(50);
/// A change is reported after this, however much goes on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Folders that builds, package managers and Lockstep itself write to.
const GENERATED: &[&str] =
    &["target", "node_modules", "dist", "build", "__pycache__", "venv", "lockstep-data"];

/// Watches files and folders, with everything below them that is not ignored.
pub struct Watcher {
    roots: Vec<PathBuf>,
    ignore: Box<dyn Fn(&Path) -> bool + Send>,
    /// The files as they were when they were last looked at.
    files: BTreeMap<PathBuf, Stamp>,
    /// The folders that give alarm. One that was replaced by another of its name does not.
    folders: BTreeMap<PathBuf, Identity>,
    system: RecommendedWatcher,
    alarms: Receiver<()>,
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

/// What tells a folder from another one in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    inode: u64,
    created: Option<SystemTime>,
}

impl Watcher {
    /// Watches `paths` from now on: folders with all that they hold, files, and what does not
    /// exist yet. `ignore` is asked about everything below the paths, folders before what they
    /// hold; what it answers `true` for is left out, and not entered when it is a folder.
    pub fn new(
        paths: impl IntoIterator<Item = PathBuf>,
        ignore: impl Fn(&Path) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, alarms) = mpsc::channel();
        let system = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| event.need_rescan() || is_change(event.kind)) {
                // Nobody listens when the watcher is being dropped.
                drop(sender.send(()));
            }
        })
        .context("failed to ask the operating system for changes of files")?;
        let mut watcher = Self {
            roots: paths.into_iter().collect(),
            ignore: Box::new(ignore),
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            system,
            alarms,
        };
        watcher.look()?;
        Ok(watcher)
    }

    /// Waits for a change, at most for `max_wait`, and then until the writing has ended. Returns
    /// the files that are new, changed or gone since the last call, sorted; none when the time
    /// is over. What changes between two calls is reported by the second.
    pub fn wait(&mut self, max_wait: Duration) -> anyhow::Result<Vec<PathBuf>> {
        let deadline = Instant::now() + max_wait;
        loop {
            match self.alarms.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the operating system no longer tells about changes of files")
                }
                Ok(()) => self.wait_until_quiet(),
            }
            let changed = self.look()?;
            if !changed.is_empty() {
                return Ok(changed);
            }
        }
    }

    fn wait_until_quiet(&self) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.alarms.recv_timeout(QUIET).is_ok() {}
    }

    /// Looks at all files, and watches the folders that are new among them.
    fn look(&mut self) -> anyhow::Result<Vec<PathBuf>> {
        let mut seen = Seen { watcher: self, files: BTreeMap::new(), folders: BTreeSet::new() };
        for index in 0..seen.watcher.roots.len() {
            let root = seen.watcher.roots[index].clone();
            seen.root(&root).with_context(|| format!("failed to watch {root:?}"))?;
        }
        let Seen { files, folders, .. } = seen;
        let before = std::mem::replace(&mut self.files, files);
        self.folders.retain(|folder, _| folders.contains(folder));
        let differs = |path: &&PathBuf| before.get(*path) != self.files.get(*path);
        let all: BTreeSet<&PathBuf> = before.keys().chain(self.files.keys()).collect();
        Ok(all.into_iter().filter(differs).cloned().collect())
    }

    /// Has the system give alarm when something in this folder changes.
    fn guard(&mut self, folder: &Path, metadata: &Metadata) -> anyhow::Result<()> {
        let identity = Identity { inode: metadata.ino(), created: metadata.created().ok() };
        if self.folders.get(folder) == Some(&identity) {
            return Ok(());
        }
        match self.system.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.folders.insert(folder.to_owned(), identity);
                Ok(())
            }
            // It was removed a moment ago; whatever holds it gives the alarm.
            Err(_) if !folder.is_dir() => Ok(()),
            Err(error) => Err(refusal(error)),
        }
    }
}

/// One look at everything.
struct Seen<'a> {
    watcher: &'a mut Watcher,
    files: BTreeMap<PathBuf, Stamp>,
    folders: BTreeSet<PathBuf>,
}

impl Seen<'_> {
    fn root(&mut self, root: &Path) -> anyhow::Result<()> {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => self.folder(root, &metadata),
            Ok(metadata) => {
                self.files.insert(root.to_owned(), Stamp::of(&metadata));
                self.holder(root)
            }
            Err(_) => self.holder(root),
        }
    }

    /// The nearest folder above that exists: where the alarm is given when a file is replaced, or
    /// appears.
    fn holder(&mut self, path: &Path) -> anyhow::Result<()> {
        for folder in path.ancestors().skip(1) {
            let folder = if folder == Path::new("") { Path::new(".") } else { folder };
            if let Ok(metadata) = fs::metadata(folder)
                && metadata.is_dir()
            {
                self.folders.insert(folder.to_owned());
                return self.watcher.guard(folder, &metadata);
            }
        }
        Ok(())
    }

    /// Watches before it looks, so that nothing changes unseen in between.
    fn folder(&mut self, folder: &Path, metadata: &Metadata) -> anyhow::Result<()> {
        self.folders.insert(folder.to_owned());
        self.watcher.guard(folder, metadata)?;
        let Some(entries) = if_there(fs::read_dir(folder))? else { return Ok(()) };
        for entry in entries {
            let Some(entry) = if_there(entry)? else { continue };
            let path = entry.path();
            if (self.watcher.ignore)(&path) {
                continue;
            }
            let Some(kind) = if_there(entry.file_type())? else { continue };
            // The content of a link counts, a folder behind one is not entered: it may lead back.
            let Some(metadata) = if_there(fs::metadata(&path))? else { continue };
            if kind.is_dir() {
                self.folder(&path, &metadata)?;
            } else if metadata.is_file() {
                self.files.insert(path, Stamp::of(&metadata));
            }
        }
        Ok(())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { modified: metadata.modified().ok(), bytes: metadata.len() }
    }
}

/// `None` for what has just been removed, or may not be read.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        other => other.map(Some),
    }
}

/// Whether an event may mean that a file is another one now.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn refusal(error: notify::Error) -> anyhow::Error {
    match error.kind {
        ErrorKind::MaxFilesWatch => anyhow!(
            "the operating system watches no more folders for this user; raise the limit with \
             `sysctl fs.inotify.max_user_watches=524288`, or watch fewer folders"
        ),
        _ => error.into(),
    }
}

/// Whether a path is named like something that people do not write: the output of builds and
/// package managers, a log, what editors leave beside a file, and everything hidden.
pub fn is_generated(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return false };
    name.starts_with('.')
        || name.ends_with('~')
        || (name.starts_with('#') && name.ends_with('#'))
        || GENERATED.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Longer than any alarm takes.
    const SOON: Duration = Duration::from_secs(20);
    /// Long enough to trust that no alarm comes.
    const NEVER: Duration = Duration::from_millis(300);

    struct Scratch(TempDir);

    impl Scratch {
        fn with(files: &[&str]) -> Self {
            let scratch = Self(TempDir::new().expect("a temporary directory can be made"));
            files.iter().for_each(|file| scratch.write(file, "old"));
            scratch
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, content: &str) {
            let path = self.path(name);
            let folder = path.parent().expect("it lies in the directory");
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, content)).expect("writable");
        }

        fn watch(&self, names: &[&str]) -> Watcher {
            let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
            Watcher::new(paths, is_generated).expect("it can be watched")
        }

        fn changed(&self, watcher: &mut Watcher, within: Duration) -> Vec<String> {
            let changed = watcher.wait(within).expect("nothing is wrong");
            let relative = |path: &PathBuf| {
                path.strip_prefix(self.0.path()).unwrap_or(path).display().to_string()
            };
            changed.iter().map(relative).collect()
        }
    }

    #[test]
    fn files_that_are_written_made_and_removed_are_one_change() {
        let scratch = Scratch::with(&["a", "deep/er/b", "gone"]);
        let mut watcher = scratch.watch(&[""]);
        scratch.write("a", "newer");
        scratch.write("deep/er/b", "newer");
        scratch.write("made", "new");
        fs::remove_file(scratch.path("gone")).expect("it is there");
        let changed = scratch.changed(&mut watcher, SOON);
        assert_eq!(changed, ["a", "deep/er/b", "gone", "made"]);
    }

    #[test]
    fn what_happens_between_two_waits_is_seen_by_the_second() {
        let scratch = Scratch::with(&["a"]);
        let mut watcher = scratch.watch(&[""]);
        for content in ["second", "the third"] {
            scratch.write("a", content);
            assert_eq!(scratch.changed(&mut watcher, SOON), ["a"]);
        }
    }

    #[test]
    fn folders_that_appear_are_watched_with_what_they_hold() {
        let scratch = Scratch::with(&["a"]);
        let mut watcher = scratch.watch(&[""]);
        scratch.write("new/folder/b", "b");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["new/folder/b"]);
        scratch.write("new/folder/b", "b again");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["new/folder/b"]);
    }

    #[test]
    fn a_folder_that_was_replaced_is_still_watched() {
        let scratch = Scratch::with(&["src/a"]);
        let mut watcher = scratch.watch(&[""]);
        fs::remove_dir_all(scratch.path("src")).expect("it is there");
        scratch.write("src/a", "another");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["src/a"]);
        scratch.write("src/a", "yet another");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["src/a"]);
    }

    #[test]
    fn a_file_that_an_editor_replaces_is_still_watched() {
        let scratch = Scratch::with(&["handler.toml", "other"]);
        let mut watcher = scratch.watch(&["handler.toml"]);
        for content in ["first save", "another save"] {
            scratch.write("other", content);
            scratch.write("saving", content);
            fs::rename(scratch.path("saving"), scratch.path("handler.toml")).expect("writable");
            assert_eq!(scratch.changed(&mut watcher, SOON), ["handler.toml"]);
        }
    }

    #[test]
    fn what_does_not_exist_yet_is_reported_when_it_does() {
        let scratch = Scratch::with(&["a"]);
        let mut watcher = scratch.watch(&["cases"]);
        scratch.write("cases/one/in.json", "{}");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["cases/one/in.json"]);
    }

    #[test]
    fn reading_and_writing_what_is_ignored_is_no_change() {
        let scratch = Scratch::with(&["a", "target/x", ".git/index", "node_modules/m/x"]);
        let mut watcher = scratch.watch(&[""]);
        fs::read(scratch.path("a")).expect("it is there");
        for name in ["target/x", "target/deep/x", ".git/index", ".a.swp", "a~", "node_modules/m/x"]
        {
            scratch.write(name, "newer");
        }
        assert_eq!(scratch.changed(&mut watcher, NEVER), [""; 0]);
        scratch.write("a", "newer");
        assert_eq!(scratch.changed(&mut watcher, SOON), ["a"]);
    }
}
