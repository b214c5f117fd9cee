//! `lockstep handler status`: how handlers are, on each host and in each partition.

use clap::Args;

use super::Looking;
use crate::cli::registry::refused;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::hosts::HandlerState;
use crate::fleet::{OnHost, Partition, Status};

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

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let fleet = args.looking.registry.open()?;
    let all = fleet.status(args.name.as_deref()).map_err(refused)?;
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&all)?,
        OutputFormat::Text => out.text(&text(&all))?,
    }
    out.flush()
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
