//! Finding handler folders: those that hold a `handler.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::MANIFEST;

/// How far below the start is looked.
const DEPTH: usize = 3;

/// The handler folders in `root` and below, sorted; `root` itself may be one. Hidden folders,
/// what builds and package managers leave behind, and links to folders are not entered, and
/// neither are the handler folders themselves. A folder that cannot be read holds none.
pub(super) fn find(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    visit(root, DEPTH, &mut found);
    found.sort();
    found
}

fn visit(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if folder.join(MANIFEST).is_file() {
        found.push(folder.to_owned());
        return;
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let skipped = name.to_string_lossy().starts_with('.')
            || ["target", "node_modules"].iter().any(|skipped| name == *skipped);
        if !skipped && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), depth, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn with(name: &str, manifests_in: &[&str]) -> std::io::Result<Self> {
            let root = std::env::temp_dir().join(format!("lockstep-{name}-{}", std::process::id()));
            fs::create_dir_all(&root)?;
            for folder in manifests_in {
                fs::create_dir_all(root.join(folder))?;
                fs::write(root.join(folder).join(MANIFEST), "")?;
            }
            Ok(Self(root))
        }

        fn found(&self) -> Vec<String> {
            let relative = |path: PathBuf| path.strip_prefix(&self.0).map(Path::to_owned);
            find(&self.0).into_iter().filter_map(|p| relative(p).ok()).map(text).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn text(path: PathBuf) -> String {
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn folders_are_found_three_deep_and_no_deeper() -> std::io::Result<()> {
        let scratch = Scratch::with("deep", &["b", "a/b", "x/y/z", "1/2/3/4"])?;
        assert_eq!(scratch.found(), ["a/b", "b", "x/y/z"]);
        Ok(())
    }

    #[test]
    fn builds_packages_hidden_folders_and_handlers_are_not_entered() -> std::io::Result<()> {
        let folders = ["target/a", "node_modules/a", ".git/a", "a", "a/inner"];
        let scratch = Scratch::with("skipped", &folders)?;
        assert_eq!(scratch.found(), ["a"]);
        Ok(())
    }

    #[test]
    fn the_start_itself_may_be_the_handler() -> std::io::Result<()> {
        let scratch = Scratch::with("itself", &["."])?;
        assert_eq!(scratch.found(), [""]);
        Ok(())
    }
}
