//! `lockstep test`: the cases and properties of handlers, without a log.

mod recorded;
mod reports;
mod text;
mod watching;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, value_parser};

use super::arguments::topic_name;
use super::exit::{CliError, ExitCode};
use super::folders::Found;
use super::progress::Progress;
use super::selection::LogSelection;
use super::stdout::{OutputFormat, Stdout};
use super::{building, folders, sandbox};
use crate::deployment;
use crate::handler::{Handler, Instances};
use crate::runner::{self, Options, Report};
use crate::wasm::{Program, Runtime};
use reports::ReportFile;

/// Test handlers, in the sandbox they run in and without a log.
///
/// A case is a folder `cases/<name>` of a handler. Its in.json holds an event, or a list of events
/// that one instance gets in order, in the form of `lockstep consume --output json`; every field
/// is optional. Its out.json holds the events that are expected, or its error.json the failure. Keys
/// and values are text, null, {"json": …}, {"base64": "…"} or {"file": "…"}.
///
/// Besides, every handler is tested for properties that need no author: deterministic, null-key,
/// tombstone, empty-value, maximum-size, random-bytes and stays-in-limits. Those that do not hold
/// on purpose are listed in its manifest, below [test], under skip.
///
/// Exits with 0 when everything passes, with 1 when something fails, with 2 when a file is wrong.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep test
  lockstep test handlers/weather --filter tombstone
  lockstep test --bless                     Expect what the handlers do
  lockstep test --watch                     Again after every change
  lockstep test --report junit=target/junit.xml
  lockstep test handlers/weather --from-topic weather.dead-letters --last 3")]
pub(super) struct TestArgs {
    /// Handler folders [default: those found here]
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    /// Only cases and properties with this text in `handler/name`
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Write down what the handlers do as what is expected, where it differs
    #[arg(long)]
    bless: bool,

    /// Build and test again after every change, until Ctrl-C
    #[arg(long, conflicts_with_all = ["bless", "from_topic"])]
    watch: bool,

    /// Write a report, `junit=FILE` or `json=FILE`; may be repeated
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = reports::report_file)]
    reports: Vec<ReportFile>,

    /// Form of the results
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    /// Take the components as they are
    #[arg(long)]
    no_build: bool,

    /// How many tests run at once [default: one a processor]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,

    /// What the random bytes are made of
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Make cases of the last events of this topic, with what the handler does as what is expected
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    #[arg(conflicts_with_all = ["filter", "bless", "reports", "seed"])]
    from_topic: Option<String>,

    /// How many events to make cases of
    #[arg(long, value_name = "N", default_value_t = 1, requires = "from_topic")]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    last: u16,

    #[command(flatten)]
    log: LogSelection,
}

/// Instances that are made at once where each event gets its own: what a manifest allows too.
const MOST_INSTANCES: u32 = 64;

/// What came of the tests of one handler.
struct Tested {
    folder: PathBuf,
    report: Report,
}

pub(super) fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    if args.watch {
        return watching::watch(args);
    }
    let found = load(args)?;
    let runtime = sandbox::of_author()?;
    match &args.from_topic {
        Some(topic) => recorded::make_cases(args, &runtime, topic, &found),
        None => round(args, &runtime, &found),
    }
}

fn load(args: &TestArgs) -> anyhow::Result<Vec<Found>> {
    folders::load(&args.folders, "test")
}

/// Builds and tests all handlers once, and shows what came of it.
fn round(args: &TestArgs, runtime: &Runtime, found: &[Found]) -> anyhow::Result<ExitCode> {
    if !args.no_build {
        building::build(found)?;
    }
    let begun = Instant::now();
    let mut tested = Vec::new();
    for one in found {
        let program = program(args, runtime, &one.handler)?;
        let report = {
            let _progress = Progress::start(format!("testing {}", one.handler.name));
            runner::run(&program, &one.folder, &options(args))?
        };
        let one = Tested { folder: one.folder.clone(), report };
        if args.output == OutputFormat::Text {
            show(&text::handler(&one, &text::Style::of_stdout()))?;
            if args.filter.is_none() {
                show(&text::first_steps(&one).unwrap_or_default())?;
            }
        }
        tested.push(one);
    }
    let took = begun.elapsed();
    for file in &args.reports {
        file.write(&tested, took)?;
    }
    if let Some(filter) = &args.filter
        && tested.iter().all(|one| one.report.results.is_empty())
    {
        return Err(CliError::Usage(format!("nothing has {filter:?} in its name")).into());
    }
    match args.output {
        OutputFormat::Text => show(&text::summary(&tested, took, &text::Style::of_stdout()))?,
        OutputFormat::Json => {
            let mut out = Stdout::new();
            out.json(&reports::JsonReport::new(&tested, took))?;
            out.flush()?;
        }
    }
    let passed = tested.iter().all(|one| one.report.passed());
    Ok(if passed { ExitCode::Success } else { ExitCode::Failure })
}

fn show(text: &str) -> anyhow::Result<()> {
    let mut out = Stdout::new();
    out.text(text)?;
    out.flush()
}

fn options(args: &TestArgs) -> Options {
    Options {
        filter: args.filter.clone(),
        bless: args.bless,
        jobs: args.jobs.map(usize::from),
        seed: args.seed,
        ..Options::default()
    }
}

/// Loads the component of a handler. One with an instance for each event gets room for as many as
/// are tested at once.
fn program(args: &TestArgs, runtime: &Runtime, handler: &Handler) -> anyhow::Result<Program> {
    let component = deployment::read_component(handler)?;
    let mut handler = handler.clone();
    if handler.instances == Instances::PerEvent {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = args.jobs.map_or_else(processors, usize::from);
        let jobs = u32::try_from(jobs).unwrap_or(MOST_INSTANCES).min(MOST_INSTANCES);
        handler.workers = handler.workers.max(jobs);
    }
    let _progress = Progress::start(format!("compiling {}", handler.name));
    let name = handler.name.clone();
    runtime.load(&Arc::new(handler), &component).with_context(|| format!("handler {name:?}"))
}
