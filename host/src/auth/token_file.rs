//! Changes of the file of tokens, by commands: whole or not at all, and none is lost when two
//! commands run at once.
//!
//! The new content is written beside the old file and put in its place; hosts, which take no
//! lock, read either. The lock belongs to the file that is replaced, so whoever waited for it
//! looks whether it still has that place. Owner and permissions stay what they were: a command run
//! as root must not take the file away from the user that hosts run as.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;

use super::scope::Scope;
use super::token::{Token, TokenId};
use super::tokens::{self, Entry};

/// What stands at the top of the file.
const HEADER: &str = "\
# The tokens that hosts take, as hashes: `lockstep token create|list|revoke`.
# Hosts read this file again when it changes. Comments are not kept.

";

/// A file of tokens.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

/// What a token is made for.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// From when on it is refused, if ever.
    pub expires: Option<SystemTime>,
    /// What its maker wants to remember.
    pub note: Option<String>,
}

/// What became of a token that is to be refused from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is gone; this was it.
    Gone(Entry),
    /// There is none of this id. These are the ids there are.
    Unknown(Vec<TokenId>),
}

impl TokenFile {
    /// The file at this path, whether it exists or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What it holds.
    pub fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        Ok(tokens::load(&self.0)?)
    }

    /// Makes a token, and the file when there is none.
    pub fn create(&self, new: NewToken) -> anyhow::Result<(Token, Entry)> {
        let file = self.lock(true)?;
        let mut entries = self.entries()?;
        let token = loop {
            let token = Token::generate()?;
            if entries.iter().all(|entry| entry.id != *token.id()) {
                break token;
            }
        };
        let NewToken { scopes, expires, note } = new;
        let created = SystemTime::now();
        let id = token.id().clone();
        let entry = Entry { id, hash: token.hash(), scopes, created, expires, note };
        entries.push(entry.clone());
        self.replace(&file, &entries)?;
        Ok((token, entry))
    }

    /// Removes a token.
    pub fn revoke(&self, id: &TokenId) -> anyhow::Result<Revoked> {
        let file = self.lock(false)?;
        let mut entries = self.entries()?;
        let Some(at) = entries.iter().position(|entry| entry.id == *id) else {
            return Ok(Revoked::Unknown(entries.into_iter().map(|entry| entry.id).collect()));
        };
        let gone = entries.remove(at);
        self.replace(&file, &entries)?;
        Ok(Revoked::Gone(gone))
    }

    /// Waits until no other command changes the file.
    fn lock(&self, create: bool) -> anyhow::Result<File> {
        let context = || format!("failed to open {:?} for a change", self.0.display());
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(create).mode(0o600);
            let file = options.open(&self.0).with_context(context)?;
            file.lock().with_context(context)?;
            let own = file.metadata().with_context(context)?;
            // Another command may have put a new file in the place of this one meanwhile.
            if let Ok(now) = fs::metadata(&self.0)
                && (now.dev(), now.ino()) == (own.dev(), own.ino())
            {
                return Ok(file);
            }
        }
    }

    /// Puts a file with these entries in the place of the one that is locked.
    fn replace(&self, locked: &File, entries: &[Entry]) -> anyhow::Result<()> {
        let context = || format!("failed to write {:?}", self.0.display());
        let text = format!("{HEADER}{}", tokens::written(entries).with_context(context)?);
        // Not the link that may lead to the file.
        let path = fs::canonicalize(&self.0).with_context(context)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let write = || -> std::io::Result<()> {
            let mut beside = tempfile::Builder::new().prefix(".tokens-").tempfile_in(folder)?;
            beside.write_all(text.as_bytes())?;
            let (old, new) = (locked.metadata()?, beside.as_file().metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(beside.as_file(), Some(old.uid()), Some(old.gid()))?;
            }
            beside.as_file().set_permissions(old.permissions())?;
            beside.as_file().sync_all()?;
            beside.persist(&path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().with_context(context)
    }
}
