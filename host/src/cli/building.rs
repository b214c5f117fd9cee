//! Building the handlers of a command, with something to look at meanwhile.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::folders::Found;
use super::logging;
use super::progress::Progress;
use crate::toolchain::{BuildError, Toolchain};

/// Builds all of these handlers, in this order, and stops at the first that fails. What its
/// compiler said goes to stderr as it said it; the error names the handler.
pub(super) fn build(found: &[Found]) -> anyhow::Result<()> {
    found.iter().try_for_each(build_one)
}

/// Builds one handler.
pub(super) fn build_one(Found { folder, handler, .. }: &Found) -> anyhow::Result<()> {
    let toolchain = Toolchain { colours: logging::colours() };
    let started = Instant::now();
    let result = {
        let progress = Progress::start(format!("building {}", handler.name));
        toolchain.build(handler, folder, &|line| progress.detail(line))
    };
    if let Err(BuildError::Failed { output, .. }) = &result {
        std::io::stderr().write_all(output).context("failed to write to stderr")?;
    }
    result.with_context(|| format!("failed to build handler {:?}", handler.name))?;
    let took = rounded(started.elapsed());
    tracing::info!(handler = %handler.name, took, "built");
    Ok(())
}

/// A duration in words, to the millisecond.
pub(super) fn rounded(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}
