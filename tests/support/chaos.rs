//! Faults drawn at random from the table, for a given time: the same ones from the same seed.
//!
//! What the machine does in between differs from run to run, so a seed says what was done, not
//! when exactly it hit. Seeds that have found something are kept in `tests/faults/seeds.toml` and
//! run with the tests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use lockstep::audit::history::Phase;
use lockstep::audit::oracle::Verdict;
use rustix::process::Signal;

use crate::broker::Broker;
use crate::host::Host;
use crate::inputs::Mix;
use crate::load::beside;
use crate::log::LogKind;
use crate::scenario::Scenario;
use crate::trial::{Setup, Trial};

/// The places at which a host may die or pause, on both logs.
const PLACES: &[&str] = &[
    "after-poll",
    "mid-batch",
    "before-commit",
    "mid-produce",
    "before-send-offsets",
    "after-send-offsets",
    "before-end-txn",
    "after-commit",
];

/// Longer than a session, so that a host that is frozen so long is given up.
const FROZEN: Duration = Duration::from_secs(5);

/// What is done to a host, or to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// It dies at a place that it passes for the nth time.
    KillAt(&'static str, u32),
    /// It dies so many milliseconds after it has got to work.
    Kill(u64),
    /// It dies so many microseconds after it began to commit.
    KillInCommit(u64),
    /// It dies while it aborts.
    KillInAbort,
    /// It is told to stop.
    Terminate,
    /// It is frozen and goes on.
    Freeze,
    /// The broker is killed and comes back.
    KillBroker,
}

/// What came of a run.
pub struct Report {
    /// What the oracle says.
    pub verdict: Verdict,
    /// From each fault, by kind, until every partition got on.
    pub recoveries: BTreeMap<&'static str, Vec<Duration>>,
    /// Where the history is, if a promise was broken.
    pub history: Option<std::path::PathBuf>,
}

/// Runs a handler under faults for this time. With a broker of its own, that one is killed too.
pub fn run(kind: LogKind, seed: u64, length: Duration, broker: Option<&Broker>) -> Report {
    let name = format!("chaos-{seed}");
    let world = match broker {
        Some(broker) => Scenario::at_broker(&broker.address(), &name),
        None => Scenario::new(kind, &name),
    };
    let mut random = Rng::with_seed(seed);
    let mix = Mix { trap: random.u32(..5), ..Mix::default() };
    let trial = Trial::new(world, &Setup { seed, mix, ..Setup::default() });
    let mut run = Run { trial: &trial, random, broker, recoveries: BTreeMap::new() };
    let ((), hosts) = beside(|running| trial.flow(&running), || run.play(length));
    let recoveries = run.recoveries;
    let verdict = trial.judge(hosts);
    let history = (!verdict.violations.is_empty()).then(|| trial.keep());
    Report { verdict, recoveries, history }
}

struct Run<'a> {
    trial: &'a Trial,
    random: Rng,
    broker: Option<&'a Broker>,
    recoveries: BTreeMap<&'static str, Vec<Duration>>,
}

impl Run<'_> {
    /// Makes one fault after the other; gives the hosts that run at the end, without failpoints.
    fn play(&mut self, length: Duration) -> Vec<Host> {
        let begun = Instant::now();
        let beside_it =
            (self.trial.world.kind == LogKind::Kafka).then(|| self.trial.host("host-2"));
        while begun.elapsed() < length {
            let step = self.draw();
            self.make(&step);
        }
        let host = self.trial.host("host-1");
        self.trial.wait_for_progress();
        beside_it.into_iter().chain([host]).collect()
    }

    fn draw(&mut self) -> Step {
        let kinds = if self.broker.is_some() { 7 } else { 6 };
        match self.random.u8(..kinds) {
            0 => {
                let place = PLACES[self.random.usize(..PLACES.len())];
                Step::KillAt(place, self.random.u32(..40))
            }
            1 => Step::Kill(self.random.u64(..400)),
            2 => Step::KillInCommit(self.random.u64(..2_000)),
            3 => Step::KillInAbort,
            4 => Step::Terminate,
            5 => Step::Freeze,
            _ => Step::KillBroker,
        }
    }

    /// Starts a host, lets the fault happen to it, and starts it again until all is well.
    fn make(&mut self, step: &Step) {
        let mut host = self.trial.failing("host-1", &failpoints(step));
        let target = if *step == Step::KillBroker { "broker" } else { "host-1" };
        let kind = self.fault(step, &mut host);
        let begun = Instant::now();
        self.trial.fault(&format!("{step:?}"), target);
        let ended = host.process().try_wait().is_some();
        if ended {
            self.trial.heard(&host);
            host = self.trial.failing("host-1", "abort-transaction=2%return");
        }
        self.trial.wait_until_all_partitions_get_on();
        self.recoveries.entry(kind).or_default().push(begun.elapsed());
        host.kill9();
        self.trial.heard(&host);
    }

    /// Returns when it has happened, with the kind of kill that it is.
    fn fault(&self, step: &Step, host: &mut Host) -> &'static str {
        match step {
            Step::KillAt(..) | Step::KillInCommit(_) | Step::KillInAbort => {
                // It may have no partition: then it dies like this.
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(10)
                    && host.process().try_wait().is_none()
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                host.kill9();
                "kill -9 at a failpoint"
            }
            Step::Kill(ms) => {
                self.trial.wait_for_progress();
                std::thread::sleep(Duration::from_millis(*ms));
                host.kill9();
                "kill -9 at any moment"
            }
            Step::Terminate => {
                self.trial.wait_for_progress();
                let (code, _) = host.terminate();
                assert_eq!(code, 0, "{}", host.output());
                "SIGTERM"
            }
            Step::Freeze => {
                self.trial.wait_for_progress();
                host.signal(Signal::STOP);
                self.trial.note("SIGSTOP", "host-1", Phase::Begins);
                std::thread::sleep(FROZEN);
                host.signal(Signal::CONT);
                self.trial.note("SIGSTOP", "host-1", Phase::Ends);
                "SIGSTOP of 5 s"
            }
            Step::KillBroker => {
                self.trial.wait_for_progress();
                if let Some(broker) = self.broker {
                    broker.kill9();
                    broker.restart();
                }
                "kill -9 of the broker, until it answered again"
            }
        }
    }
}

fn failpoints(step: &Step) -> String {
    match step {
        Step::KillAt(place, skip) => format!("{place}={skip}*off->return(kill)"),
        Step::KillInCommit(us) => format!("before-end-txn=3*off->return(kill {us})"),
        Step::KillInAbort => {
            "abort-transaction=2*off->50%return;before-abort=return(kill)".to_owned()
        }
        _ => "abort-transaction=5%return".to_owned(),
    }
}
