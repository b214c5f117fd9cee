//! Values that are read from files, and read again when the files change.
//!
//! Promises that a value in use was read whole: files that cannot be read leave the old value in
//! place, which is said once, and what cannot be read just because it is being written is tried
//! again before anything is said. The files are looked at, not watched: that also works for what
//! an orchestrator mounts. Knows nothing of what is read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tracing::{error, info};

use crate::stop::Stop;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The value as it was read last. Cloning shares it.
#[derive(Debug)]
pub struct Reloaded<T>(Arc<RwLock<Arc<T>>>);

impl<T> Reloaded<T> {
    /// A value; whoever made it decides whether it ever changes.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value of this moment.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Reloaded<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Has files looked at.
pub trait Reload: Send {
    /// Looks at the files, and reads them when they are others than the last time.
    fn look(&mut self);
}

/// Files, and how a value is made of them.
pub struct Source<T> {
    /// What log lines call the value.
    what: &'static str,
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> anyhow::Result<T> + Send>,
    value: Reloaded<T>,
    /// The files as they were before they were read last.
    seen: Vec<Option<Stamp>>,
    /// Whether the last reading failed and nothing was said about it yet.
    doubtful: bool,
}

/// What tells one content of a file from another, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Permissions count too: they may be what kept the file from being read.
    changed: (i64, i64),
}

impl<T: Send + Sync + 'static> Source<T> {
    /// Reads the value for the first time.
    pub fn open(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let seen = stamps(&files);
        let value = Reloaded::new(read()?);
        Ok(Self { what, files, read: Box::new(read), value, seen, doubtful: false })
    }

    /// Where the value is found from now on.
    pub fn value(&self) -> Reloaded<T> {
        self.value.clone()
    }
}

impl<T: Send + Sync> Reload for Source<T> {
    fn look(&mut self) {
        let now = stamps(&self.files);
        let same = now == self.seen;
        if same && !self.doubtful {
            return;
        }
        self.seen = now;
        match (self.read)() {
            Ok(value) => {
                self.value.set(value);
                self.doubtful = false;
                info!("{} reloaded", self.what);
            }
            // Perhaps one of several files, or half of one, is not there yet.
            Err(_) if !same => self.doubtful = true,
            Err(problem) => {
                self.doubtful = false;
                error!("{} cannot be reloaded and stay as they were: {problem:#}", self.what);
            }
        }
    }
}

/// Looks at these again and again, on a thread of its own, until a stop is requested.
pub fn watch(mut sources: Vec<Box<dyn Reload>>, stop: &Stop) -> anyhow::Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    let stop = stop.clone();
    let look = move || {
        while !stop.sleep(INTERVAL) {
            sources.iter_mut().for_each(|source| source.look());
        }
    };
    thread::Builder::new()
        .name("reload".to_owned())
        .spawn(look)
        .map(drop)
        .context("failed to start the thread that looks for changed files")
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| Stamp::of(file)).collect()
}

impl Stamp {
    /// `None` for a file that is not there. What is behind a link counts.
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::logged;

    /// Two files that have to agree, as a certificate and its key do.
    struct Pair(TempDir);

    impl Pair {
        fn new() -> Self {
            let pair = Self(TempDir::new().unwrap());
            ["one", "two"].iter().for_each(|name| pair.write(name, "first"));
            pair
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Puts another file in the place of the old one.
        fn write(&self, name: &str, text: &str) {
            let beside = self.path("beside");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, self.path(name)).unwrap();
        }

        fn source(&self) -> Source<String> {
            let [one, two] = ["one", "two"].map(|name| self.path(name));
            let files = vec![one.clone(), two.clone()];
            let read = move || {
                let one = fs::read_to_string(&one).context("failed to read \"one\"")?;
                ensure!(one == fs::read_to_string(&two)?, "they differ");
                Ok(one)
            };
            Source::open("pairs", files, read).unwrap()
        }
    }

    #[test]
    fn a_change_is_seen_and_what_is_the_same_is_not_read() {
        let pair = Pair::new();
        let mut source = pair.source();
        let value = source.value();
        let log = logged(|| {
            source.look();
            assert_eq!(*value.get(), "first");
            ["one", "two"].iter().for_each(|name| pair.write(name, "other"));
            source.look();
            source.look();
        });
        assert_eq!(*value.get(), "other");
        assert_eq!(log.matches("pairs reloaded").count(), 1, "{log}");
    }

    #[test]
    fn what_is_half_written_is_tried_again_before_anything_is_said() {
        let pair = Pair::new();
        let mut source = pair.source();
        let log = logged(|| {
            pair.write("one", "other");
            source.look();
            assert_eq!(*source.value().get(), "first");
            pair.write("two", "other");
            source.look();
        });
        assert_eq!(*source.value().get(), "other");
        assert!(!log.contains("cannot"), "{log}");
    }

    #[test]
    fn what_stays_broken_is_told_once_and_the_old_value_stays() {
        let pair = Pair::new();
        let mut source = pair.source();
        let log = logged(|| {
            fs::remove_file(pair.path("one")).unwrap();
            (0..5).for_each(|_| source.look());
        });
        assert_eq!(*source.value().get(), "first");
        assert_eq!(log.matches("ERROR").count(), 1, "{log}");
        assert!(log.contains("failed to read \"one\""), "{log}");
        pair.write("one", "first");
        source.look();
        assert!(!source.doubtful);
    }
}
