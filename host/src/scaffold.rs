//! New handlers: the files of a handler that builds, passes its cases and can be run.
//!
//! The files are those in `host/templates`, which are complete projects but for names: a handler
//! takes the shared ones, those of its language, and in each those of its world. The contract is
//! copied from `wit/`. Knows nothing of terminals, and installs nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};

use crate::config::names;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The contract, of the version that this host runs.
const CONTRACT: &str = include_str!("../../wit/handler.wit");
/// Where a handler keeps its copy of the contract.
const CONTRACT_FILE: &str = "wit/deps/lockstep-handler/handler.wit";

/// A file that its own tool would take for more than a template has this at the end of its name.
const TEMPLATE_SUFFIX: &str = ".in";

/// What a handler is written in, and how it becomes a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust, with plain cargo.
    Rust,
    /// Rust, with cargo component.
    RustComponent,
    /// JavaScript, in QuickJS.
    JavaScript,
    /// Python, with CPython.
    Python,
    /// C, with Zig's compiler.
    C,
}

impl Language {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::RustComponent => "Rust with cargo component",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
        }
    }

    /// The folder of its templates, and that of the cases that go with them.
    fn templates(self) -> [&'static str; 2] {
        match self {
            Self::Rust => ["rust", "shared/json"],
            Self::RustComponent => ["rust-component", "shared/json"],
            Self::JavaScript => ["javascript", "shared/json"],
            Self::Python => ["python", "shared/json"],
            Self::C => ["c", "c"],
        }
    }
}

/// A handler to be made.
#[derive(Clone, Debug)]
pub struct Scaffold {
    /// Its name; checked by [`check_name`].
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// Whether it says what failed: the world `fallible-handler`.
    pub fallible: bool,
    /// Its source topics, at least one.
    pub from: Vec<String>,
    /// The topics it writes to, at least one.
    pub to: Vec<String>,
}

impl Scaffold {
    /// Writes the handler into a folder, which is made when it is missing. Refuses one that holds
    /// anything.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        refuse_what_is_there(folder)?;
        for (file, content) in self.files() {
            let path = folder.join(file);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .with_context(|| format!("failed to make the folder {parent:?}"))?;
            fs::write(&path, content).with_context(|| format!("failed to write {path:?}"))?;
        }
        Ok(())
    }

    /// The files, with their paths in the handler's folder. A later one replaces an earlier one
    /// of the same path.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let world = if self.fallible { "fallible" } else { "handler" };
        let [language, cases] = self.language.templates();
        let mut files = vec![(PathBuf::from(CONTRACT_FILE), CONTRACT.to_owned())];
        for folder in ["shared", cases, language] {
            for part in ["any", world] {
                if let Some(templates) = TEMPLATES.get_dir(format!("{folder}/{part}")) {
                    self.collect(templates, templates.path(), &mut files);
                }
            }
        }
        files
    }

    fn collect(&self, from: &Dir<'_>, root: &Path, files: &mut Vec<(PathBuf, String)>) {
        for file in from.files() {
            let path = file.path().strip_prefix(root).unwrap_or(file.path());
            let name = path.to_string_lossy();
            let name = name.strip_suffix(TEMPLATE_SUFFIX).unwrap_or(&name);
            let text = file.contents_utf8().unwrap_or_default();
            files.push((PathBuf::from(name), self.with_names(text)));
        }
        from.dirs().for_each(|dir| self.collect(dir, root, files));
    }

    /// The text of a template with this handler's names in it.
    fn with_names(&self, text: &str) -> String {
        let crate_name = crate_name(&self.name);
        let first = |topics: &[String]| topics.first().cloned().unwrap_or_default();
        let names = [
            ("[\"my-handler-in\"]", list(&self.from)),
            ("[\"my-handler-out\"]", list(&self.to)),
            ("my-handler-in", first(&self.from)),
            ("my-handler-out", first(&self.to)),
            ("my-handler", self.name.clone()),
            ("my-crate", crate_name.clone()),
            ("my_crate", crate_name.replace('-', "_")),
        ];
        let mut named = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            // One pass: a name that is put in may look like another one's place.
            match names.iter().find(|(place, _)| rest.starts_with(place)) {
                Some((place, name)) => {
                    named += name;
                    rest = &rest[place.len()..];
                }
                None => {
                    named.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        named
    }
}

/// Whether a handler may have this name. The error says what names are like, and suggests one.
pub fn check_name(name: &str) -> Result<(), String> {
    if names::is_handler_name(name) {
        return Ok(());
    }
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let similar = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let hint =
        if names::is_handler_name(&similar) { format!("; try {similar:?}") } else { String::new() };
    Err(format!("{name:?} is not {}{hint}", names::handler_name_is()))
}

/// The name of the handler's Rust package. Rust does not take every name, or has another crate
/// of that name.
fn crate_name(name: &str) -> String {
    const TAKEN: &[&str] = &[
        "abstract",
        "alloc",
        "as",
        "async",
        "await",
        "become",
        "bindings",
        "bitflags",
        "box",
        "break",
        "const",
        "continue",
        "core",
        "crate",
        "do",
        "dyn",
        "else",
        "enum",
        "extern",
        "false",
        "final",
        "fn",
        "for",
        "gen",
        "if",
        "impl",
        "in",
        "let",
        "loop",
        "macro",
        "match",
        "mod",
        "move",
        "mut",
        "override",
        "priv",
        "proc-macro",
        "pub",
        "ref",
        "return",
        "self",
        "serde",
        "serde-json",
        "static",
        "std",
        "struct",
        "super",
        "test",
        "trait",
        "true",
        "try",
        "type",
        "typeof",
        "unsafe",
        "unsized",
        "use",
        "virtual",
        "where",
        "while",
        "wit-bindgen",
        "wit-bindgen-rt",
        "yield",
    ];
    let awkward = TAKEN.contains(&name) || name.starts_with(|c: char| c.is_ascii_digit());
    if awkward { format!("handler-{name}") } else { name.to_owned() }
}

/// As a list of TOML. No name of a topic holds anything that would have to be escaped.
fn list(topics: &[String]) -> String {
    let quoted: Vec<_> = topics.iter().map(|topic| format!("{topic:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

fn refuse_what_is_there(folder: &Path) -> anyhow::Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!("the folder {folder:?} is not empty; choose another name"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            bail!("{folder:?} is there already and is no folder; choose another name")
        }
        Err(error) => Err(error).with_context(|| format!("failed to look into {folder:?}")),
    }
}

#[cfg(test)]
mod tests;
