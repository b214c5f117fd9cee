//! From the text of a TOML file to checked values, or to errors that name file, key, problem and
//! fix: all of the file that can be told apart. Source lines are never printed: they can hold
//! secrets.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::Table;

use super::error::ConfigError;
use super::fault::{Fault, Given};
use super::mend::Mender;
use super::node::Node;
use super::secret;

/// Keys and how they are written: for errors about keys that are missing or are no lists. Keys
/// are named without the tables they stand in.
pub(crate) type Examples = &'static [(&'static str, &'static str)];

/// Problems told of one file; who made more begins with these.
const MOST_PROBLEMS: usize = 20;

/// Reads and decodes a configuration file.
pub(crate) fn read<T: DeserializeOwned>(file: &Path, examples: Examples) -> Result<T, ConfigError> {
    let bytes = std::fs::read(file).map_err(|error| {
        let fix = format!("check that {:?} is a file that this user may read", file.display());
        ConfigError::new(file, "", format!("cannot be read: {error}"), fix)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (line, column) = line_and_column(&String::from_utf8_lossy(error.as_bytes()), at);
        let key = format!("line {line}, column {column}");
        ConfigError::new(file, key, "is not UTF-8", "save the file as UTF-8 text")
    })?;
    decode(file, &text, examples)
}

/// Decodes the text of a configuration file.
pub(crate) fn decode<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    examples: Examples,
) -> Result<T, ConfigError> {
    let table: Table = text.parse().map_err(|error| syntax_error(file, text, &error))?;
    let mut mender = Mender::new(table, examples);
    let mut problems = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(Node(mender.rest.clone())) {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let path = error.path().clone();
        let fault = error.into_inner();
        if !problems.is_empty() && !mender.is_of_the_file(&path, &fault) {
            break;
        }
        let goes_on = mender.mend(&path, &fault);
        problems.push(describe(file, KeyPath::new(&path), fault, examples));
        if !goes_on || problems.len() == MOST_PROBLEMS {
            break;
        }
    }
    Err(ConfigError::together(problems))
}

/// A part of a key path as TOML would have it written: bare where possible, quoted elsewhere.
pub(crate) fn quoted_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// Where a fault is.
struct KeyPath {
    /// `topics[1].partitions`; empty for the whole file.
    text: String,
    /// The innermost key: `partitions`.
    last: String,
    /// Whether values below it can be secrets.
    confidential: bool,
}

impl KeyPath {
    fn new(path: &serde_path_to_error::Path) -> Self {
        let mut this = Self { text: String::new(), last: String::new(), confidential: false };
        for segment in path {
            match segment {
                Segment::Seq { index } => this.text.push_str(&format!("[{index}]")),
                Segment::Map { key } => {
                    let outermost = this.text.is_empty();
                    this.confidential |= outermost && (key == "kafka" || key == "config");
                    this.confidential |= secret::is_sensitive(key);
                    this.text = this.below(key);
                    this.last.clone_from(key);
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        this
    }

    fn below(&self, key: &str) -> String {
        let dot = if self.text.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.text, quoted_key(key))
    }

    fn shown(&self, given: Given) -> String {
        if self.confidential { given.kind.to_owned() } else { given.shown }
    }
}

fn describe(file: &Path, path: KeyPath, fault: Fault, examples: Examples) -> ConfigError {
    let example = |key: &str| {
        let found = examples.iter().find(|(name, _)| *name == key);
        found.map_or_else(|| format!("{} = …", quoted_key(key)), |(_, text)| (*text).to_owned())
    };
    let (key, problem, fix) = match fault {
        Fault::Wrong { given, expected, fix } => {
            let problem = format!("{} is not {expected}", path.shown(given));
            (path.text, problem, fix)
        }
        Fault::NotTable { given, keys } => {
            let problem = format!("{} is not a table", path.shown(given));
            let fix = match keys {
                [] => "use a table, for example { name = \"value\" }".to_owned(),
                keys => format!("use a table with any of the keys {}", keys.join(", ")),
            };
            (path.text, problem, fix)
        }
        Fault::NotList { given } => {
            let problem = format!("{} is not a list", path.shown(given));
            let fix = format!("write for example {}", example(&path.last));
            (path.text, problem, fix)
        }
        Fault::Unknown { known } => {
            let fix = match nearest(&path.last, known) {
                Some(near) => {
                    format!("did you mean {near}? The keys here are {}", known.join(", "))
                }
                None => format!("the keys here are {}", known.join(", ")),
            };
            (path.text, format!("unknown key {:?}", path.last), fix)
        }
        Fault::Missing { key } => {
            let fix = format!("write for example {}", example(key));
            (path.below(key), "is missing".to_owned(), fix)
        }
        Fault::Refused { problem, fix } => (path.text, problem, fix),
    };
    ConfigError::new(file, key, problem, fix)
}

/// The known key that was probably meant.
fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    let given = given.to_lowercase().replace('-', "_");
    let score = |key: &str| strsim::jaro_winkler(&given, key);
    let near = known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(near) > 0.8).then_some(near)
}

fn syntax_error(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
    let key = format!("line {line}, column {column}");
    let problem = format!("is not TOML: {}", error.message());
    let fix = "correct the syntax there; a line has the form key = \"value\", a table [name]";
    ConfigError::new(file, key, problem, fix)
}

/// Both from 1; the column counts characters.
fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
