//! `lockstep group`: how far consumer groups are, and where they go on.

mod reset;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::ExitCode;
use super::lookup;
use super::selection::{IfMissing, LogSelection};
use super::stdout::{OutputFormat, Stdout};
use super::table::table;
use crate::log::GroupOffset;

/// List, describe and reset consumer groups.
///
/// A group remembers how far its handler is in each partition of its source topics. It moves
/// only together with the outputs, in one transaction, or by hand while nobody works in it.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  lockstep group list
  lockstep group describe lockstep-weather
  lockstep group reset lockstep-weather --to earliest")]
pub(super) enum GroupCommand {
    List(ListArgs),
    Describe(DescribeArgs),
    Reset(reset::ResetArgs),
}

/// List the consumer groups of a log.
///
/// Each handler consumes in a group of its own, `lockstep-NAME` unless its manifest names
/// another. A group appears with its first commit.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep group list
  lockstep group list --config lockstep.toml --output json")]
pub(super) struct ListArgs {
    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

/// Show how far a group is in each partition.
///
/// COMMITTED is the next offset that the group processes, END the offset that the next event
/// gets, LAG the number of events in between that wait to be processed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep group describe lockstep-weather
  lockstep group describe lockstep-weather --output json")]
pub(super) struct DescribeArgs {
    /// Name of the group
    name: String,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

pub(super) fn run(command: &GroupCommand) -> anyhow::Result<ExitCode> {
    match command {
        GroupCommand::List(args) => list(args)?,
        GroupCommand::Describe(args) => describe(args)?,
        GroupCommand::Reset(args) => return reset::reset(args),
    }
    Ok(ExitCode::Success)
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut groups = args.log.open(IfMissing::Fail)?.admin().groups()?;
    groups.sort_unstable();
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(&groups)?,
        OutputFormat::Text => {
            out.line(&table(&["GROUP"], &[], groups.into_iter().map(|g| vec![g])))?;
        }
    }
    out.flush()
}

fn describe(args: &DescribeArgs) -> anyhow::Result<()> {
    let log = args.log.open(IfMissing::Fail)?;
    let mut offsets = log.admin().group(&args.name)?;
    if offsets.is_empty() {
        let groups = log.admin().groups()?;
        if !groups.contains(&args.name) {
            return Err(lookup::no_such_group(&*log, &args.name, groups).into());
        }
    }
    offsets.sort_unstable_by(|a, b| a.at.cmp(&b.at));
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => {
            out.json(&offsets.iter().map(JsonOffset::from).collect::<Vec<_>>())?;
        }
        OutputFormat::Text => out.line(&offsets_table(&offsets))?,
    }
    out.flush()
}

#[derive(Debug, Serialize)]
struct JsonOffset<'a> {
    topic: &'a str,
    partition: i32,
    committed: i64,
    end: i64,
    lag: i64,
}

impl<'a> From<&'a GroupOffset> for JsonOffset<'a> {
    fn from(offset: &'a GroupOffset) -> Self {
        let GroupOffset { at, committed, end, lag } = offset;
        let (committed, end, lag) = (*committed, *end, *lag);
        Self { topic: &at.topic, partition: at.partition, committed, end, lag }
    }
}

fn offsets_table(offsets: &[GroupOffset]) -> String {
    let rows = offsets.iter().map(|offset| {
        vec![
            offset.at.topic.to_string(),
            offset.at.partition.to_string(),
            offset.committed.to_string(),
            offset.end.to_string(),
            offset.lag.to_string(),
        ]
    });
    table(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"], &[1, 2, 3, 4], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TopicPartition;

    #[test]
    fn offsets_have_the_same_fields_for_people_and_programs() {
        let at = TopicPartition { topic: "orders".into(), partition: 1 };
        let offset = GroupOffset { at, committed: 7, end: 10, lag: 2 };
        let json = serde_json::to_string(&JsonOffset::from(&offset)).unwrap_or_default();
        assert_eq!(json, r#"{"topic":"orders","partition":1,"committed":7,"end":10,"lag":2}"#);
        assert_eq!(
            offsets_table(&[offset]),
            "TOPIC   PARTITION  COMMITTED  END  LAG\norders          1          7   10    2"
        );
    }
}
