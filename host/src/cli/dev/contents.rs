//! Tells a person's save from a build that writes the same again: some builds generate code into
//! the folder that is watched, and must not start themselves over and over.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attempt::digest;

/// So long after an attempt a file that it wrote may still be reported.
const ECHO: Duration = Duration::from_secs(1);

/// What was in the files that were reported.
#[derive(Default)]
pub(super) struct Contents {
    digests: HashMap<PathBuf, Option<u64>>,
    attempts: Attempts,
}

/// Whether an attempt may be what writes.
#[derive(Default)]
enum Attempts {
    #[default]
    None,
    Running,
    Ended(Instant),
}

impl Contents {
    /// An attempt begins.
    pub(super) fn attempt_begins(&mut self) {
        self.attempts = Attempts::Running;
    }

    /// The attempt has ended.
    pub(super) fn attempt_ended(&mut self) {
        self.attempts = Attempts::Ended(Instant::now());
    }

    /// Whether a file that was reported is to be heeded. Not so when what it holds has been
    /// heeded before, and an attempt may have written it again.
    pub(super) fn is_new(&mut self, path: &Path) -> bool {
        let now = fs::read(path).ok().map(|content| digest(&content));
        let before = self.digests.insert(path.to_owned(), now);
        let written_by_attempt = match self.attempts {
            Attempts::None => false,
            Attempts::Running => true,
            Attempts::Ended(at) => at.elapsed() < ECHO,
        };
        !(written_by_attempt && before == Some(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_writes_the_same_again_is_not_heeded_and_a_person_is() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let write = |text: &str| fs::write(file.path(), text).expect("it can be written");
        let mut contents = Contents::default();
        write("a");
        contents.attempt_begins();
        assert!(contents.is_new(file.path()), "never seen before");
        write("a");
        assert!(!contents.is_new(file.path()), "generated again");
        write("b");
        assert!(contents.is_new(file.path()), "a save during the build");
        contents.attempts = Attempts::None;
        assert!(contents.is_new(file.path()), "saved again by a person");
    }
}
