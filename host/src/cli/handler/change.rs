//! The commands that change how a handler runs: each writes one record, and waits for the hosts.

use clap::Args;

use super::{Changing, Waiting, offsets, unless_late};
use crate::cli::confirm::confirm;
use crate::cli::registry::refused;
use crate::cli::stdout::Stdout;
use crate::deployment::one_host::HostOperation;
use crate::deployment::operation::Operation;

/// Go back to an earlier revision.
///
/// Makes the revision before the active one, or the one that --to names, the active one again. The
/// hosts take it up between two transactions. The events that the other one has handled stay
/// handled, unless --rewind is said: then the handler rests while its offsets are set back to where
/// that revision took each partition over.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler rollback weather
  lockstep handler rollback weather --to 3
  lockstep handler rollback weather --rewind --yes")]
pub(in crate::cli) struct RollbackArgs {
    /// The handler
    name: String,

    /// The revision [default: the one before the active one]
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,

    /// Handle again what the active revision has handled; their outputs are written again
    #[arg(long)]
    rewind: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    changing: Changing,
}

/// A handler, on all hosts or on one.
#[derive(Args, Debug)]
struct One {
    /// The handler
    name: String,

    /// Only on this host [default: on all]
    #[arg(long, value_name = "ID")]
    host: Option<String>,

    #[command(flatten)]
    changing: Changing,
}

/// Stop the workers of a handler, on all hosts or on one.
///
/// They finish their transactions and leave the group. Events wait in the source topics until the
/// handler is resumed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler pause weather
  lockstep handler pause weather --host host-2
  lockstep handler pause weather --config lockstep.toml")]
pub(in crate::cli) struct PauseArgs {
    #[command(flatten)]
    one: One,
}

/// Start the workers of a paused handler.
///
/// It goes on where it stopped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler resume weather
  lockstep handler resume weather --host host-2
  lockstep handler resume weather --config lockstep.toml")]
pub(in crate::cli) struct ResumeArgs {
    #[command(flatten)]
    one: One,
}

/// Stop and start the workers of a handler, on all hosts or on one.
///
/// Partitions that wait at an event go on with it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler restart weather
  lockstep handler restart weather --host host-2
  lockstep handler restart weather --config lockstep.toml")]
pub(in crate::cli) struct RestartArgs {
    #[command(flatten)]
    one: One,
}

/// Change how many workers a handler has on each host.
///
/// No more of them work at once, in the whole fleet, than its source topics have partitions. A
/// deployment brings back the number of the manifest.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler scale weather --workers 4
  lockstep handler scale weather --workers 8 --host host-2
  lockstep handler scale weather --as-manifest")]
pub(in crate::cli) struct ScaleArgs {
    /// The handler
    name: String,

    /// Workers on each host
    #[arg(long, value_name = "N", required_unless_present = "as_manifest")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Option<u32>,

    /// As many as the manifest says
    #[arg(long, conflicts_with = "workers")]
    as_manifest: bool,

    /// Only on this host [default: on each]; --as-manifest: as many as elsewhere
    #[arg(long, value_name = "ID")]
    host: Option<String>,

    #[command(flatten)]
    changing: Changing,
}

/// End a handler on all hosts.
///
/// Topics, their events and the group's offsets stay: deployed again under the same name, it goes
/// on where it stopped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler delete weather
  lockstep handler delete weather --yes")]
pub(in crate::cli) struct DeleteArgs {
    /// The handler
    name: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    changing: Changing,
}

pub(super) fn rollback(args: &RollbackArgs) -> anyhow::Result<()> {
    if args.rewind {
        return offsets::rewind(&args.name, args.to, args.yes, &args.changing);
    }
    perform(&args.name, &Operation::Rollback(args.to), &args.changing)
}

pub(super) fn pause(args: &PauseArgs) -> anyhow::Result<()> {
    on_hosts(&args.one, HostOperation::Pause)
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<()> {
    on_hosts(&args.one, HostOperation::Resume)
}

pub(super) fn restart(args: &RestartArgs) -> anyhow::Result<()> {
    on_hosts(&args.one, HostOperation::Restart)
}

pub(super) fn scale(args: &ScaleArgs) -> anyhow::Result<()> {
    let operation = HostOperation::Scale(args.workers).on(args.host.clone());
    perform(&args.name, &operation, &args.changing)
}

pub(super) fn delete(args: &DeleteArgs) -> anyhow::Result<()> {
    confirm(args.yes, &format!("end handler {:?} on all hosts", args.name))?;
    perform(&args.name, &Operation::Delete, &args.changing)
}

fn on_hosts(one: &One, what: HostOperation) -> anyhow::Result<()> {
    perform(&one.name, &what.on(one.host.clone()), &one.changing)
}

fn perform(name: &str, operation: &Operation, changing: &Changing) -> anyhow::Result<()> {
    let fleet = changing.registry.open()?;
    let changed = {
        let waiting = Waiting::start(name);
        let patience = (!changing.no_wait).then(|| waiting.patience(changing.timeout));
        fleet.change(name, operation, patience.as_ref()).map_err(refused)?
    };
    unless_late(&changed, changing.timeout)?;
    let mut out = Stdout::new();
    let what = match changed.revision {
        Some(_) if changed.paused => "is paused".to_owned(),
        Some(revision) => format!("runs revision {revision}"),
        None => "is deleted".to_owned(),
    };
    let place = match changed.hosts.as_slice() {
        [] => String::new(),
        hosts => format!(" on {}", hosts.join(", ")),
    };
    out.line(&format!("{name} {what}{place}"))?;
    out.flush()
}
