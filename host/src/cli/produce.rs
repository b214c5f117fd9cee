//! `lockstep produce`: events into a topic, each confirmed by its place in the log.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, bail};
use clap::{Args, value_parser};
use serde::Serialize;
use tokio::sync::mpsc;

use super::arguments::{header, own_topic_name};
use super::exit::{CliError, ExitCode};
use super::lookup;
use super::pipeline::{Answers, Template, Value, pump};
use super::selection::{IfMissing, LogSelection};
use super::stdout::{OutputFormat, Stdout};
use crate::event::{Event, Header, Position};

/// The longest line taken from stdin. No log takes larger events, and memory stays bounded.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// Lines read before the log has room for them; few, because they may be long.
const LINES_AHEAD: usize = 16;

/// Write events to a topic.
///
/// The value comes from --value, from --file (byte for byte), or else from stdin, one event a
/// line, without the line's end; an empty line is an event with an empty value. Each event that
/// the log has for good is answered with its place: topic/partition/offset. Order is kept.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep produce orders --key 42 --value '{\"amount\": 3}'
  lockstep produce orders --file order.json --header content-type=application/json
  lockstep produce orders < orders.jsonl
  lockstep produce customers --key 42 --tombstone")]
pub(super) struct ProduceArgs {
    /// The topic
    #[arg(value_parser = own_topic_name)]
    topic: String,

    /// Key of the events: equal keys go to the same partition [default: null, spread evenly]
    #[arg(long, short, allow_hyphen_values = true)]
    key: Option<String>,

    /// A header of the events; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<Header>,

    /// Write to this partition, whatever the key says
    #[arg(long, value_name = "N", value_parser = value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// Write a null value, which deletes the key in a compacted topic
    #[arg(long, conflicts_with_all = ["value", "file"])]
    tombstone: bool,

    /// The value
    #[arg(long, conflicts_with = "file", allow_hyphen_values = true)]
    value: Option<String>,

    /// A file that holds the value
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Form of the answers
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

pub(super) fn produce(args: ProduceArgs) -> anyhow::Result<ExitCode> {
    let single = match (&args.value, &args.file) {
        _ if args.tombstone => Some(None),
        (Some(value), _) => Some(Some(value.clone().into_bytes())),
        (None, Some(file)) => {
            let read = fs::read(file);
            Some(Some(read.map_err(|e| CliError::Usage(format!("cannot read {file:?}: {e}")))?))
        }
        (None, None) => None,
    };
    let log = args.log.open(IfMissing::Fail)?;
    let partitions = lookup::topic(&*log, &args.topic)?.partitions.len();
    check_partition(args.partition, partitions)?;
    let values = match single {
        Some(value) => once(value),
        None => lines_of_stdin()?,
    };
    let template = Template {
        event: Event {
            topic: Arc::from(args.topic),
            key: args.key.map(String::into_bytes),
            value: None,
            headers: args.headers,
            timestamp_ms: None,
        },
        partition: args.partition,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut printer = Printer { out: Stdout::new(), format: args.output, unread: false };
    runtime.block_on(pump(&*log, &template, values, &mut printer))?;
    Ok(ExitCode::Success)
}

fn check_partition(partition: Option<i32>, partitions: usize) -> Result<(), CliError> {
    match partition {
        Some(partition) if usize::try_from(partition).is_ok_and(|p| p >= partitions) => {
            Err(CliError::Usage(format!(
                "the topic has no partition {partition}; it has {partitions}, counted from 0"
            )))
        }
        _ => Ok(()),
    }
}

fn once(value: Option<Vec<u8>>) -> mpsc::Receiver<Value> {
    let (tx, rx) = mpsc::channel(1);
    // Neither full nor closed: it holds one and the receiver is alive.
    drop(tx.try_send(Ok(value)));
    rx
}

/// Reads stdin on a thread of its own, since a read cannot be interrupted when the log fails.
fn lines_of_stdin() -> anyhow::Result<mpsc::Receiver<Value>> {
    if io::stdin().is_terminal() {
        let hint = "reading events from the terminal, one a line; Ctrl-D ends";
        drop(writeln!(io::stderr(), "{hint}"));
    }
    let (tx, rx) = mpsc::channel(LINES_AHEAD);
    let read = move || {
        let mut stdin = io::stdin().lock();
        while let Some(line) = next_line(&mut stdin).transpose() {
            let failed = line.is_err();
            if tx.blocking_send(line.map(Some)).is_err() || failed {
                break;
            }
        }
    };
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(read)
        .context("failed to start the thread that reads stdin")?;
    Ok(rx)
}

/// The next line without its end; `None` at the end of the input.
fn next_line(input: &mut impl io::BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line).context("failed to read stdin")?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == MAX_LINE {
        bail!("a line on stdin is longer than {MAX_LINE} bytes; write such a value with --file");
    }
    Ok(Some(line))
}

#[derive(Serialize)]
struct JsonPosition<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

struct Printer {
    out: Stdout,
    format: OutputFormat,
    /// Nobody reads the answers any more, as behind `| head`. Writing events goes on: what was
    /// handed over must not depend on who watches.
    unread: bool,
}

impl Printer {
    fn try_print(&mut self, position: &Position) -> anyhow::Result<()> {
        match self.format {
            OutputFormat::Text => self.out.line(&position.to_string()),
            OutputFormat::Json => {
                let Position { topic, partition, offset } = position;
                self.out.json(&JsonPosition { topic, partition: *partition, offset: *offset })
            }
        }
    }

    fn unless_unread(&mut self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        match result {
            Err(error) if matches!(error.downcast_ref(), Some(CliError::StdoutClosed)) => {
                self.unread = true;
                Ok(())
            }
            other => other,
        }
    }
}

impl Answers for Printer {
    fn answer(&mut self, position: &Position) -> anyhow::Result<()> {
        if self.unread {
            return Ok(());
        }
        let result = self.try_print(position);
        self.unless_unread(result)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.unread {
            return Ok(());
        }
        let result = self.out.flush();
        self.unless_unread(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_is_one_event_a_line() {
        let mut input: &[u8] = b"a\n\n{\"b\": 1}\r\n\xff\nlast";
        let mut lines = Vec::new();
        while let Ok(Some(line)) = next_line(&mut input) {
            lines.push(line);
        }
        assert_eq!(lines, [&b"a"[..], b"", b"{\"b\": 1}\r", b"\xff", b"last"]);
    }

    #[test]
    fn a_partition_that_the_topic_lacks_is_wrong_usage() {
        assert!(check_partition(None, 3).is_ok());
        assert!(check_partition(Some(2), 3).is_ok());
        assert!(matches!(check_partition(Some(3), 3), Err(CliError::Usage(_))));
    }
}
