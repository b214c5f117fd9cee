//! `lockstep dev`: from handler folders to a running host in one command.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::arguments::key_value;
use super::exit::ExitCode;
use super::folders::Found;
use super::invitation::{Invitation, Invited, Sample};
use super::selection::DEFAULT_DATA_DIR;
use super::stdout::Stdout;
use super::{building, folders, shell};
use crate::config::{self, HostConfig, HostTopic, HttpConfig, KafkaConfig};
use crate::handler::Handler;
use crate::server;
use crate::signals;
use crate::stop::Stop;
use crate::topic::TopicSpec;

/// A file in a handler folder with an event to try it with.
const SAMPLE: &str = "sample.json";

/// Build handlers and run them here.
///
/// A handler folder holds a `handler.toml`, which names the handler, its source topics and its
/// component. Without FOLDER, the current folder and three levels below it are searched. Each
/// handler is built with the command in its manifest (by default `cargo build --release --target
/// wasm32-wasip2`), missing topics are created, and every source topic takes events over HTTP.
/// Once it runs, lines to paste are printed that send an event and watch what becomes of it.
///
/// Events are kept in an embedded log, so nothing else is needed; --brokers runs the same on
/// Kafka.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep dev
  lockstep dev handlers/weather
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

    /// Take the components as they are
    #[arg(long)]
    no_build: bool,
}

pub(super) fn dev(args: &DevArgs) -> anyhow::Result<ExitCode> {
    let found = folders::load(&args.folders, "dev")?;
    let kafka = match &args.brokers {
        Some(brokers) => Some(KafkaConfig::from_command_line(brokers, &args.properties)?),
        None => None,
    };
    let mut config = host_config(args, kafka, &found);
    let handlers: Vec<_> = found.iter().map(|found| found.handler.clone()).collect();
    // Before the topics are put together, so that two manifests that contradict each other are
    // both named.
    config::cross_check(&config, &handlers)?;
    config.topics = topics(&handlers);
    if !args.no_build {
        building::build(&found)?;
    }
    let invitation = invitation(args, &found);
    let on_ready = move |ready: server::Ready| {
        let mut out = Stdout::new();
        // Without stdout there is nobody to invite; the host runs all the same.
        drop(out.text(&invitation.text(ready.ingest)).and_then(|()| out.flush()));
    };
    let stop = Stop::default();
    signals::stop_on_signal(&stop)?;
    server::run(config, handlers, stop, Box::new(on_ready))?;
    Ok(ExitCode::Success)
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
        kafka,
        handlers: found.iter().map(|found| found.manifest.clone()).collect(),
        ..defaults
    }
}

/// Every topic that the handlers name, as the first manifest that describes it says, or with
/// defaults. The source topics take events over HTTP.
fn topics(handlers: &[Handler]) -> Vec<HostTopic> {
    let mut topics: BTreeMap<Arc<str>, HostTopic> = BTreeMap::new();
    for spec in handlers.iter().flat_map(|handler| &handler.topics) {
        let topic = || HostTopic { spec: spec.clone(), ingest: false };
        topics.entry(Arc::clone(&spec.name)).or_insert_with(topic);
    }
    let mut add = |name: &Arc<str>, ingest: bool| {
        let topic = || HostTopic { spec: TopicSpec::named(name), ingest: false };
        topics.entry(Arc::clone(name)).or_insert_with(topic).ingest |= ingest;
    };
    for handler in handlers {
        handler.from.iter().for_each(|name| add(name, true));
        handler.to.iter().for_each(|name| add(name, false));
        add(&handler.dead_letter_topic, false);
    }
    topics.into_values().collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::handler::{Instances, Limits, OnFailure};
    use crate::log::{BatchBounds, Start};
    use crate::retry::RetryPolicy;

    fn handler(name: &str, from: &[&str], to: &[&str], topics: Vec<TopicSpec>) -> Handler {
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        Handler {
            name: name.to_owned(),
            revision: 1,
            component: PathBuf::new(),
            from: names(from),
            to: names(to),
            group: String::new(),
            dead_letter_topic: format!("{name}.dead-letters").into(),
            start: Start::Earliest,
            workers: 1,
            instances: Instances::Reused,
            on_failure: OnFailure::DeadLetter,
            provenance: true,
            retry: RetryPolicy {
                attempts: 1,
                initial: Duration::ZERO,
                max: Duration::ZERO,
                multiplier: 1.0,
                jitter: 0.0,
            },
            limits: Limits {
                memory: 0,
                time: Duration::ZERO,
                stack: 0,
                table_elements: 0,
                instances: 0,
                output_events: 0,
                output_bytes: 0,
                log_lines_per_second: 0,
                log_line_bytes: 0,
            },
            batch: BatchBounds { events: 1, bytes: 1 },
            interval: Duration::ZERO,
            config: BTreeMap::new(),
            topics,
            build_command: String::new(),
        }
    }

    #[test]
    fn every_topic_is_made_once_and_the_sources_take_events() {
        let wide = TopicSpec { partitions: 12, ..TopicSpec::named("b") };
        let handlers =
            [handler("one", &["a"], &["b"], vec![]), handler("two", &["b"], &["c"], vec![wide])];
        let topics = topics(&handlers);
        let seen: Vec<_> =
            topics.iter().map(|t| (&*t.spec.name, t.spec.partitions, t.ingest)).collect();
        assert_eq!(
            seen,
            [
                ("a", 3, true),
                ("b", 12, true),
                ("c", 3, false),
                ("one.dead-letters", 3, false),
                ("two.dead-letters", 3, false),
            ]
        );
    }
}
