//! `lockstep handler status`: how handlers are, on each host and in each partition.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::Looking;
use crate::cli::registry::refused;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::hosts::{HandlerState, Hosts};
use crate::deployment::manifest;
use crate::deployment::operation::present;
use crate::deployment::registry::Deployed;
use crate::deployment::store::Store;

/// Show how a handler is on each host, and how far it is in each partition.
///
/// Asks the hosts of the fleet, which say every second how they are. RATE is events per second
/// over the last seconds, LAG the number of events that wait. Without NAME: all handlers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler status
  lockstep handler status weather --output json")]
pub(in crate::cli) struct StatusArgs {
    /// The handler [default: all]
    name: Option<String>,

    #[command(flatten)]
    looking: Looking,
}

#[derive(Debug, Serialize)]
struct Status {
    name: String,
    /// The revision that the registry wants.
    revision: u64,
    paused: bool,
    hosts: Vec<OnHost>,
    partitions: Vec<Partition>,
}

#[derive(Debug, Serialize)]
struct OnHost {
    host: String,
    state: HandlerState,
    revision: u64,
    workers: u32,
    events: u64,
    dead_letters: u64,
    rate: f64,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    committed: i64,
    end: i64,
    lag: i64,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let store = args.looking.registry.open()?;
    let registry = store.registry()?;
    if let Some(name) = &args.name {
        present(&registry, name).map_err(|refusal| refused(refusal.into()))?;
    }
    let mut hosts = Hosts::listen(&**store.log(), store.topics())?;
    hosts.catch_up()?;
    let mut all = Vec::new();
    for (name, deployed, _) in registry.handlers() {
        if args.name.as_ref().is_none_or(|wanted| wanted == name) {
            all.push(of(&store, &hosts, name, deployed)?);
        }
    }
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&all)?,
        OutputFormat::Text => out.text(&text(&all))?,
    }
    out.flush()
}

fn of(store: &Store, hosts: &Hosts, name: &str, deployed: &Deployed) -> anyhow::Result<Status> {
    let on_host = |host: &crate::deployment::hosts::HostReport| {
        let handler = host.handler(name)?;
        Some(OnHost {
            host: host.host.clone(),
            state: handler.state,
            revision: handler.revision,
            workers: handler.workers,
            events: handler.events,
            dead_letters: handler.dead_letters,
            rate: hosts.rate(&host.host, name),
            error: handler.error.clone(),
        })
    };
    let mut partitions = Vec::new();
    if let Some((number, active)) = deployed.active() {
        let handler = manifest::parse(Path::new(&format!("{name}@{number}")), &active.manifest)?;
        for offset in store.log().admin().group(&handler.group)? {
            partitions.push(Partition {
                topic: offset.at.topic.to_string(),
                partition: offset.at.partition,
                committed: offset.committed,
                end: offset.end,
                lag: offset.lag,
            });
        }
    }
    partitions.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let record = deployed.deployment.as_ref();
    Ok(Status {
        name: name.to_owned(),
        revision: record.map_or(0, |record| record.revision),
        paused: record.is_some_and(|record| record.paused),
        hosts: hosts.live().filter_map(on_host).collect(),
        partitions,
    })
}

fn text(all: &[Status]) -> String {
    let mut text = String::new();
    for status in all {
        let state = if status.paused { ", paused" } else { "" };
        text += &format!("{}: revision {}{state}\n", status.name, status.revision);
        if status.hosts.is_empty() {
            text += "no host is there\n";
        } else {
            text += &hosts_table(&status.hosts);
        }
        for host in &status.hosts {
            if let Some(error) = &host.error {
                text += &format!("last error on {}: {error}\n", host.host);
            }
        }
        if !status.partitions.is_empty() {
            text += &partitions_table(&status.partitions);
        }
        text += "\n";
    }
    if all.is_empty() {
        text += "nothing is deployed; `lockstep deploy FOLDER` does it\n";
    }
    format!("{}\n", text.trim_end())
}

fn hosts_table(hosts: &[OnHost]) -> String {
    let rows = hosts.iter().map(|host| {
        let state = match host.state {
            HandlerState::Starting => "starting",
            HandlerState::Running => "running",
            HandlerState::Paused => "paused",
            HandlerState::Failed => "failed",
        };
        vec![
            host.host.clone(),
            state.to_owned(),
            host.revision.to_string(),
            host.workers.to_string(),
            host.events.to_string(),
            host.dead_letters.to_string(),
            format!("{:.1}/s", host.rate),
        ]
    });
    let header = ["HOST", "STATE", "REVISION", "WORKERS", "EVENTS", "DEAD LETTERS", "RATE"];
    table(&header, &[2, 3, 4, 5, 6], rows) + "\n"
}

fn partitions_table(partitions: &[Partition]) -> String {
    let rows = partitions.iter().map(|partition| {
        vec![
            partition.topic.clone(),
            partition.partition.to_string(),
            partition.committed.to_string(),
            partition.end.to_string(),
            partition.lag.to_string(),
        ]
    });
    table(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"], &[1, 2, 3, 4], rows) + "\n"
}
