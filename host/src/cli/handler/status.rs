//! `lockstep handler status`: how handlers are, on each host and in each partition.

use clap::Args;

use super::{Looking, partitions};
use crate::cli::exit::CliError;
use crate::cli::registry::refused;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::hosts::HandlerState;
use crate::fleet::{Fleet, OnHost, Status};

/// Show how a handler is on each host, who has each partition, and how far it is there.
///
/// Asks the hosts of the fleet, which say every second how they are. RATE is events per second
/// over the last seconds, LAG the number of events that wait. A partition that nobody has waits for
/// a host, for the end of a rebalance, or for the handler to be resumed. Without NAME: all handlers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler status
  lockstep handler status weather --host host-2
  lockstep handler status weather --output json")]
pub(in crate::cli) struct StatusArgs {
    /// The handler [default: all]
    name: Option<String>,

    /// Only this host, and what it has
    #[arg(long, value_name = "ID")]
    host: Option<String>,

    #[command(flatten)]
    looking: Looking,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let fleet = args.looking.registry.open()?;
    let mut all = fleet.status(args.name.as_deref()).map_err(refused)?;
    if let Some(host) = &args.host {
        is_there(&fleet, host)?;
        all = all.into_iter().map(|status| status.on(host)).collect();
    }
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&all)?,
        OutputFormat::Text => out.text(&text(&all))?,
    }
    out.flush()
}

/// Fails when this host has said nothing lately.
fn is_there(fleet: &Fleet, id: &str) -> anyhow::Result<()> {
    let there = fleet.hosts_there().map_err(refused)?;
    if there.iter().any(|host| host == id) {
        return Ok(());
    }
    let others = match there.is_empty() {
        true => "no host of this fleet is there".to_owned(),
        false => format!("there are {}", there.join(", ")),
    };
    Err(CliError::NotFound(format!("host {id:?} is not there; {others}")).into())
}

/// What went wrong on a host, unless one of its partitions says so.
fn error_on<'a>(status: &Status, host: &'a OnHost) -> Option<&'a str> {
    let error = host.error.as_deref()?;
    let said = status.partitions.iter().any(|partition| {
        partition.host.as_ref() == Some(&host.host) && partition.error.as_deref() == Some(error)
    });
    (!said).then_some(error)
}

fn text(all: &[Status]) -> String {
    let mut text = String::new();
    for status in all {
        let state = if status.paused { ", paused" } else { "" };
        text += &format!("{}: revision {}{state}\n", status.name, status.revision);
        if let Some(rollback) = &status.rolled_back {
            text += &format!("{rollback}\n");
        }
        if status.hosts.is_empty() {
            text += "no host is there\n";
        } else {
            text += &hosts_table(&status.hosts);
        }
        for host in &status.hosts {
            if let Some(error) = error_on(status, host) {
                text += &format!("last error on {}: {error}\n", host.host);
            }
        }
        if !status.partitions.is_empty() {
            text += &partitions::text(&status.partitions);
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
