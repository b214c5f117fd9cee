//! Handler folders made by hand, and what `lockstep test` says about them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::build;
use crate::cli::{self, Ran};

/// Handler folders in a directory of their own.
pub struct Folders(TempDir);

impl Default for Folders {
    fn default() -> Self {
        Self::new()
    }
}

impl Folders {
    /// No folder yet.
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    /// One folder, `h`, with a handler served by this guest.
    pub fn of(guest: &str, more: &str) -> Self {
        let folders = Self::new();
        folders.handler("h", guest, more);
        folders
    }

    /// A folder of this name, with a handler of this name, served by this guest, and with these lines
    /// in its manifest.
    pub fn handler(&self, name: &str, guest: &str, more: &str) {
        let component = build::guest(guest);
        let manifest = format!(
            "name = {name:?}\ncomponent = {:?}\nfrom = [\"in\"]\nto = [\"out\"]\n{more}\n",
            component.display().to_string()
        );
        self.write(&format!("{name}/handler.toml"), &manifest);
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, content)).expect("writable");
    }

    /// What a file holds.
    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    /// A case of the handler `h`.
    pub fn case(&self, name: &str, files: &[(&str, &str)]) {
        for (file, content) in files {
            self.write(&format!("h/cases/{name}/{file}"), content);
        }
    }

    /// `lockstep test --no-build ARGS…` in the directory of the folders.
    #[track_caller]
    pub fn test(&self, args: &[&str]) -> Ran {
        cli::run(self.0.path(), ["test", "--no-build"].iter().chain(args))
    }

    /// The results of `h`, whatever they are.
    #[track_caller]
    pub fn results(&self, args: &[&str]) -> Results {
        let ran = self.test(&[&["h", "--output", "json"], args].concat());
        let report: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {ran:?}"));
        assert_eq!(report["ok"], ran.code == 0, "{ran:?}");
        Results { report }
    }
}

/// A JSON report of one handler.
pub struct Results {
    /// The whole report.
    pub report: Value,
}

impl Results {
    /// What came of a case or property.
    #[track_caller]
    pub fn of(&self, name: &str) -> &Value {
        let results = self.report["handlers"][0]["results"].as_array();
        let found = results.into_iter().flatten().find(|result| result["name"] == name);
        found.unwrap_or_else(|| panic!("nothing is called {name:?}: {}", self.report))
    }

    /// Asserts that all of these passed.
    #[track_caller]
    pub fn passed(&self, names: &[&str]) {
        for name in names {
            assert_eq!(self.of(name)["outcome"], "passed", "{}", self.report);
        }
    }

    /// Asserts that it failed, with a message that holds all of these.
    #[track_caller]
    pub fn failed(&self, name: &str, parts: &[&str]) {
        let result = self.of(name);
        assert_eq!(result["outcome"], "failed", "{}", self.report);
        let message = result["message"].as_str().unwrap_or_default();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not said of {name:?}: {message}");
        }
    }

    /// What was run.
    pub fn names(&self) -> Vec<&str> {
        let results = self.report["handlers"][0]["results"].as_array();
        results.into_iter().flatten().filter_map(|result| result["name"].as_str()).collect()
    }
}
