//! One host per directory: a lock that goes with its process, so that a kill leaves nothing stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail};

/// Name of the lock file within its directory. Its content only names the holder.
const FILE: &str = "host.lock";

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
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "the data directory {:?} is in use by {}; stop that host, or give this one a \
                 data_dir of its own",
                dir.display(),
                holder(&mut file)
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        name_holder(&mut file, host_id).with_context(context)?;
        Ok(Self { _file: file })
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
