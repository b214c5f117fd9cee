//! `lockstep group reset`: sets where a group goes on, after saying what that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::super::arguments::{read_from, topic_name};
use super::super::exit::{CliError, ExitCode};
use super::super::lookup;
use super::super::selection::{IfMissing, LogSelection};
use super::super::stdout::{OutputFormat, Stdout};
use super::super::table::table;
use crate::event::TopicPartition;
use crate::log::{Log, ReadFrom};

/// Set where a group goes on.
///
/// Shows what changes in each partition, asks on a terminal, and then sets all offsets at once.
/// Back means that events are processed again, and their outputs written again; forward means
/// that events are never processed. Works only while the group has no members, so stop the hosts
/// that run its handler first.
///
/// Without --topic it is about all topics in which the group has offsets.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep group reset lockstep-weather --to earliest --dry-run
  lockstep group reset lockstep-weather --to latest --yes
  lockstep group reset lockstep-weather --to timestamp:2026-01-31T12:00:00Z
  lockstep group reset lockstep-weather --to 42 --topic source-topic:0")]
pub(in super::super) struct ResetArgs {
    /// Name of the group
    group: String,

    /// Where to go on: earliest, latest, an OFFSET, or timestamp:TIME (RFC 3339 or milliseconds
    /// since 1970)
    #[arg(long, value_name = "WHERE", value_parser = read_from)]
    to: ReadFrom,

    /// Only this topic, or this partition of it; may be repeated
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION]", value_parser = selected)]
    topics: Vec<Selected>,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: LogSelection,
}

/// A topic, or one partition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selected {
    topic: String,
    partition: Option<i32>,
}

fn selected(text: &str) -> Result<Selected, String> {
    let Some((topic, partition)) = text.split_once(':') else {
        return Ok(Selected { topic: topic_name(text)?, partition: None });
    };
    let is_number = partition.bytes().all(|b| b.is_ascii_digit());
    let partition = partition.parse().ok().filter(|_| is_number);
    let partition = partition.ok_or("expected a partition after the colon, such as orders:0")?;
    Ok(Selected { topic: topic_name(topic)?, partition: Some(partition) })
}

/// What a reset does to one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Change {
    topic: String,
    partition: i32,
    /// `null`: the group has no offset there yet.
    from: Option<i64>,
    to: i64,
}

pub(super) fn reset(args: &ResetArgs) -> anyhow::Result<ExitCode> {
    let log = args.log.open(IfMissing::Fail)?;
    let changes = changes(&*log, args)?;
    show(&changes, args)?;
    if args.dry_run || changes.is_empty() {
        return Ok(ExitCode::Success);
    }
    // Before anybody is asked; the log looks again when it sets them.
    refuse_members(&*log, args)?;
    if !args.yes && !confirmed(args, changes.len())? {
        say("nothing was changed");
        return Ok(ExitCode::Failure);
    }
    let offsets: BTreeMap<_, _> = changes.iter().map(|c| (c.place(), c.to)).collect();
    log.admin().set_offsets(&args.group, &offsets)?;
    say(&format!("group {:?} goes on there", args.group));
    Ok(ExitCode::Success)
}

impl Change {
    fn place(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.as_str().into(), partition: self.partition }
    }
}

/// The partitions whose offset would be another one.
fn changes(log: &dyn Log, args: &ResetArgs) -> anyhow::Result<Vec<Change>> {
    let committed = log.admin().group(&args.group)?;
    let topics: BTreeSet<String> = match args.topics.is_empty() {
        true => committed.iter().map(|offset| offset.at.topic.to_string()).collect(),
        false => args.topics.iter().map(|selected| selected.topic.clone()).collect(),
    };
    if topics.is_empty() {
        let groups = log.admin().groups()?;
        return match groups.contains(&args.group) {
            false => Err(lookup::no_such_group(log, &args.group, groups).into()),
            true => Err(CliError::Usage(format!(
                "group {:?} has no offsets yet; say with --topic where it shall get some",
                args.group
            ))
            .into()),
        };
    }
    let mut changes = Vec::new();
    for topic in topics {
        lookup::topic(log, &topic)?;
        let targets = log.admin().offsets(&topic, args.to)?;
        check_partitions(args, &topic, &targets)?;
        for (partition, to) in targets.into_iter().filter(|(p, _)| is_selected(args, &topic, *p)) {
            let is_it = |at: &TopicPartition| *at.topic == *topic && at.partition == partition;
            let from = committed.iter().find(|o| is_it(&o.at)).map(|o| o.committed);
            if from != Some(to) {
                changes.push(Change { topic: topic.clone(), partition, from, to });
            }
        }
    }
    Ok(changes)
}

fn is_selected(args: &ResetArgs, topic: &str, partition: i32) -> bool {
    let selects = |s: &Selected| s.topic == topic && s.partition.is_none_or(|p| p == partition);
    args.topics.is_empty() || args.topics.iter().any(selects)
}

/// Every partition that was named exists.
fn check_partitions(
    args: &ResetArgs,
    topic: &str,
    targets: &BTreeMap<i32, i64>,
) -> anyhow::Result<()> {
    let named = args.topics.iter().filter(|s| s.topic == topic).filter_map(|s| s.partition);
    match { named }.find(|partition| !targets.contains_key(partition)) {
        None => Ok(()),
        Some(partition) => Err(CliError::NotFound(format!(
            "topic {topic:?} has no partition {partition}; it has {}, from 0",
            targets.len()
        ))
        .into()),
    }
}

fn show(changes: &[Change], args: &ResetArgs) -> anyhow::Result<()> {
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(&changes)?,
        OutputFormat::Text if changes.is_empty() => {
            out.line(&format!("group {:?} goes on there already; nothing changes", args.group))?;
        }
        OutputFormat::Text => out.line(&changes_table(changes))?,
    }
    out.flush()
}

fn changes_table(changes: &[Change]) -> String {
    let rows = changes.iter().map(|change| {
        let from = change.from.map_or("-".to_owned(), |from| from.to_string());
        let moved = change.from.map_or(String::new(), |from| format!("{:+}", change.to - from));
        let partition = change.partition.to_string();
        vec![change.topic.clone(), partition, from, change.to.to_string(), moved]
    });
    table(&["TOPIC", "PARTITION", "FROM", "TO", "MOVED"], &[1, 2, 3, 4], rows)
}

fn refuse_members(log: &dyn Log, args: &ResetArgs) -> anyhow::Result<()> {
    let names = log.admin().member_names(&args.group)?;
    anyhow::ensure!(
        names.is_empty(),
        "group {:?} has {} now ({}) and nothing was changed; stop the hosts that run its handler, \
         with Ctrl-C or SIGTERM, then try again",
        args.group,
        if names.len() == 1 { "a member".to_owned() } else { format!("{} members", names.len()) },
        names.join(", ")
    );
    Ok(())
}

/// Asks on the terminal. Without one nobody can answer, and nothing is changed.
fn confirmed(args: &ResetArgs, count: usize) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::Usage(
            "nothing was changed: there is no terminal to ask on; add --yes to set these offsets, \
             or --dry-run to only look at them"
                .to_owned(),
        )
        .into());
    }
    let what = if count == 1 { "this offset".to_owned() } else { format!("these {count} offsets") };
    let mut stderr = io::stderr();
    let asked = write!(stderr, "Set {what} of group {:?}? [y/N] ", args.group);
    asked.and_then(|()| stderr.flush()).context("failed to ask on the terminal")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("failed to read the answer")?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Tells a person how it ended; the result is on stdout.
fn say(text: &str) {
    // Without stderr there is nobody to tell; the exit code still says it.
    drop(writeln!(io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_be_narrowed_to_a_partition() {
        let chosen = |topic: &str, partition| Ok(Selected { topic: topic.to_owned(), partition });
        assert_eq!(selected("orders"), chosen("orders", None));
        assert_eq!(selected("orders:3"), chosen("orders", Some(3)));
        for text in ["orders:", "orders:-1", "orders:+1", "orders:x", "or ders", "orders:1:2", ""] {
            assert!(selected(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn changes_have_the_same_content_for_people_and_programs() {
        let change =
            |partition, from, to| Change { topic: "orders".to_owned(), partition, from, to };
        let changes = [change(0, Some(7), 0), change(1, None, 12), change(2, Some(1), 9)];
        assert_eq!(
            changes_table(&changes),
            "TOPIC   PARTITION  FROM  TO  MOVED\n\
             orders          0     7   0     -7\n\
             orders          1     -  12\n\
             orders          2     1   9     +8"
        );
        let json = serde_json::to_string(&changes[1]).unwrap_or_default();
        assert_eq!(json, r#"{"topic":"orders","partition":1,"from":null,"to":12}"#);
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Yes\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n\n", "yep\n", "no\n"].into_iter().any(is_yes));
    }
}
