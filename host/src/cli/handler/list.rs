//! `lockstep handler list`: what is deployed, a line each.

use clap::Args;

use super::Looking;
use crate::cli::registry::refused;
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::cli::table::table;

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

pub(super) fn list(args: &ListArgs) -> anyhow::Result<()> {
    let lines = args.looking.registry.open()?.deployed().map_err(refused)?;
    let mut out = Stdout::new();
    match args.looking.output {
        OutputFormat::Json => out.json(&lines)?,
        OutputFormat::Text if lines.is_empty() => {
            out.line("nothing is deployed; `lockstep deploy FOLDER` does it")?;
        }
        OutputFormat::Text => {
            let rows = lines.into_iter().map(|line| {
                let number = line.revision.to_string();
                vec![
                    line.name,
                    number,
                    line.state.as_str().to_owned(),
                    line.deployed_at,
                    line.deployed_by,
                ]
            });
            out.line(&table(&["HANDLER", "REVISION", "STATE", "DEPLOYED", "BY"], &[1], rows))?;
        }
    }
    out.flush()
}
