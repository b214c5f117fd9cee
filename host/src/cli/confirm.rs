//! Asks before something is done that cannot be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::cli::exit::CliError;

/// Asks whoever sits there. Where nobody does, `--yes` has to be said.
pub(super) fn confirm(yes: bool, what: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let refusal = || CliError::Usage(format!("not done: say --yes to {what}"));
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(refusal().into());
    }
    let mut terminal = io::stderr();
    write!(terminal, "This will {what}. Go on? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(refusal().into()),
    }
}
