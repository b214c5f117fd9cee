//! `lockstep topic`: topics of a log, created and looked at.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, value_parser};
use serde::Serialize;

use super::arguments::{key_value, own_topic_name, topic_name};
use super::exit::ExitCode;
use super::lookup;
use super::selection::{IfMissing, LogSelection};
use super::stdout::{OutputFormat, Stdout};
use super::table::table;
use crate::log::{Log, PartitionRange, TopicDescription, TopicSummary};
use crate::topic::{DEFAULT_PARTITIONS, TopicSpec};

/// Create, list and describe topics.
///
/// A topic is a named sequence of events in one or more partitions. Each partition keeps its
/// order, and each is worked on by one worker of a handler at a time.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  lockstep topic create orders --partitions 12
  lockstep topic list
  lockstep topic describe orders")]
pub(super) enum TopicCommand {
    Create(CreateArgs),
    List(ListArgs),
    Describe(DescribeArgs),
}

/// Create a topic.
///
/// A topic that exists already is left as it is: that is a success, unless --partitions asks for
/// another number than it has. On a machine without an embedded log, the log is created too.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep topic create orders
  lockstep topic create orders --partitions 12 --set retention.ms=604800000
  lockstep topic create customers --set cleanup.policy=compact
  lockstep topic create orders --brokers localhost:9092 --replication-factor 3")]
pub(super) struct CreateArgs {
    /// Name of the topic: letters, digits, `.`, `_` and `-`
    #[arg(value_parser = own_topic_name)]
    name: String,

    /// Number of partitions: how many workers can share the topic [default: 3]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    partitions: Option<u32>,

    /// Copies of each partition [default: what the brokers say; the embedded log keeps one]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    replication_factor: Option<u16>,

    /// A setting of the topic, as Kafka names them; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,

    #[command(flatten)]
    log: LogSelection,
}

/// List the topics of a log.
///
/// Topics that belong to the log itself, such as Kafka's `__consumer_offsets`, are left out.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep topic list
  lockstep topic list --brokers localhost:9092 --output json")]
pub(super) struct ListArgs {
    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

/// Show the partitions, offsets and settings of a topic.
///
/// START is the offset of the oldest event that is kept, END the offset that the next event
/// gets.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep topic describe orders
  lockstep topic describe orders --config lockstep.toml --output json")]
pub(super) struct DescribeArgs {
    /// Name of the topic
    #[arg(value_parser = topic_name)]
    name: String,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

pub(super) fn run(command: &TopicCommand) -> anyhow::Result<ExitCode> {
    match command {
        TopicCommand::Create(args) => create(args),
        TopicCommand::List(args) => list(args),
        TopicCommand::Describe(args) => describe(args),
    }?;
    Ok(ExitCode::Success)
}

fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let spec = TopicSpec {
        name: args.name.as_str().into(),
        partitions: args.partitions.unwrap_or(DEFAULT_PARTITIONS),
        replication_factor: args.replication_factor,
        settings: args.settings.iter().cloned().collect(),
    };
    let log = args.log.open(IfMissing::Create)?;
    let message = if log.admin().create_topic(&spec)? {
        let partitions = count(u64::from(spec.partitions), "partition");
        format!("created topic {:?} with {partitions} in {}", args.name, log.describe())
    } else {
        check_existing(&*log, args)?
    };
    let mut out = Stdout::new();
    out.line(&message)?;
    out.flush()
}

/// What to say of a topic that was there before.
fn check_existing(log: &dyn Log, args: &CreateArgs) -> anyhow::Result<String> {
    let existing = lookup::topic(log, &args.name)?.partitions.len();
    match args.partitions {
        Some(wanted) if usize::try_from(wanted) != Ok(existing) => Err(anyhow::anyhow!(
            "topic {:?} exists already with {}, not {wanted}; nothing was changed",
            args.name,
            count(existing as u64, "partition"),
        )),
        _ => Ok(format!("topic {:?} exists already; nothing was changed", args.name)),
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let topics = args.log.open(IfMissing::Fail)?.admin().topics()?;
    let mut out = Stdout::new();
    if args.output == OutputFormat::Json {
        out.json(&topics.iter().map(JsonSummary::from).collect::<Vec<_>>())?;
    } else {
        let rows = topics.into_iter().map(|topic| {
            vec![topic.name, topic.partitions.to_string(), topic.replication_factor.to_string()]
        });
        out.line(&table(&["TOPIC", "PARTITIONS", "COPIES"], &[1, 2], rows))?;
    }
    out.flush()
}

fn describe(args: &DescribeArgs) -> anyhow::Result<()> {
    let log = args.log.open(IfMissing::Fail)?;
    let topic = lookup::topic(&*log, &args.name)?;
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(&JsonDescription::from(&topic))?,
        OutputFormat::Text => out.text(&description_text(&topic))?,
    }
    out.flush()
}

#[derive(Debug, Serialize)]
struct JsonSummary<'a> {
    name: &'a str,
    partitions: u32,
    replication_factor: u16,
}

impl<'a> From<&'a TopicSummary> for JsonSummary<'a> {
    fn from(topic: &'a TopicSummary) -> Self {
        let TopicSummary { name, partitions, replication_factor } = topic;
        Self { name, partitions: *partitions, replication_factor: *replication_factor }
    }
}

#[derive(Debug, Serialize)]
struct JsonDescription<'a> {
    name: &'a str,
    replication_factor: u16,
    partitions: Vec<JsonRange>,
    settings: &'a BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct JsonRange {
    partition: i32,
    start: i64,
    end: i64,
}

impl<'a> From<&'a TopicDescription> for JsonDescription<'a> {
    fn from(topic: &'a TopicDescription) -> Self {
        let TopicDescription { name, replication_factor, partitions, settings } = topic;
        let range =
            |p: &PartitionRange| JsonRange { partition: p.partition, start: p.start, end: p.end };
        let partitions = partitions.iter().map(range).collect();
        Self { name, replication_factor: *replication_factor, partitions, settings }
    }
}

fn description_text(topic: &TopicDescription) -> String {
    let rows = topic.partitions.iter().map(|p| {
        vec![
            p.partition.to_string(),
            p.start.to_string(),
            p.end.to_string(),
            (p.end - p.start).to_string(),
        ]
    });
    let partitions = table(&["PARTITION", "START", "END", "OFFSETS"], &[0, 1, 2, 3], rows);
    let copies = topic.replication_factor;
    let mut text = format!("topic   {}\ncopies  {copies}\n\n{partitions}\n", topic.name);
    if !topic.settings.is_empty() {
        let rows = topic.settings.iter().map(|(key, value)| vec![key.clone(), value.clone()]);
        text += &format!("\n{}\n", table(&["SETTING", "VALUE"], &[], rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicDescription {
        TopicDescription {
            name: "orders".to_owned(),
            replication_factor: 1,
            partitions: vec![
                PartitionRange { partition: 0, start: 5, end: 12 },
                PartitionRange { partition: 1, start: 0, end: 0 },
            ],
            settings: [("retention.ms".to_owned(), "1".to_owned())].into(),
        }
    }

    #[test]
    fn a_description_shows_partitions_and_settings() {
        assert_eq!(
            description_text(&topic()),
            "topic   orders\ncopies  1\n\n\
             PARTITION  START  END  OFFSETS\n        0      5   12        7\n        \
             1      0    0        0\n\nSETTING       VALUE\nretention.ms  1\n"
        );
    }

    #[test]
    fn a_description_in_json_has_the_same_content() {
        let json = serde_json::to_string(&JsonDescription::from(&topic())).unwrap_or_default();
        assert_eq!(
            json,
            r#"{"name":"orders","replication_factor":1,"partitions":["#.to_owned()
                + r#"{"partition":0,"start":5,"end":12},{"partition":1,"start":0,"end":0}],"#
                + r#""settings":{"retention.ms":"1"}}"#
        );
    }
}
