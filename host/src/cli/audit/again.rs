//! `lockstep audit check`: judges a history again.

use std::path::PathBuf;

use clap::Args;

use super::show;
use crate::audit::history;
use crate::audit::report::Report;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::stdout::OutputFormat;

/// Judge the history of an audit again.
///
/// Reads what --history or --keep left behind, and says the same as the audit did: the same history
/// always gets the same verdict. Starts nothing and needs no log. Exits with 0 when every promise was
/// kept, with 1 when one was broken, with 2 when the file is no history.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep audit check lockstep-audit-1a2b3c4d.ndjson
  lockstep audit check history.ndjson --output json")]
pub(super) struct CheckArgs {
    /// The history
    #[arg(value_name = "FILE")]
    history: PathBuf,

    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let history = history::load(&args.history).map_err(|error| {
        CliError::Usage(format!("{error:#}; name a file that `lockstep audit --history` wrote"))
    })?;
    show(&Report::of(&history), args.output, args.report.as_deref())
}
