//! How long a developer waits: `lockstep dev` with a handler that is built, to a ready host.

use std::time::Instant;

use lockstep_tests::build;
use lockstep_tests::host::Host;

use crate::report::{self, ms, quantile};

pub(crate) fn run(times: usize) {
    build::lockstep();
    let folder = build::example_source("weather").display().to_string();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let start = || {
        let data = tempfile::tempdir_in(directory.path()).expect("a directory can be made");
        let begun = Instant::now();
        let host = Host::dev(data.path(), &[&folder]);
        host.wait_until_ready();
        begun.elapsed()
    };
    // The first one builds the handler.
    start();
    let mut waits: Vec<_> = (0..times.max(1)).map(|_| start()).collect();
    waits.sort_unstable();
    report::line(&format!(
        "dev-ready: median {}, longest {} of {}",
        ms(quantile(&waits, 0.5)),
        ms(quantile(&waits, 1.0)),
        waits.len()
    ));
}
