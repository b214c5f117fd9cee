//! The tokens that a host knows: the file as it is written, and who a presented token is.
//!
//! The file holds hashes only. Whether a token is unknown or wrong cannot be told from outside,
//! not by the answer and not by the time that it takes.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::gate::Caller;
use super::scope::Scope;
use super::token::{self, TokenId};
use crate::config::ConfigError;
use crate::config::checked::{Checked, Rule};
use crate::config::decode::{self, Examples};
use crate::digest::Digest;

/// No token is longer; what is, is not even hashed.
const LONGEST: usize = 128;
/// Longest note, in characters.
const NOTE_CHARS: usize = 200;

const EXAMPLES: Examples = &[
    ("id", "id = \"k7p2m9qx\""),
    ("hash", "the entry as `lockstep token create` makes it"),
    ("scopes", "scopes = [\"ingest:orders\", \"handlers:read\"]"),
    ("created", "created = \"2026-01-31T12:00:00Z\""),
    ("tokens", "[[tokens]] with the lines that `lockstep token create` makes below it"),
];

/// What the file says of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names it.
    pub id: TokenId,
    /// SHA-256 of the whole token.
    pub hash: Digest,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: SystemTime,
    /// From when on it is refused, if ever.
    pub expires: Option<SystemTime>,
    /// What its maker wanted to remember.
    pub note: Option<String>,
}

impl Entry {
    /// Whether it is refused by now.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Why a presented token is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There is no such token, or its secret is another one.
    Unknown,
    /// It was good until then. Told only to those who know the secret.
    Expired(SystemTime),
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, Known>);

#[derive(Debug)]
struct Known {
    hash: Digest,
    expires: Option<SystemTime>,
    caller: Caller,
}

impl Tokens {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Ok(Self::new(load(file)?))
    }

    /// These tokens.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let known = |entry: Entry| {
            let Entry { id, hash, scopes, expires, .. } = entry;
            let caller = Caller::token(id.as_str().into(), scopes.into());
            (id.as_str().to_owned(), Known { hash, expires, caller })
        };
        Self(entries.into_iter().map(known).collect())
    }

    /// Whose token this is.
    pub(super) fn caller(&self, presented: &str, now: SystemTime) -> Result<Caller, Denied> {
        if presented.len() > LONGEST {
            return Err(Denied::Unknown);
        }
        let hash = token::hash(presented);
        let known = token::id_of(presented).and_then(|id| self.0.get(id));
        // What is unknown is compared too, so that it takes as long as what is wrong.
        let expected = known.map_or(&[0; 32], |known| known.hash.as_bytes());
        let is_equal = bool::from(expected.ct_eq(hash.as_bytes()));
        match known {
            Some(known) if is_equal => match known.expires {
                Some(expires) if expires <= now => Err(Denied::Expired(expires)),
                _ => Ok(known.caller.clone()),
            },
            _ => Err(Denied::Unknown),
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct FileToml {
    tokens: Vec<EntryToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryToml {
    id: Checked<Id>,
    hash: Checked<Hash>,
    scopes: Vec<Checked<ScopeName>>,
    created: Checked<Time>,
    expires: Option<Checked<Time>>,
    note: Option<Checked<Note>>,
}

impl From<EntryToml> for Entry {
    fn from(toml: EntryToml) -> Self {
        Self {
            id: toml.id.0,
            hash: toml.hash.0,
            scopes: toml.scopes.into_iter().map(|scope| scope.0).collect(),
            created: toml.created.0,
            expires: toml.expires.map(|time| time.0),
            note: toml.note.map(|note| note.0),
        }
    }
}

/// The entries of a file, in its order.
pub(super) fn load(file: &Path) -> Result<Vec<Entry>, ConfigError> {
    let toml: FileToml = decode::read(file, EXAMPLES)?;
    let entries: Vec<Entry> = toml.tokens.into_iter().map(Entry::from).collect();
    let mut seen = BTreeSet::new();
    match entries.iter().enumerate().find(|(_, entry)| !seen.insert(&entry.id)) {
        None => Ok(entries),
        Some((index, entry)) => Err(ConfigError::new(
            file,
            format!("tokens[{index}].id"),
            format!("{:?} is the id of an earlier token too", entry.id.as_str()),
            "keep one of the two",
        )),
    }
}

#[derive(Serialize)]
struct WrittenFile {
    tokens: Vec<WrittenEntry>,
}

#[derive(Serialize)]
struct WrittenEntry {
    id: String,
    hash: String,
    scopes: Vec<String>,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The entries as a file has them.
pub(super) fn written(entries: &[Entry]) -> Result<String, toml::ser::Error> {
    let entry = |entry: &Entry| WrittenEntry {
        id: entry.id.to_string(),
        hash: entry.hash.to_string(),
        scopes: entry.scopes.iter().map(Scope::to_string).collect(),
        created: time_text(entry.created),
        expires: entry.expires.map(time_text),
        note: entry.note.clone(),
    };
    toml::to_string(&WrittenFile { tokens: entries.iter().map(entry).collect() })
}

/// A time as the file, the commands and the problems write it.
pub(crate) fn time_text(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// What is wrong with a note, if anything.
pub(crate) fn check_note(note: &str) -> Result<(), String> {
    match note.chars().any(char::is_control) || note.chars().count() > NOTE_CHARS {
        true => Err(format!("a note is one line of at most {NOTE_CHARS} characters")),
        false => Ok(()),
    }
}

struct Id;
struct Hash;
struct ScopeName;
struct Time;
struct Note;

fn no_reason<T, E: Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|_| String::new())
}

impl Rule for Id {
    type Value = TokenId;

    fn what() -> String {
        "the id of a token (1 to 32 of a-z and 0-9)".to_owned()
    }

    fn example() -> String {
        "\"k7p2m9qx\"".to_owned()
    }

    fn text(text: &str) -> Result<TokenId, String> {
        no_reason(text.parse())
    }
}

impl Rule for Hash {
    type Value = Digest;

    fn what() -> String {
        "the hash of a token (\"sha256:\" and 64 of the digits 0-9 and a-f)".to_owned()
    }

    fn example() -> String {
        "what `lockstep token create` writes".to_owned()
    }

    fn text(text: &str) -> Result<Digest, String> {
        no_reason(text.parse())
    }
}

impl Rule for ScopeName {
    type Value = Scope;

    fn what() -> String {
        format!("a scope ({})", Scope::ALL)
    }

    fn example() -> String {
        "\"ingest:orders\"".to_owned()
    }

    fn text(text: &str) -> Result<Scope, String> {
        no_reason(text.parse())
    }
}

impl Rule for Time {
    type Value = SystemTime;

    fn what() -> String {
        "a time in UTC".to_owned()
    }

    fn example() -> String {
        "\"2026-01-31T12:00:00Z\", with the quotes".to_owned()
    }

    fn text(text: &str) -> Result<SystemTime, String> {
        no_reason(humantime::parse_rfc3339(text))
    }
}

impl Rule for Note {
    type Value = String;

    fn what() -> String {
        "a note".to_owned()
    }

    fn example() -> String {
        "\"for the shop\"".to_owned()
    }

    fn text(text: &str) -> Result<String, String> {
        check_note(text).map(|()| text.to_owned())
    }
}
