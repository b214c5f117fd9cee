//! Logs of the process: to stderr, as text for people or JSON for machines. The one place that
//! knows how they are set up.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::terminal::Lines;
use crate::handler_log;

/// How much is logged, and in which form.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
pub(super) struct LoggingArgs {
    /// Form of the log lines on stderr
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    log_format: LogFormat,

    /// Least level that is logged: error, warn, info, debug or trace; also for single parts, as
    /// in `info,lockstep=debug`
    #[arg(long, global = true, env = "LOCKSTEP_LOG", value_name = "LEVEL")]
    #[arg(default_value = "info", value_parser = filter)]
    log_level: String,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// Lines for people; in colour on a terminal
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// A filter stays text here: `EnvFilter` cannot be cloned, as clap's values must be.
fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Starts logging. Called once, before anything else runs. A host also hears what is said about
/// handlers, at the level that it ships, whatever is logged here.
pub(super) fn init(args: &LoggingArgs) {
    let lines = fmt::layer().with_writer(|| Lines);
    let lines = match args.log_format {
        LogFormat::Text => lines.with_ansi(colours()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let lines = lines.with_filter(EnvFilter::new(&args.log_level));
    tracing_subscriber::registry().with(lines).with(handler_log::layer()).init();
}

/// Whether stderr takes colours: a terminal, and nobody asked for none (<https://no-color.org>).
pub(super) fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_filter_is_taken_and_nonsense_is_refused() {
        assert!(filter("debug").is_ok());
        assert!(filter("info,lockstep=trace").is_ok());
        assert!(filter("lockstep=loud").is_err());
    }
}
