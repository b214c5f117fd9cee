//! `lockstep dev`: from handler folders to a running host in one command, and from a save to a
//! running revision.

mod attempt;
mod live;
mod screen;
mod session;
mod start;
mod topics;
mod view;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::key_value;
use super::exit::ExitCode;
use super::folders::Found;
use super::invitation::{Invitation, Invited, Sample};
use super::selection::DEFAULT_DATA_DIR;
use super::sources::Sources;
use super::{folders, shell, terminal};
use crate::config::{self, AuthConfig, HostConfig, HttpConfig, KafkaConfig};
use crate::handler::Handler;
use crate::signals;
use crate::stop::Stop;
use crate::watch::Watcher;
use live::Live;
use screen::Screen;

/// A file in a handler folder with an event to try it with.
const SAMPLE: &str = "sample.json";

/// Build handlers and run them here.
///
/// A handler folder holds a `handler.toml`, which names the handler, its source topics and its
/// component. Without FOLDER, the current folder and three levels below it are searched. Each
/// handler is built as `lockstep build` does, missing topics are created, and every source topic
/// takes events over HTTP. Once it runs, lines to paste are printed that send an event and watch
/// what becomes of it.
///
/// Then the sources are watched. A save builds the handler, runs its cases and, when they pass,
/// swaps it between two transactions; otherwise the old revision keeps running. What is watched:
/// the handler's folder, or what `watch` names under `[build]` in its manifest.
///
/// Events are kept in an embedded log, so nothing else is needed; --brokers runs the same on
/// Kafka.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep dev
  lockstep dev handlers/weather
  lockstep dev --no-build --no-watch
  lockstep dev --ingest 127.0.0.1:9000 --data-dir /tmp/try
  lockstep dev --brokers localhost:9092")]
pub(super) struct DevArgs {
    /// Handler folders [default: those found here]
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    /// Directory of the embedded log; created when missing
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR, conflicts_with = "brokers")]
    data_dir: PathBuf,

    /// Address for events over HTTP; port 0 takes any free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    ingest: Option<SocketAddr>,

    /// Address for the admin API; port 0 takes any free port [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,

    /// Run on Kafka at these brokers instead of an embedded log
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,

    /// A property for the Kafka client, such as `security.protocol=ssl`; may be repeated
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE")]
    #[arg(requires = "brokers", value_parser = key_value)]
    properties: Vec<(String, String)>,

    /// Take the components as they are, and swap when a component file changes
    #[arg(long)]
    no_build: bool,

    /// Do not watch for changes
    #[arg(long)]
    no_watch: bool,

    /// Print lines only, also on a terminal
    #[arg(long)]
    plain: bool,
}

pub(super) fn dev(args: &DevArgs) -> anyhow::Result<ExitCode> {
    let mut found = folders::load(&args.folders, "dev")?;
    let kafka = match &args.brokers {
        Some(brokers) => Some(KafkaConfig::from_command_line(brokers, &args.properties)?),
        None => None,
    };
    let config = host_config(args, kafka, &found);
    // Before the topics are put together, so that two manifests that contradict each other are
    // both named.
    config::cross_check(&config, &handlers(&found))?;
    let stop = Stop::default();
    signals::stop_on_signal(&stop)?;
    let screen = Screen::new(found.iter().map(|found| &found.handler));
    let live = match !args.plain && terminal::is_there() {
        true => Some(Live::start(screen.clone())?),
        false => None,
    };
    // From before the build on, so that no save is missed.
    let mut watcher = if args.no_watch { None } else { watch(&found, !args.no_build) };
    if !args.no_build {
        // Somebody who looks at the terminal mends what is wrong and saves.
        let mender = if live.is_some() { watcher.as_mut() } else { None };
        if !start::build(&mut found, &screen, mender, &stop)? {
            return Ok(ExitCode::Success);
        }
    }
    let invitation = invitation(args, &found);
    let builds = !args.no_build;
    start::Start { found, config, invitation, builds, screen, watcher, stop }.run(live.as_ref())?;
    Ok(ExitCode::Success)
}

/// Watches the sources of these handlers, if the operating system lets it.
fn watch(found: &[Found], builds: bool) -> Option<Watcher> {
    let watcher = Sources::watch(&Sources::of_all(found, builds));
    watcher.inspect_err(|error| tracing::warn!("changes are not watched: {error:#}")).ok()
}

fn handlers(found: &[Found]) -> Vec<Handler> {
    found.iter().map(|found| found.handler.clone()).collect()
}

fn host_config(args: &DevArgs, kafka: Option<KafkaConfig>, found: &[Found]) -> HostConfig {
    let defaults = HostConfig::default();
    HostConfig {
        // Not the one of a host that serves: two of the same name would fence each other.
        cluster_id: "lockstep-dev".to_owned(),
        data_dir: args.data_dir.clone(),
        http: HttpConfig {
            ingest: args.ingest.unwrap_or(defaults.http.ingest),
            admin: args.admin.unwrap_or(defaults.http.admin),
            ..defaults.http
        },
        // Listens to this machine alone, unless the command line says otherwise by name.
        auth: AuthConfig { anonymous: true, ..defaults.auth },
        kafka,
        // It has a fleet of its own, to which nothing is deployed.
        deployments: false,
        handlers: found.iter().map(|found| found.manifest.clone()).collect(),
        ..defaults
    }
}

fn invitation(args: &DevArgs, found: &[Found]) -> Invitation {
    let option = |name: &str, value: &str| format!(" {name} {}", shell::word(value));
    let mut log_arguments = String::new();
    if let Some(brokers) = &args.brokers {
        log_arguments += &option("--brokers", brokers);
        // A property may be a secret, which is not to be shown again.
        log_arguments += if args.properties.is_empty() { "" } else { " -X …" };
    } else if args.data_dir != Path::new(DEFAULT_DATA_DIR) {
        log_arguments += &option("--data-dir", &args.data_dir.to_string_lossy());
    }
    let invited = |Found { folder, handler, .. }: &Found| Invited {
        name: handler.name.clone(),
        from: handler.from.iter().map(ToString::to_string).collect(),
        to: handler.to.iter().map(ToString::to_string).collect(),
        dead_letter_topic: handler.dead_letter_topic.to_string(),
        sample: sample(folder),
    };
    let handlers = found.iter().map(invited).collect();
    Invitation { program: shell::program(), log_arguments, handlers }
}

fn sample(folder: &Path) -> Option<Sample> {
    let path = folder.join(SAMPLE);
    let json = fs::read_to_string(&path).ok()?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&json) {
        Ok(_) => Some(Sample { path, json }),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the sample is not JSON; left out");
            None
        }
    }
}
