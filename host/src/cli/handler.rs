//! `lockstep handler`: looks at what is deployed, and changes how it runs.

mod change;
mod history;
mod list;
mod logs;
mod offsets;
mod partitions;
mod status;

use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::exit::ExitCode;
use super::registry::RegistrySelection;
use super::stdout::OutputFormat;
use super::waiting::Waiting;
use crate::fleet::Changed;

/// List, watch, pause, roll back and delete what is deployed.
///
/// What is deployed is in the registry, which lives in the log; every command works on all hosts
/// of the fleet, and waits until they have done what was asked.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  lockstep handler list
  lockstep handler status weather
  lockstep handler logs weather --follow
  lockstep handler rollback weather --config lockstep.toml")]
pub(super) enum HandlerCommand {
    List(list::ListArgs),
    Status(status::StatusArgs),
    History(history::HistoryArgs),
    Logs(logs::LogsArgs),
    Rollback(change::RollbackArgs),
    Pause(change::PauseArgs),
    Resume(change::ResumeArgs),
    Restart(change::RestartArgs),
    Scale(change::ScaleArgs),
    Reset(offsets::ResetArgs),
    Delete(change::DeleteArgs),
}

pub(super) fn run(command: &HandlerCommand) -> anyhow::Result<ExitCode> {
    match command {
        HandlerCommand::List(args) => list::list(args),
        HandlerCommand::Status(args) => status::status(args),
        HandlerCommand::History(args) => history::history(args),
        HandlerCommand::Logs(args) => logs::logs(args),
        HandlerCommand::Rollback(args) => change::rollback(args),
        HandlerCommand::Pause(args) => change::pause(args),
        HandlerCommand::Resume(args) => change::resume(args),
        HandlerCommand::Restart(args) => change::restart(args),
        HandlerCommand::Scale(args) => change::scale(args),
        HandlerCommand::Reset(args) => offsets::reset(args),
        HandlerCommand::Delete(args) => change::delete(args),
    }?;
    Ok(ExitCode::Success)
}

/// What commands that only look have in common.
#[derive(Args, Debug)]
struct Looking {
    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    registry: RegistrySelection,
}

/// What commands that change something have in common.
#[derive(Args, Debug)]
struct Changing {
    /// Do not wait for the hosts
    #[arg(long)]
    no_wait: bool,

    /// How long to wait for the hosts
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    timeout: Duration,

    #[command(flatten)]
    registry: RegistrySelection,
}

/// Whoever waits for the hosts wants to know that they have not got there.
fn unless_late(changed: &Changed, timeout: Duration) -> anyhow::Result<()> {
    let Changed { name, late, .. } = changed;
    if late.is_empty() {
        return Ok(());
    }
    bail!(
        "the change is in the registry, but after {} it has not arrived on {}; \
         `lockstep handler status {name}` says how it goes on",
        humantime::format_duration(timeout),
        late.join(", ")
    )
}
