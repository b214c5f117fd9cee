//! The commands that set where a handler goes on: it rests on all hosts while they do.

use clap::Args;

use super::{Changing, Waiting, unless_late};
use crate::cli::arguments::read_from;
use crate::cli::confirm::confirm;
use crate::cli::registry::refused;
use crate::cli::stdout::Stdout;
use crate::fleet::{Fleet, Seek};
use crate::log::ReadFrom;

/// Set where a handler goes on.
///
/// Pauses it on all hosts, sets the offsets of its group in all partitions of its source topics,
/// and resumes it. Back means that events are handled again, and their outputs written again;
/// forward means that events are never handled.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler reset weather --to earliest
  lockstep handler reset weather --to @2026-01-31T12:00:00Z --yes")]
pub(in crate::cli) struct ResetArgs {
    /// The handler
    name: String,

    /// Where to go on: earliest, latest, an OFFSET, or a time such as @2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHERE", value_parser = read_from)]
    to: ReadFrom,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    changing: Changing,
}

pub(super) fn reset(args: &ResetArgs) -> anyhow::Result<()> {
    let fleet = args.changing.registry.open()?;
    let seek = fleet.plan_reset(&args.name, args.to).map_err(refused)?;
    let again = seek.events_again;
    let what = format!(
        "set where handler {:?} goes on in {} partitions; {again} events are handled again",
        args.name,
        seek.partitions()
    );
    confirm(args.yes, &what)?;
    perform(&fleet, &seek, &args.changing)?;
    tell(&format!("{} goes on there, with {again} events to handle again", args.name))
}

/// Goes back to an earlier revision, and handles again what the active one has handled.
pub(super) fn rewind(
    name: &str,
    to: Option<u64>,
    yes: bool,
    changing: &Changing,
) -> anyhow::Result<()> {
    let fleet = changing.registry.open()?;
    let seek = fleet.plan_rewind(name, to).map_err(refused)?;
    let Seek { active, revision, events_again: again, .. } = seek;
    let what = format!(
        "go back to revision {revision} of handler {name:?} and handle {again} events again that \
         revision {active} has handled"
    );
    confirm(yes, &what)?;
    perform(&fleet, &seek, changing)?;
    tell(&format!("{name} runs revision {revision}, with {again} events to handle again"))
}

fn perform(fleet: &Fleet, seek: &Seek, changing: &Changing) -> anyhow::Result<()> {
    let waiting = Waiting::start(&seek.name);
    let patience = waiting.patience(changing.timeout);
    let changed = fleet.seek(seek, &patience, Some(&patience)).map_err(refused)?;
    unless_late(&changed, changing.timeout)
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = Stdout::new();
    out.line(line)?;
    out.flush()
}
