//! One host per directory: a lock that goes with its process, so that a kill leaves nothing stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};

/// Name of the lock file within its directory. Its content only names the holder.
const FILE: &str = "host.lock";

/// How long somebody may have the lock who only asks whether it is held.
const QUESTION: Duration = Duration::from_millis(200);

/// Held as long as the value lives.
#[derive(Debug)]
pub(super) struct HostLock {
    /// The operating system's lock belongs to the open file.
    _file: File,
}

impl HostLock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(dir: &Path, host_id: &str) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let context = || format!("failed to lock the directory with {:?}", path.display());
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(context)?;
        let asked = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if asked.elapsed() < QUESTION => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => bail!(
                    "the data directory {:?} is in use by {}; stop that host, or give this one a \
                     data_dir of its own",
                    dir.display(),
                    holder(&mut file)
                ),
                Err(TryLockError::Error(error)) => return Err(error).with_context(context),
            }
        }
        name_holder(&mut file, host_id).with_context(context)?;
        Ok(Self { _file: file })
    }
}

/// Names the host that has the directory, if any has.
pub(super) fn holder_of(dir: &Path) -> anyhow::Result<Option<String>> {
    let path = dir.join(FILE);
    let context = || format!("failed to look whether a host has {:?}", path.display());
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(context)?,
    };
    match file.try_lock_shared() {
        // Let go with the file.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(error).with_context(context),
    }
}

fn name_holder(file: &mut File, host_id: &str) -> std::io::Result<()> {
    let pid = std::process::id();
    let since = humantime::format_rfc3339_seconds(SystemTime::now());
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    write!(file, "host {host_id:?} (pid {pid}, started {since})")
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another host".to_owned(),
    }
}
