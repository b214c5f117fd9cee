//! `lockstep audit`: whether the promises hold, for this component on this log.

mod again;
mod target;
mod text;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, value_parser};

use super::arguments::key_value;
use super::exit::{CliError, ExitCode};
use super::progress::Progress;
use super::sandbox;
use super::stdout::{OutputFormat, Stdout};
use crate::audit::course::{self, Onlooker, Order};
use crate::audit::report::Report;
use crate::audit::site::Site;
use crate::config::{HostConfig, KafkaConfig};
use crate::signals;
use crate::stop::Stop;

/// How long a log may take to answer before the command gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Try to break the promises, with your handler and on your brokers.
///
/// Starts hosts, drives load, kills, stops and freezes hosts, swaps the handler, lets hosts join and
/// leave, and reports what was lost, repeated, torn or reordered, with a verdict. What an outside
/// reader sees decides, and no host's word. The component itself says what is right: run twice, it is
/// the model. One that is not deterministic is held to the promises that need none.
///
/// Everything that the audit makes on the brokers has names of its own, which begin with
/// lockstep-audit- (and its registry with _lockstep.lockstep-audit-); it removes them at the end,
/// unless something is wrong or --keep is said. It touches nothing else, and needs no right beyond those
/// prefixes of topics, groups and transactional ids. Without brokers it runs one
/// host on an embedded log in a temporary directory. Limits and policies are those of the manifest;
/// topics, group and provenance are the audit's own. The history is held in memory, about 3 KiB for
/// each event.
///
/// Exits with 0 when every promise was kept, with 1 when one was broken or the audit could not be
/// made, with 2 when the arguments or files are wrong.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  lockstep audit                                     The handler here, on an embedded log
  lockstep audit weather.wasm --for 5m
  lockstep audit handlers/weather --brokers broker:9092 --hosts 3 --for 10m --report audit.json
  lockstep audit --brokers broker:9092 --inputs recorded.ndjson
  lockstep audit check lockstep-audit-1a2b3c4d.ndjson")]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,

    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Check(again::CheckArgs),
}

#[derive(Args, Debug)]
struct RunArgs {
    /// A handler's folder, or a component
    #[arg(value_name = "FOLDER|WASM", default_value = ".")]
    target: PathBuf,

    /// How long load and faults last
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    #[arg(value_parser = humantime::parse_duration)]
    length: Duration,

    /// How many hosts; on an embedded log there is one
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(1..=32))]
    hosts: u16,

    /// What inputs and faults are drawn from [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Events in a second; fewer while the hosts are behind
    #[arg(long, value_name = "N", default_value_t = 500)]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000_000))]
    rate: u32,

    /// Events to be copied, one a line, as `consume --output json` writes them [default: those of the
    /// handler's test cases, or else made up]
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,

    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Write what was observed, one JSON object a line, for `audit check`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    /// Leave topics and history where they are, also when every promise was kept
    #[arg(long)]
    keep: bool,

    /// Take the component as it is, without building it
    #[arg(long)]
    no_build: bool,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    log: BrokerSelection,
}

/// Which brokers; without any, an embedded log that is removed at the end.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Which log")]
struct BrokerSelection {
    /// The brokers of this host configuration
    #[arg(long, value_name = "FILE", conflicts_with = "brokers")]
    config: Option<PathBuf>,

    /// Kafka at these brokers
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,

    /// A property for the Kafka client, such as `security.protocol=ssl`; any librdkafka
    /// property, may be repeated
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE")]
    #[arg(requires = "brokers", value_parser = key_value)]
    properties: Vec<(String, String)>,
}

pub(super) fn audit(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(AuditCommand::Check(args)) => again::check(args),
        None => run(&args.run),
    }
}

fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::default();
    signals::stop_on_signal(&stop)?;
    let kafka = args.log.kafka()?;
    let target = target::read(&args.target, !args.no_build)?;
    let order = order(args, &target)?;
    let sandbox = sandbox::of_author()?;
    {
        let handler = target.subject.handler();
        let _progress = Progress::start(format!("checking {}", handler.name));
        target.subject.check(&sandbox)?;
    }
    if let Some(file) = &args.report {
        // Rather now than when everything is over.
        fs::write(file, "").map_err(|e| CliError::Usage(format!("cannot write {file:?}: {e}")))?;
    }
    let site = Site::open(kafka)?;
    let answer = site.log().ping(PATIENCE);
    answer.map_err(|error| CliError::Unreachable(format!("{error:#}")))?;
    let report = {
        let progress = Progress::start("auditing");
        let say = |text: &str| progress.detail(text);
        let onlooker = Onlooker { stop: &stop, say: &say };
        course::audit(&target.subject, site, &sandbox, &order, &onlooker)?
    };
    show(&report, args.output, args.report.as_deref())
}

fn order(args: &RunArgs, target: &target::Target) -> anyhow::Result<Order> {
    let given = match &args.inputs {
        Some(file) => crate::runner::read_events(target.subject.handler(), file)?,
        None => target.samples.clone(),
    };
    if args.length.is_zero() {
        return Err(CliError::Usage("--for is no time at all; say for example 30s".into()).into());
    }
    Ok(Order {
        length: args.length,
        hosts: usize::from(args.hosts),
        seed: args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        rate: args.rate,
        given,
        keep: args.keep,
        history: args.history.clone(),
    })
}

/// Prints and writes a report; its verdict is the exit code.
fn show(
    report: &Report,
    form: OutputFormat,
    file: Option<&std::path::Path>,
) -> anyhow::Result<ExitCode> {
    if let Some(file) = file {
        let json = serde_json::to_string_pretty(report).context("failed to write the report")?;
        fs::write(file, json + "\n").with_context(|| format!("failed to write {file:?}"))?;
    }
    let mut out = Stdout::new();
    match form {
        OutputFormat::Json => out.json(report)?,
        OutputFormat::Text => out.text(&text::report(report))?,
    }
    out.flush()?;
    Ok(if report.kept { ExitCode::Success } else { ExitCode::Failure })
}

impl BrokerSelection {
    fn kafka(&self) -> anyhow::Result<Option<KafkaConfig>> {
        if let Some(brokers) = &self.brokers {
            return Ok(Some(KafkaConfig::from_command_line(brokers, &self.properties)?));
        }
        let Some(file) = &self.config else { return Ok(None) };
        Ok(HostConfig::load(file)?.kafka)
    }
}
