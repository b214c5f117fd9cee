//! `lockstep handler logs`: what handlers write, and what the hosts say about them.

use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use console::Style;
use serde_json::Value;
use tracing::{info, warn};

use crate::cli::arguments::since;
use crate::cli::exit::CliError;
use crate::cli::registry::RegistrySelection;
use crate::cli::render::{self, Audience, Lines};
use crate::cli::stdout::{OutputFormat, Stdout};
use crate::deployment::logs::{self, Following, LogRecord, LogsError, Wanted};
use crate::handler_log::Severity;
use crate::log::Log;
use crate::moment;
use crate::signals;
use crate::stop::Stop;

/// Lines shown when nothing is said.
const TAIL: usize = 100;
/// How long one read waits, and so the longest that Ctrl-C goes unnoticed.
const WAIT: Duration = Duration::from_millis(200);
/// A log that gave nothing for so long is asked how it is.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PING: Duration = Duration::from_secs(5);

/// Show what handlers write, and what the hosts say about them.
///
/// Every host ships to the log of the fleet what its handlers write to stdout and stderr, and what
/// it says about them itself: dead letters, halts, what cannot run. The log keeps it for a day.
/// Lines of one host come in the order in which they were written.
///
/// With --output json each line is one object:
/// {"time","severity","host","handler","revision","body","attributes"}. The attribute
/// "log.iostream" tells "stdout" and "stderr" apart, and is missing where the host speaks.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep handler logs weather
  lockstep handler logs weather --follow --tail 0
  lockstep handler logs --since 10m --host host-1
  lockstep handler logs weather --since 2026-01-31T12:00:00Z --output json | jq -r .body")]
pub(in crate::cli) struct LogsArgs {
    /// The handler [default: all]
    name: Option<String>,

    /// Wait for further lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Only lines since then: an age such as 10m, or a time (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<i64>,

    /// Only the last N of the lines there are [default: 100, or all with --since]
    #[arg(long, short = 'n', value_name = "N", visible_alias = "max")]
    tail: Option<usize>,

    /// Only lines of this host
    #[arg(long, value_name = "ID")]
    host: Option<String>,

    /// Only lines about this revision
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    revision: Option<u64>,

    /// Form of the lines
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    registry: RegistrySelection,
}

pub(super) fn logs(args: &LogsArgs) -> anyhow::Result<()> {
    let fleet = args.registry.open()?;
    let stop = Stop::default();
    if args.follow {
        let asked = stop.clone();
        signals::watch(move || asked.request())?;
        Stdout::on_closed(&stop)?;
    }
    let wanted = Wanted {
        handler: args.name.clone(),
        host: args.host.clone(),
        revision: args.revision,
        since: args.since,
        tail: args.tail.or(args.since.is_none().then_some(TAIL)),
    };
    let (records, following) = logs::ask(fleet.store(), wanted).map_err(refused)?;
    let mut printer = Printer::new(args.output);
    printer.print(&records)?;
    if args.follow {
        follow(&**fleet.store().log(), following, &mut printer, &stop)?;
    }
    Ok(())
}

fn refused(error: LogsError) -> anyhow::Error {
    match error {
        LogsError::Unknown { .. } => CliError::NotFound(error.to_string()).into(),
        LogsError::Log(error) => error,
    }
}

/// Prints what comes until a stop is requested.
fn follow(
    log: &dyn Log,
    mut following: Following,
    printer: &mut Printer,
    stop: &Stop,
) -> anyhow::Result<()> {
    let (mut heard, mut is_away) = (Instant::now(), false);
    while !stop.requested() {
        let records = following.next(WAIT)?;
        printer.print(&records)?;
        if !records.is_empty() {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            // What is written while it is away comes once it is back.
            let answer = log.ping(PING);
            match &answer {
                Err(error) if !is_away => warn!("waiting for the log: {error:#}"),
                Ok(()) if is_away => info!("the log is back"),
                _ => {}
            }
            is_away = answer.is_err();
            heard = Instant::now();
        }
    }
    Ok(())
}

struct Printer {
    out: Stdout,
    format: OutputFormat,
    colours: bool,
}

impl Printer {
    fn new(format: OutputFormat) -> Self {
        Self { out: Stdout::new(), format, colours: Stdout::colours() }
    }

    /// Prints and flushes: what was read is seen before more is waited for.
    fn print(&mut self, records: &[LogRecord]) -> anyhow::Result<()> {
        for record in records {
            match self.format {
                OutputFormat::Json => self.out.json(record)?,
                OutputFormat::Text => self.out.line(&text(record, self.colours))?,
            }
        }
        self.out.flush()
    }
}

/// `2026-01-31T12:00:00.250Z host-1 weather@7 WARN  words`. Further lines of a record are set in,
/// so that none of them looks like a record.
fn text(record: &LogRecord, colours: bool) -> String {
    let safe = |text: &str, lines| render::safe(text, Audience::Terminal, lines);
    let in_style = |style: Style, text: &str| match colours {
        true => style.force_styling(true).apply_to(text).to_string(),
        false => text.to_owned(),
    };
    let severity = record.entry.severity;
    let level = match severity {
        Severity::Info => Style::new().green(),
        Severity::Warn => Style::new().yellow(),
        Severity::Error => Style::new().red().bold(),
    };
    let body = safe(&record.entry.body, Lines::Many).replace('\n', "\n    ");
    let more = more(record).map(|more| safe(&more, Lines::One)).collect::<String>();
    format!(
        "{} {} {} {} {body}{}",
        in_style(Style::new().dim(), &moment::rfc3339(record.time_ms())),
        in_style(Style::new().cyan(), &safe(&record.host, Lines::One)),
        in_style(Style::new().bold(), &safe(&record.label(), Lines::One)),
        in_style(level, &format!("{:<5}", severity.text())),
        in_style(Style::new().dim(), &more),
    )
}

/// What the host told besides: ` slot=0`, ` change=started`.
fn more(record: &LogRecord) -> impl Iterator<Item = String> {
    record.entry.attributes.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("lockstep.")?;
        Some(match value {
            Value::String(text) => format!(" {name}={text}"),
            value => format!(" {name}={value}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler_log::Entry;

    fn record(body: &str) -> LogRecord {
        let mut entry = Entry::now("weather", Some(7), Severity::Warn, body);
        entry.time_unix_nano = 1_769_860_800_250_000_000;
        LogRecord { host: "host-1".to_owned(), entry }
    }

    #[test]
    fn a_line_says_when_where_what_and_how_grave() {
        assert_eq!(
            text(&record("cold"), false),
            "2026-01-31T12:00:00.250Z host-1 weather@7 WARN  cold"
        );
        let shown = text(&record("cold"), true);
        assert!(shown.contains("\u{1b}[33mWARN \u{1b}[0m"), "{shown:?}");
        let mut dropped = record("lines lost");
        dropped.entry.attributes.insert("lockstep.dropped".to_owned(), 12.into());
        dropped.entry.attributes.insert("log.iostream".to_owned(), "stdout".into());
        assert!(text(&dropped, false).ends_with("WARN  lines lost dropped=12"));
    }

    #[test]
    fn no_record_looks_like_two_or_steers_a_terminal() {
        let shown = text(&record("a\n2026-01-31T12:00:00.250Z x y@1 INFO  b\u{1b}[2J\r"), false);
        let mut lines = shown.lines().skip(1);
        assert!(lines.all(|line| line.starts_with("    ")), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\r']), "{shown:?}");
    }
}
