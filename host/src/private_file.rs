//! Files that hold what only their owner should know or change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tracing::warn;

/// Group may write, others may do anything. Groups may read: that is how files are handed to the
/// user that a service runs as.
const SHARED: u32 = 0o027;

/// Warns when others than the owner and its group can read this file, or others than the owner
/// can write it.
pub(crate) fn warn_when_shared(path: &Path, what: &str) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.mode() & 0o777;
    if mode & SHARED != 0 {
        warn!(
            file = %path.display(),
            "{what} can be read or written by others (mode {mode:03o}); run `chmod 600 {}`",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::logged;

    #[test]
    fn only_files_that_others_reach_are_warned_about() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o620, true)] {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            let log = logged(|| warn_when_shared(file.path(), "the key"));
            assert_eq!(log.contains("chmod 600"), warned, "{mode:o}: {log}");
        }
    }
}
