//! Faults at random, for as long as you like: `cargo run --release -p lockstep-tests --bin faults`.
//!
//! Prints the seed first. Exits with 1 when a promise was broken, and names the history; then add
//! the seed to `tests/faults/seeds.toml`, which runs with the tests.

#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use lockstep_tests::broker::Broker;
use lockstep_tests::chaos;
use lockstep_tests::log::LogKind;

/// Lets handlers run under faults that are drawn at random, and checks that every promise was kept
#[derive(Parser)]
struct Options {
    /// The log
    #[arg(long, value_enum, default_value = "kafka")]
    log: Which,
    /// What the faults are drawn from; the first run takes it, each further one the next number
    #[arg(long)]
    seed: Option<u64>,
    /// How long to go on, in runs of at most a minute
    #[arg(long = "for", value_parser = humantime::parse_duration, default_value = "1m")]
    length: Duration,
    /// Kill the broker as well
    #[arg(long)]
    brokers: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Which {
    Kafka,
    Embedded,
}

const RUN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let options = Options::parse();
    let first = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let kind = if options.log == Which::Kafka { LogKind::Kafka } else { LogKind::Embedded };
    let begun = Instant::now();
    let (mut recoveries, mut broken) = (BTreeMap::<_, Vec<Duration>>::new(), 0);
    for seed in first.. {
        let left = options.length.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        println!("seed {seed}");
        let own = (options.brokers && kind == LogKind::Kafka).then(Broker::start);
        let report = chaos::run(kind, seed, left.min(RUN), own.as_ref());
        println!("{}", report.verdict);
        if let Some(history) = report.history {
            println!("seed {seed} broke a promise; the history is in {}", history.display());
            broken += 1;
        }
        for (kind, mut times) in report.recoveries {
            recoveries.entry(kind).or_default().append(&mut times);
        }
    }
    for (kind, mut times) in recoveries {
        times.sort();
        let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{kind}: {} times, recovered after p50 {middle:?}, max {longest:?}", times.len());
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
