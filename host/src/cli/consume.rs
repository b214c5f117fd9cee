//! `lockstep consume`: events of a topic, printed.

use std::time::Duration;

use clap::{Args, value_parser};

use super::arguments::{read_from, topic_name};
use super::exit::ExitCode;
use super::lookup;
use super::render::{self, JsonEvent};
use super::selection::{IfMissing, LogSelection};
use super::stdout::{OutputFormat, Stdout};
use crate::event::Consumed;
use crate::log::ReadFrom;
use crate::signals;
use crate::stop::Stop;

/// Events asked of the log at once: enough to be fast, few enough to be shown soon.
const PAGE: usize = 1_000;

/// The longest wait in one read, and so the longest that Ctrl-C goes unnoticed.
const WAIT: Duration = Duration::from_millis(200);

/// Print the events of a topic.
///
/// Reads outside any consumer group, so nothing is committed and no handler is disturbed, and
/// shows committed events only. Ends at the end of the topic unless --follow is given. Order is
/// that of each partition; events of different partitions come as they are read.
///
/// With --output json each event is one line: {"topic","partition","offset","timestamp_ms",
/// "key","value","headers":[{"name","value"}]}. Keys and values are strings when they are UTF-8,
/// otherwise {"base64":"…"}; a null stays null.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep consume destination-topic
  lockstep consume destination-topic --follow --from latest
  lockstep consume orders --from @2026-01-31T12:00:00Z --max 10
  lockstep consume weather.dead-letters --output json | jq .headers")]
pub(super) struct ConsumeArgs {
    /// The topic
    #[arg(value_parser = topic_name)]
    topic: String,

    /// Wait for further events until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Where to begin: earliest, latest, an OFFSET (in every partition), or @TIMESTAMP (RFC 3339
    /// or milliseconds since 1970)
    #[arg(long, value_name = "WHERE", default_value = "earliest", value_parser = read_from)]
    from: ReadFrom,

    /// End after so many events
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max: Option<u64>,

    /// Form of the events
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

pub(super) fn consume(args: &ConsumeArgs) -> anyhow::Result<ExitCode> {
    let log = args.log.open(IfMissing::Fail)?;
    lookup::topic(&*log, &args.topic)?;
    let stop = Stop::default();
    let asked = stop.clone();
    signals::watch(move || asked.request())?;
    let mut reader = log.reader(&args.topic, args.from)?;
    let mut printer = Printer::new(args.output);
    let mut left = args.max.unwrap_or(u64::MAX);
    while left > 0 && !stop.requested() {
        let page = usize::try_from(left).map_or(PAGE, |left| left.min(PAGE));
        let events = reader.read(page, WAIT)?;
        printer.print(&events)?;
        left = left.saturating_sub(events.len() as u64);
        if !args.follow && reader.at_end() {
            break;
        }
    }
    Ok(ExitCode::Success)
}

struct Printer {
    out: Stdout,
    format: OutputFormat,
    audience: render::Audience,
}

impl Printer {
    fn new(format: OutputFormat) -> Self {
        let audience = match Stdout::is_terminal() {
            true => render::Audience::Terminal,
            false => render::Audience::Program,
        };
        Self { out: Stdout::new(), format, audience }
    }

    /// Prints events and flushes: what was read is seen before more is waited for.
    fn print(&mut self, events: &[Consumed]) -> anyhow::Result<()> {
        for event in events {
            match self.format {
                OutputFormat::Json => self.out.json(&JsonEvent::from(event))?,
                OutputFormat::Text => self.out.text(&render::text(event, self.audience))?,
            }
        }
        self.out.flush()
    }
}
