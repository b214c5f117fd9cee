//! `lockstep handler history`: the revisions of a handler.

use clap::Args;
use serde::Serialize;

use super::{Looking, time};
use crate::cli::exit::CliError;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::fence::Fence;
use crate::deployment::registry::Deployed;

/// Show the revisions of a handler.
///
/// The one that is active is marked. HANDLED says which offsets of which partition a revision has
/// handled, up to where the next one began. Older ones can be gone back to with `lockstep handler
/// rollback`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler history weather
  lockstep handler history weather --output json")]
pub(in crate::cli) struct HistoryArgs {
    /// The handler
    name: String,

    #[command(flatten)]
    looking: Looking,
}

#[derive(Debug, Serialize)]
struct Line {
    revision: u64,
    active: bool,
    component: String,
    bytes: u64,
    deployed_at: String,
    deployed_by: String,
    /// What it has handled, in the order in which it began.
    handled: Vec<Range>,
}

/// Events of one partition that one revision has handled.
#[derive(Debug, Serialize)]
struct Range {
    topic: String,
    partition: i32,
    /// The first offset.
    from: i64,
    /// The offset that another revision began at; `null` while it is the revision's own, and when
    /// it was rewound.
    to: Option<i64>,
}

pub(super) fn history(args: &HistoryArgs) -> anyhow::Result<()> {
    let registry = args.looking.registry.open()?.registry()?;
    let Some(deployed) = registry.handler(&args.name) else {
        let problem = format!("there is no handler {:?} in the registry", args.name);
        return Err(CliError::NotFound(problem).into());
    };
    let lines = lines(deployed);
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&lines)?,
        OutputFormat::Text => out.line(&text(lines))?,
    }
    out.flush()
}

fn lines(deployed: &Deployed) -> Vec<Line> {
    let active = deployed.active().map(|(number, _)| number);
    let line = |(number, revision): (&u64, &crate::deployment::record::RevisionRecord)| Line {
        revision: *number,
        active: Some(*number) == active,
        component: revision.component.to_string(),
        bytes: revision.bytes,
        deployed_at: time(revision.deployed_at),
        deployed_by: revision.deployed_by.clone(),
        handled: handled(deployed, *number),
    };
    deployed.revisions.iter().rev().map(line).collect()
}

/// What a revision has handled.
fn handled(deployed: &Deployed, number: u64) -> Vec<Range> {
    let fences = &deployed.fences;
    let range = |(index, fence): (usize, &Fence)| {
        let mut later = fences[index + 1..].iter();
        let next = later.find(|next| next.place() == fence.place() && next.revision != number);
        Range {
            topic: fence.topic.to_string(),
            partition: fence.partition,
            from: fence.from,
            to: next.map(|next| next.from).filter(|to| *to > fence.from),
        }
    };
    fences.iter().enumerate().filter(|(_, fence)| fence.revision == number).map(range).collect()
}

/// `orders/0 17..42, orders/1 9…`
fn ranges(handled: &[Range]) -> String {
    let range = |Range { topic, partition, from, to }: &Range| match to {
        Some(to) => format!("{topic}/{partition} {from}..{to}"),
        None => format!("{topic}/{partition} {from}…"),
    };
    handled.iter().map(range).collect::<Vec<_>>().join(", ")
}

fn text(lines: Vec<Line>) -> String {
    /// As much of a digest as tells components apart.
    const SHORT: usize = "sha256:".len() + 12;
    let rows = lines.into_iter().map(|line| {
        vec![
            line.revision.to_string(),
            if line.active { "active" } else { "" }.to_owned(),
            line.component.chars().take(SHORT).collect(),
            line.bytes.to_string(),
            line.deployed_at,
            line.deployed_by,
            ranges(&line.handled),
        ]
    });
    table(&["REVISION", "", "COMPONENT", "BYTES", "DEPLOYED", "BY", "HANDLED"], &[0, 3], rows)
}
