//! Compiled components, kept in a folder between runs: starting a host, or testing a component
//! that was just built, need not compile it again.
//!
//! An entry is named by the digest of the component and by the hash of the engine that compiled
//! it, so a wrong one is never looked at. Running one means to trust it as the host's own code:
//! the folder must be the user's and writable by nobody else, and what is read must have the
//! digest that was written with it. An entry that has not is removed, said, and made again. All
//! of it can be deleted at any time.

use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::Digest;

/// What the name of an entry ends in.
const EXTENSION: &str = "cwasm";
/// The first bytes of an entry; what follows is the digest of the rest, and the rest.
const MAGIC: &[u8; 8] = b"lockstp1";
const HEADER: usize = MAGIC.len() + 32;
/// What is kept at most. The entries used longest ago go first.
const MAX_BYTES: u64 = 1 << 30;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub struct CodeCache {
    folder: PathBuf,
    max_bytes: u64,
}

impl CodeCache {
    /// Opens the folder, and makes it, for this user alone, when it is not there. Fails when
    /// somebody else could write to it.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("failed to create the folder {folder:?}"))?;
        let found = fs::symlink_metadata(folder)
            .with_context(|| format!("failed to look at the folder {folder:?}"))?;
        let me = nix::unistd::geteuid().as_raw();
        ensure!(found.is_dir(), "{folder:?} is not a folder");
        ensure!(
            found.uid() == me,
            "the folder {folder:?} belongs to user {}, and this is user {me}: compiled code is \
             only taken from a folder of one's own",
            found.uid()
        );
        ensure!(
            found.mode() & 0o022 == 0,
            "others may write to the folder {folder:?}, so compiled code from it cannot be \
             trusted; forbid it with `chmod go-w`"
        );
        Ok(Self { folder: folder.to_owned(), max_bytes: MAX_BYTES })
    }

    /// The component that these bytes are, compiled for this engine: from the folder, or by
    /// `compile`, and then kept. Whatever is wrong with the folder costs only time.
    pub(super) fn get_or(
        &self,
        engine: &Engine,
        bytes: &[u8],
        compile: impl FnOnce() -> anyhow::Result<Component>,
    ) -> anyhow::Result<Component> {
        let file = self.folder.join(name(engine, bytes));
        match load(engine, &file) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(error) => {
                warn!("{file:?} is not used and made again: {error:#}");
                drop(fs::remove_file(&file));
            }
        }
        let component = compile()?;
        if let Err(error) = self.keep(&file, &component) {
            warn!("the compiled component is not kept: {error:#}");
        }
        Ok(component)
    }

    fn keep(&self, file: &Path, component: &Component) -> anyhow::Result<()> {
        let code = component.serialize().map_err(super::fault::host_error)?;
        let failed = || format!("failed to write {file:?}");
        let mut new = tempfile::NamedTempFile::new_in(&self.folder).with_context(failed)?;
        for part in [&MAGIC[..], Digest::of(&code).as_bytes(), &code] {
            new.write_all(part).with_context(failed)?;
        }
        new.persist(file).with_context(failed)?;
        self.make_room().with_context(|| format!("failed to tidy {:?}", self.folder))
    }

    /// Removes what was used longest ago, until the rest is within bounds.
    fn make_room(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            // Another process may be tidying as well.
            let Ok(found) = fs::metadata(&path) else { continue };
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                entries.push((found.modified()?, found.len(), path));
            }
        }
        entries.sort_unstable_by(|a, b| b.cmp(a));
        let mut kept = 0;
        for (_, bytes, path) in entries {
            kept += bytes;
            if kept > self.max_bytes {
                debug!("removing {path:?}, to keep {:?} within its bounds", self.folder);
                drop(fs::remove_file(path));
            }
        }
        Ok(())
    }
}

fn name(engine: &Engine, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{}-{:016x}.{EXTENSION}", Digest::of(bytes).hex(), hasher.finish())
}

/// Reads an entry. `None` when there is none.
fn load(engine: &Engine, file: &Path) -> anyhow::Result<Option<Component>> {
    let entry = match fs::read(file) {
        Ok(entry) => entry,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some((header, code)) = entry.split_at_checked(HEADER) else {
        bail!("it ends after {} bytes", entry.len());
    };
    let (magic, digest) = header.split_at(MAGIC.len());
    ensure!(magic == MAGIC, "it was written by something else");
    ensure!(digest == Digest::of(code).as_bytes(), "it is damaged");
    // SAFETY: `deserialize` runs what it is given as native code, so that must be what
    // `serialize` made. Only this user can write to the folder, as `open` has seen to; the bytes
    // are those that were written there under this name, by their digest; and wasmtime itself
    // refuses what another release or an engine of other settings made.
    let component = unsafe { Component::deserialize(engine, code) };
    let component = component.map_err(super::fault::host_error)?;
    touch(file);
    Ok(Some(component))
}

/// Marks an entry as used.
fn touch(file: &Path) {
    drop(File::open(file).and_then(|file| file.set_modified(SystemTime::now())));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    struct World {
        _folder: tempfile::TempDir,
        cache: CodeCache,
        engine: Engine,
        compiled: Cell<u32>,
    }

    fn world() -> anyhow::Result<World> {
        let folder = tempfile::tempdir()?;
        let cache = CodeCache::open(&folder.path().join("made/here"))?;
        Ok(World { _folder: folder, cache, engine: Engine::default(), compiled: Cell::new(0) })
    }

    impl World {
        /// Gets the component, and says how often it has been compiled by now.
        fn get(&self, text: &str) -> anyhow::Result<u32> {
            let bytes = wat::parse_str(text)?;
            self.cache.get_or(&self.engine, &bytes, || {
                self.compiled.set(self.compiled.get() + 1);
                Component::new(&self.engine, &bytes).map_err(super::super::fault::host_error)
            })?;
            Ok(self.compiled.get())
        }

        fn entries(&self) -> anyhow::Result<Vec<PathBuf>> {
            let entries = fs::read_dir(&self.cache.folder)?;
            Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
        }
    }

    const ONE: &str = "(component (core module (func (result i32) i32.const 1)))";
    const TWO: &str = "(component (core module (func (result i32) i32.const 2)))";

    #[test]
    fn a_component_is_compiled_once() -> anyhow::Result<()> {
        let world = world()?;
        assert_eq!(
            (world.get(ONE)?, world.get(ONE)?, world.get(TWO)?, world.get(TWO)?),
            (1, 1, 2, 2)
        );
        let mut other = wasmtime::Config::new();
        other.epoch_interruption(true);
        let other = World {
            engine: Engine::new(&other).map_err(super::super::fault::host_error)?,
            ..world
        };
        assert_eq!((other.get(ONE)?, other.get(ONE)?), (3, 3), "another engine, another entry");
        Ok(())
    }

    #[test]
    fn an_entry_that_is_not_as_it_was_written_is_made_again() -> anyhow::Result<()> {
        let world = world()?;
        let mut times = world.get(ONE)?;
        let file = world.entries()?.remove(0);
        let whole = fs::read(&file)?;
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let mut foreign = whole.clone();
        foreign[0] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..3], &[], &flipped, &foreign] {
            fs::write(&file, damaged)?;
            times += 1;
            assert_eq!((world.get(ONE)?, world.get(ONE)?), (times, times));
            assert_eq!(fs::read(&file)?, whole);
        }
        // Well written, by an engine that wasmtime knows for another one.
        let mut other = wasmtime::Config::new();
        other.epoch_interruption(true);
        let engine = Engine::new(&other).map_err(super::super::fault::host_error)?;
        let component = Component::new(&engine, wat::parse_str(ONE)?)
            .map_err(super::super::fault::host_error)?;
        world.cache.keep(&file, &component)?;
        assert_eq!((world.get(ONE)?, world.get(ONE)?), (times + 1, times + 1));
        fs::remove_dir_all(&world.cache.folder)?;
        assert_eq!(world.get(ONE)?, times + 2, "without its folder it only compiles");
        Ok(())
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() -> anyhow::Result<()> {
        let mut world = world()?;
        world.get(ONE)?;
        let one = world.entries()?.remove(0);
        let old = SystemTime::now() - Duration::from_secs(60);
        File::open(&one)?.set_modified(old)?;
        world.get(ONE)?;
        assert!(fs::metadata(&one)?.modified()? > old, "used is as good as new");
        File::open(&one)?.set_modified(old)?;
        world.cache.max_bytes = fs::metadata(&one)?.len();
        world.get(TWO)?;
        assert_eq!(world.entries()?.len(), 1);
        assert!(!one.exists());
        Ok(())
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o770))?;
        let said = CodeCache::open(folder.path()).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(said.contains("others may write") && said.contains("chmod"), "{said}");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        CodeCache::open(folder.path()).map(drop)
    }
}
