//! `lockstep handler history`: the revisions of a handler.

use clap::Args;

use super::Looking;
use crate::cli::registry::refused;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::rollback::Rollback;
use crate::fleet::{Range, RevisionLine};
use crate::moment;

/// Show the revisions of a handler.
///
/// The one that is active is marked. HANDLED says which offsets of which partition a revision has
/// handled, up to where the next one began. Older ones can be gone back to with `lockstep handler
/// rollback`; what was rolled back is told below, with the reason when it was a host that did it.
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

pub(super) fn history(args: &HistoryArgs) -> anyhow::Result<()> {
    let lines = args.looking.registry.open()?.history(&args.name).map_err(refused)?;
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&lines)?,
        OutputFormat::Text => out.line(&text(lines))?,
    }
    out.flush()
}

/// How many ranges of a revision are shown; the JSON form has all of them.
const RANGES: usize = 8;

/// `orders/0 17..42, orders/1 9…`, the latest ones.
fn ranges(handled: &[Range]) -> String {
    let range = |Range { topic, partition, from, to }: &Range| match to {
        Some(to) => format!("{topic}/{partition} {from}..{to}"),
        None => format!("{topic}/{partition} {from}…"),
    };
    let earlier = handled.len().saturating_sub(RANGES);
    let mut shown: Vec<_> = handled[earlier..].iter().map(range).collect();
    if earlier > 0 {
        shown.insert(0, format!("{earlier} earlier"));
    }
    shown.join(", ")
}

fn text(lines: Vec<RevisionLine>) -> String {
    /// As much of a digest as tells components apart.
    const SHORT: usize = "sha256:".len() + 12;
    let told: String =
        lines.iter().filter_map(|line| Some(told(line.rolled_back.as_ref()?))).collect();
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
        + &told
}

fn told(rollback: &Rollback) -> String {
    format!("\n{}: {rollback}", moment::rfc3339(rollback.at))
}
