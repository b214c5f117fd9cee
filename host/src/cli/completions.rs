//! `lockstep completions`: scripts that let a shell complete commands and options.

use clap::Args;
use clap_complete::Shell;

use super::exit::ExitCode;
use super::stdout::Stdout;

/// Print a script that completes commands and options in a shell.
///
/// The script goes to stdout; where it has to be kept depends on the shell. It belongs to this
/// version of Lockstep: print it again after an update.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep completions bash > ~/.local/share/bash-completion/completions/lockstep
  lockstep completions zsh > ~/.zfunc/_lockstep
  lockstep completions fish > ~/.config/fish/completions/lockstep.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lockstep", &mut script);
    let mut out = Stdout::new();
    out.text(&String::from_utf8_lossy(&script))?;
    out.flush()?;
    Ok(ExitCode::Success)
}
