//! Measures a host from outside, on either log: throughput, latency, time to a running `dev`, to a
//! deployed revision and to a host that runs all that was deployed.
//!
//! The host runs the guest `identity` with one worker. `cargo run --release -p lockstep-tests
//! --bin bench -- pass-through --kafka`; the numbers depend on the machine, so compare runs on
//! one machine only.

mod deploy;
mod dev_ready;
mod host_start;
mod latency;
mod neighbours;
mod pass_through;
mod report;
mod save_to_swapped;
mod setup;
mod swap_gap;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lockstep_tests::log::LogKind;

#[derive(Parser)]
#[command(about = "Measures a host from outside")]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Events per second, processor time per event and peak memory, with a topic that is full
    PassThrough {
        #[command(flatten)]
        log: Which,
        /// Events in the topic
        #[arg(long, default_value_t = 1_000_000)]
        events: usize,
        /// Bytes of one value
        #[arg(long, default_value_t = 1024)]
        bytes: usize,
    },
    /// Throughput and peak memory beside a handler that does all it can to take them, and alone
    Neighbours {
        #[command(flatten)]
        log: Which,
        /// Events of the well-behaved handler
        #[arg(long, default_value_t = 500_000)]
        events: usize,
    },
    /// Time from writing an event to reading its output, at a steady rate
    Latency {
        #[command(flatten)]
        log: Which,
        /// Events in a second
        #[arg(long, default_value_t = 1_000)]
        rate: u32,
        /// Duration
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Time from a save to an answer of the new revision, in its parts
    SaveToSwapped {
        /// Handler folder [default: a copy of the example `weather`]
        folder: Option<PathBuf>,
        /// The file that is edited, within the folder
        #[arg(long, default_value = "src/lib.rs")]
        source: PathBuf,
        /// Repetitions
        #[arg(long, default_value_t = 5)]
        times: usize,
    },
    /// Time from `lockstep deploy` to a revision that is active on a running host
    Deploy {
        #[command(flatten)]
        log: Which,
        /// Repetitions
        #[arg(long, default_value_t = 9)]
        times: usize,
    },
    /// Time from the start of a host until all that was deployed runs there
    HostStart {
        #[command(flatten)]
        log: Which,
        /// Handlers
        #[arg(long, default_value_t = 20)]
        handlers: usize,
        /// Repetitions
        #[arg(long, default_value_t = 5)]
        times: usize,
    },
    /// The longest time without an output, while revisions are swapped and while they are not
    SwapGap {
        #[command(flatten)]
        log: Which,
        /// Events in a second
        #[arg(long, default_value_t = 10_000)]
        rate: u32,
        /// Duration of each of the two parts
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Time from `lockstep dev` with a handler that is built to a host that is ready
    DevReady {
        /// Repetitions
        #[arg(long, default_value_t = 5)]
        times: usize,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// On a broker, started for the measurement
    #[arg(long)]
    kafka: bool,
    /// On the embedded log
    #[arg(long)]
    embedded: bool,
}

impl Which {
    fn kind(&self) -> LogKind {
        if self.kafka { LogKind::Kafka } else { LogKind::Embedded }
    }
}

fn main() {
    match Bench::parse().what {
        What::PassThrough { log, events, bytes } => pass_through::run(log.kind(), events, bytes),
        What::Neighbours { log, events } => neighbours::run(log.kind(), events),
        What::Latency { log, rate, seconds } => latency::run(log.kind(), rate, seconds),
        What::SaveToSwapped { folder, source, times } => {
            save_to_swapped::run(folder, &source, times);
        }
        What::Deploy { log, times } => deploy::run(log.kind(), times),
        What::HostStart { log, handlers, times } => host_start::run(log.kind(), handlers, times),
        What::SwapGap { log, rate, seconds } => swap_gap::run(log.kind(), rate, seconds),
        What::DevReady { times } => dev_ready::run(times),
    }
}
