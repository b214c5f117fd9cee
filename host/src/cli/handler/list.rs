//! `lockstep handler list`: what is deployed, a line each.

use clap::Args;
use serde::Serialize;

use super::{Looking, time};
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;
use crate::deployment::registry::Registry;

/// List the handlers that are deployed.
///
/// STATE is what the registry says; `lockstep handler status` asks the hosts.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler list
  lockstep handler list --config lockstep.toml --output json")]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    looking: Looking,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    revision: u64,
    state: &'static str,
    component: String,
    deployed_at: String,
    deployed_by: String,
}

pub(super) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let registry = args.looking.registry.open()?.registry()?;
    let lines = lines(&registry);
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&lines)?,
        OutputFormat::Text if lines.is_empty() => {
            out.line("nothing is deployed; `lockstep deploy FOLDER` does it")?;
        }
        OutputFormat::Text => {
            let rows = lines.into_iter().map(|line| {
                let number = line.revision.to_string();
                vec![line.name, number, line.state.to_owned(), line.deployed_at, line.deployed_by]
            });
            out.line(&table(&["HANDLER", "REVISION", "STATE", "DEPLOYED", "BY"], &[1], rows))?;
        }
    }
    out.flush()
}

fn lines(registry: &Registry) -> Vec<Line> {
    let line = |(name, deployed, record): (
        &str,
        &crate::deployment::registry::Deployed,
        &crate::deployment::record::DeploymentRecord,
    )| {
        let (number, active) = deployed.active()?;
        Some(Line {
            name: name.to_owned(),
            revision: number,
            state: if record.paused { "paused" } else { "active" },
            component: active.component.to_string(),
            deployed_at: time(active.deployed_at),
            deployed_by: active.deployed_by.clone(),
        })
    };
    registry.handlers().filter_map(line).collect()
}
