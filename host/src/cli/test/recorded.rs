//! Makes cases of real events: the last ones of a topic, on either log.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::bail;

use super::super::building;
use super::super::lookup;
use super::super::selection::IfMissing;
use super::{CliError, ExitCode, Found, OutputFormat, Stdout, TestArgs, Tested};
use super::{program, reports, show, text};
use crate::event::Consumed;
use crate::log::{Log, PartitionRange, ReadFrom};
use crate::runner;
use crate::wasm::Runtime;

/// Events asked of the log at once.
const PAGE: usize = 1_000;
/// The longest wait in one read.
const WAIT: Duration = Duration::from_millis(200);

/// Writes a case for each of the last events of `topic`.
pub(super) fn make_cases(
    args: &TestArgs,
    runtime: &Runtime,
    topic: &str,
    found: &[Found],
) -> anyhow::Result<ExitCode> {
    let [one] = found else {
        let names: Vec<_> = found.iter().map(|one| one.folder.display().to_string()).collect();
        let message = format!(
            "--from-topic makes cases of one handler; name its folder, one of {}",
            names.join(", ")
        );
        return Err(CliError::Usage(message).into());
    };
    let log = args.log.open(IfMissing::Fail)?;
    let described = lookup::topic(&*log, topic)?;
    let events = last(&*log, topic, &described.partitions, usize::from(args.last))?;
    if events.is_empty() {
        bail!("topic {topic:?} holds no event to make a case of");
    }
    if !args.no_build {
        building::build(found)?;
    }
    let program = program(args, runtime, &one.handler)?;
    let report = runner::record(&program, &one.folder, events)?;
    let tested = [Tested { folder: one.folder.clone(), report }];
    match args.output {
        OutputFormat::Text => {
            show(&text::handler(&tested[0], &text::Style::of_stdout()))?;
            show("Look at what is expected now; `lockstep test` runs it from here on.\n")?;
        }
        OutputFormat::Json => {
            let mut out = Stdout::new();
            out.json(&reports::JsonReport::new(&tested, Duration::ZERO))?;
            out.flush()?;
        }
    }
    let passed = tested[0].report.passed();
    Ok(if passed { ExitCode::Success } else { ExitCode::Failure })
}

/// The last events of a topic, oldest first. Offsets may be taken by something that is no event,
/// such as the end of a transaction, so it begins further back until there are enough.
fn last(
    log: &dyn Log,
    topic: &str,
    partitions: &[PartitionRange],
    count: usize,
) -> anyhow::Result<Vec<Consumed>> {
    let filled = || partitions.iter().filter(|range| range.start < range.end);
    let Some(oldest) = filled().map(|range| range.start).min() else { return Ok(Vec::new()) };
    let mut back = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(2);
    loop {
        let start = filled().map(|range| range.start.max(range.end.saturating_sub(back))).min();
        let start = start.unwrap_or(oldest);
        let events = tail(log, topic, start, count)?;
        if events.len() >= count || start <= oldest {
            return Ok(events);
        }
        back = back.saturating_mul(4);
    }
}

/// The last events from an offset on, by time over all partitions.
fn tail(log: &dyn Log, topic: &str, start: i64, count: usize) -> anyhow::Result<Vec<Consumed>> {
    let mut reader = log.reader(topic, ReadFrom::Offset(start))?;
    let mut kept: BTreeMap<i32, VecDeque<Consumed>> = BTreeMap::new();
    loop {
        for event in reader.read(PAGE, WAIT)? {
            let partition = kept.entry(event.partition).or_default();
            if partition.len() == count {
                partition.pop_front();
            }
            partition.push_back(event);
        }
        if reader.at_end() {
            break;
        }
    }
    let mut events: Vec<_> = kept.into_values().flatten().collect();
    events.sort_by_key(|event| (event.event.timestamp_ms, event.partition, event.offset));
    let surplus = events.len().saturating_sub(count);
    events.drain(..surplus);
    Ok(events)
}
