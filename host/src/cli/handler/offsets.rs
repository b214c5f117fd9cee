//! The commands that set where a handler goes on: it rests on all hosts while they do.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;

use super::Changing;
use crate::cli::arguments::read_from;
use crate::cli::confirm::confirm;
use crate::cli::registry::{operator, refused};
use crate::cli::rollout;
use crate::cli::stdout::Stdout;
use crate::deployment::manifest;
use crate::deployment::operation::{Operation, present};
use crate::deployment::registry::Deployed;
use crate::deployment::store::Store;
use crate::event::TopicPartition;
use crate::handler::Handler;
use crate::log::ReadFrom;

/// How often it is looked whether the group has members left.
const GLANCE: Duration = Duration::from_millis(100);

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

type Offsets = BTreeMap<TopicPartition, i64>;

pub(super) fn reset(args: &ResetArgs) -> anyhow::Result<()> {
    let store = args.changing.registry.open()?;
    let registry = store.registry()?;
    let (deployed, record) = present(&registry, &args.name).map_err(|e| refused(e.into()))?;
    let handler = active_handler(&args.name, deployed)?;
    let mut offsets = Offsets::new();
    for topic in &handler.from {
        for (partition, offset) in store.log().admin().offsets(topic, args.to)? {
            offsets.insert(TopicPartition { topic: topic.clone(), partition }, offset);
        }
    }
    let again = events_again(&store, &handler, &offsets)?;
    let what = format!(
        "set where handler {:?} goes on in {} partitions; {again} events are handled again",
        args.name,
        offsets.len()
    );
    confirm(args.yes, &what)?;
    let was_paused = record.paused;
    rest(&store, &args.name, &handler.group, was_paused, args.changing.timeout)?;
    store.log().admin().set_offsets(&handler.group, &offsets).with_context(paused(&args.name))?;
    if !was_paused {
        perform(&store, &args.name, &Operation::Resume, args.changing.timeout)?;
    }
    tell(&format!("{} goes on there, with {again} events to handle again", args.name))
}

/// Goes back to an earlier revision, and handles again what the active one has handled.
pub(super) fn rewind(
    name: &str,
    to: Option<u64>,
    yes: bool,
    changing: &Changing,
) -> anyhow::Result<()> {
    let store = changing.registry.open()?;
    let registry = store.registry()?;
    let operation = Operation::Rollback(to);
    // Refused now, before anything rests.
    let plan = operation.plan(&registry, name, &operator()).map_err(|e| refused(e.into()))?;
    let deployed = registry.handler(name).context("it was planned for")?;
    let handler = active_handler(name, deployed)?;
    let offsets = deployed.begin_of_active();
    if offsets.is_empty() {
        bail!(
            "handler {name:?} has handled nothing with revision {}: there is nothing to rewind; \
             roll back without --rewind",
            handler.revision
        );
    }
    let again = events_again(&store, &handler, &offsets)?;
    let target = plan.deployment.map_or(0, |record| record.revision);
    let what = format!(
        "go back to revision {target} of handler {name:?} and handle {again} events again that \
         revision {} has handled",
        handler.revision
    );
    confirm(yes, &what)?;
    let was_paused = deployed.deployment.as_ref().is_some_and(|record| record.paused);
    rest(&store, name, &handler.group, was_paused, changing.timeout)?;
    store.log().admin().set_offsets(&handler.group, &offsets).with_context(paused(name))?;
    store.perform(name, &operation, &operator(), None).map_err(refused)?;
    perform(&store, name, &Operation::Resume, changing.timeout)?;
    tell(&format!("{name} runs revision {target}, with {again} events to handle again"))
}

fn active_handler(name: &str, deployed: &Deployed) -> anyhow::Result<Handler> {
    let active = deployed.active();
    let (number, active) = active.with_context(|| format!("handler {name:?} has no revision"))?;
    let mut handler = manifest::parse(Path::new(&format!("{name}@{number}")), &active.manifest)?;
    handler.revision = number;
    Ok(handler)
}

/// How many offsets lie between where the handler is and where it is to go on.
fn events_again(store: &Store, handler: &Handler, offsets: &Offsets) -> anyhow::Result<i64> {
    let group = store.log().admin().group(&handler.group)?;
    let back = |(at, offset): (&TopicPartition, &i64)| {
        let committed = group.iter().find(|known| known.at == *at)?.committed;
        Some(committed.saturating_sub(*offset).max(0))
    };
    Ok(offsets.iter().filter_map(back).sum())
}

/// Pauses the handler, and waits until its group has no members.
fn rest(
    store: &Store,
    name: &str,
    group: &str,
    is_paused: bool,
    timeout: Duration,
) -> anyhow::Result<()> {
    if !is_paused {
        perform(store, name, &Operation::Pause, timeout)?;
    }
    let begun = Instant::now();
    while store.log().admin().members(group)? > 0 {
        if begun.elapsed() > timeout {
            return Err(anyhow::anyhow!(
                "group {group:?} still has members; hosts that are gone leave it when their \
                 session times out"
            )
            .context(paused(name)()));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// What to do when it does not get any further.
fn paused(name: &str) -> impl Fn() -> String {
    let name = name.to_owned();
    move || format!("handler {name:?} is paused; resume it with `lockstep handler resume {name}`")
}

fn perform(
    store: &Store,
    name: &str,
    operation: &Operation,
    timeout: Duration,
) -> anyhow::Result<()> {
    let plan = store.perform(name, operation, &operator(), None).map_err(refused)?;
    rollout::wait_for_all(store, name, plan.deployment.as_ref(), timeout).map(drop)
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = Stdout::new();
    out.line(line)?;
    out.flush()
}
