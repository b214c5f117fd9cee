//! `lockstep run`: a host, as its configuration file says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{io, thread};

use anyhow::Context as _;
use clap::Args;

use super::exit::ExitCode;
use super::sandbox;
use crate::config::{self, HostConfig};
use crate::stop::Stop;
use crate::{deployment, server, signals};

/// Run a host: its handlers and its HTTP ingest.
///
/// Reads the configuration and the handlers' manifests, checks all of them, and only then
/// starts. Once everything runs it logs `ready` with the addresses it listens on. SIGTERM or
/// Ctrl-C stops it: it finishes the transactions it has begun and leaves its groups; a second
/// one ends it at once, which loses nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep run --config lockstep.toml
  lockstep run --config lockstep.toml --ingest 127.0.0.1:9080 --log-format json")]
pub(super) struct RunArgs {
    /// The host's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Address for events over HTTP, instead of `http.ingest`; port 0 takes any free port
    #[arg(long, value_name = "ADDR")]
    ingest: Option<SocketAddr>,

    /// Address for the admin API, instead of `http.admin`; port 0 takes any free port
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,

    /// Stop when stdin is closed: when whoever started this host has ended, however it did
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut config = HostConfig::load(&args.config)?;
    let handlers = config
        .handlers
        .iter()
        .map(|manifest| deployment::load(manifest))
        .collect::<Result<Vec<_>, _>>()?;
    config::cross_check(&config, &handlers)?;
    config.http.ingest = args.ingest.unwrap_or(config.http.ingest);
    config.http.admin = args.admin.unwrap_or(config.http.admin);
    server::check_access(&config)?;
    let stop = Stop::default();
    signals::stop_on_signal(&stop)?;
    if args.stop_with_stdin {
        stop_with_stdin(&stop)?;
    }
    let sandbox = sandbox::of_host(&config.data_dir)?;
    server::run(config, handlers, sandbox, stop, Box::new(|_| ()))?;
    Ok(ExitCode::Success)
}

fn stop_with_stdin(stop: &Stop) -> anyhow::Result<()> {
    let stop = stop.clone();
    let watch = move || {
        // However it ends, nobody is there any more.
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        stop.request();
    };
    let thread = thread::Builder::new().name("stdin".to_owned()).spawn(watch);
    thread.context("failed to start the thread that watches stdin").map(drop)
}
