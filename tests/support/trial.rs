//! A handler under faults, observed from outside, and judged by the oracle.
//!
//! A trial writes inputs whose results are known, lets a test do to the hosts what it wants, and
//! ends with everything read again by readers that began anew. The history of a trial that broke
//! a promise is kept in `target/histories`, where `lockstep audit check` reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lockstep::audit::history::{
    Abandoned, Ack, Bounds, Entry, Expected, Fault, Outcome, Phase, Record, Run, Written,
};
use lockstep::audit::observer::{Observer, Sight};
use lockstep::audit::oracle::{self, Verdict};
use lockstep::audit::recorder::Recorder;

use crate::cli::{self, Ran};
use crate::host::Host;
use crate::inputs::{Input, Inputs, Mix};
use crate::load::Running;
use crate::paths;
use crate::scenario::{Deployed, Manifest, Scenario};
use crate::sight::TrialSight;

/// Beyond a killed host's transaction, a broker's restart and a busy machine.
const SETTLES: Duration = Duration::from_secs(120);
/// What a host logs that a trial reads.
const LOG_LEVEL: (&str, &str) = ("LOCKSTEP_LOG", "info,lockstep::worker=debug");
/// So many inputs at a time.
const PORTION: usize = 20;
const PAUSE: Duration = Duration::from_millis(40);
/// So many portions before it is looked whether the handler keeps up.
const PORTIONS: usize = 10;
/// Inputs that are not handled yet. More of them say nothing more, and cost time on a machine that
/// is busy.
const MOST_BEHIND: i64 = 1_000;
const PARTITIONS: u32 = 4;

/// Short sessions and transactions: what a host leaves behind is soon over.
const IMPATIENT: &str = "[kafka.consumer]\n\"session.timeout.ms\" = 3000\n\
    \"heartbeat.interval.ms\" = 500\n\
    [kafka.producer]\n\"transaction.timeout.ms\" = 8000\n\"message.timeout.ms\" = 7000";
const TRANSACTION_TIMEOUT_MS: u64 = 8_000;

/// Small batches, so that there are many moments between transactions and within.
const SMALL: &str = "provenance = \"transaction\"\nlimits.time = \"1s\"\n\
    [batch]\nevents = 25\ninterval = \"20ms\"";

/// A handler under faults.
pub struct Trial {
    /// Where it happens.
    pub world: Scenario,
    /// The handler.
    pub handler: Deployed,
    /// Its source topic.
    pub input: String,
    /// Its output topics.
    pub outputs: Vec<String>,
    seed: u64,
    sight: Arc<TrialSight>,
    recorder: Recorder,
    observer: Mutex<Option<Observer>>,
    inputs: Mutex<Inputs>,
    outcomes: Mutex<BTreeMap<String, Outcome>>,
}

/// What a trial is made with.
#[derive(Default)]
pub struct Setup {
    /// Where the inputs come from, with what `LOCKSTEP_SEED` adds.
    pub seed: u64,
    /// What they are.
    pub mix: Mix,
    /// More lines of the manifest.
    pub manifest: &'static str,
    /// More lines of the configuration.
    pub config: &'static str,
    /// What hosts may use.
    pub bounds: Option<Bounds>,
    /// Whether the handler is to be deployed with [`Trial::deploy`], not configured.
    pub deployed: bool,
}

impl Trial {
    /// A trial of the guest `scripted`.
    pub fn new(world: Scenario, setup: &Setup) -> Self {
        let seed = setup.seed.wrapping_add(seed_of_this_run());
        let mut world = world;
        if world.broker().is_some() {
            world.configure(IMPATIENT);
        }
        world.configure(setup.config);
        let (input, outputs) =
            (world.topic("in", PARTITIONS), [world.topic("out", 2), world.topic("too", 3)]);
        let manifest = Manifest::guest("scripted").from(&[&input]);
        let manifest = manifest.to(&[&outputs[0], &outputs[1]]).with(SMALL).with(setup.manifest);
        let handler = if setup.deployed { world.folder(manifest) } else { world.deploy(manifest) };
        world.log().create_topic(&handler.dead_letters, 2, &[]);
        let run = Run {
            version: 1,
            seed,
            log: format!("{:?}", world.kind).to_lowercase(),
            handler: handler.name.clone(),
            group: handler.group.clone(),
            from: vec![input.as_str().into()],
            to: outputs.iter().map(|topic| topic.as_str().into()).collect(),
            dead_letters: handler.dead_letters.as_str().into(),
            transaction_timeout_ms: TRANSACTION_TIMEOUT_MS,
            bounds: setup.bounds,
        };
        let file = world.directory().join("history.ndjson");
        let recorder = Recorder::create(&file, &run).unwrap_or_else(|e| panic!("{e:#}"));
        let sight = Arc::new(TrialSight::of(&world, &handler.group));
        let seen = Arc::clone(&sight) as Arc<dyn Sight>;
        let observer = Observer::start(seen, recorder.clone(), &run);
        let observer = observer.unwrap_or_else(|e| panic!("{e:#}"));
        let outputs = outputs.to_vec();
        let partitions = i32::try_from(PARTITIONS).unwrap_or(1);
        let inputs = Inputs::new(seed, setup.mix, &input, partitions, &outputs);
        Self {
            world,
            handler,
            input,
            outputs,
            seed,
            sight,
            recorder,
            observer: Mutex::new(Some(observer)),
            inputs: Mutex::new(inputs),
            outcomes: Mutex::default(),
        }
    }

    /// Writes so many inputs.
    pub fn write(&self, count: usize) {
        let mut left = count;
        while left > 0 {
            let portion = left.min(PORTION);
            self.write_portion(portion);
            left -= portion;
        }
    }

    /// Writes inputs while the load runs, some hundreds a second, as long as the handler keeps up.
    pub fn flow(&self, running: &Running) {
        let behind = || {
            let written = i64::try_from(lock(&self.inputs).number()).unwrap_or(i64::MAX);
            written.saturating_sub(self.progress())
        };
        while running.goes_on() {
            for _ in 0..PORTIONS {
                self.write_portion(PORTION);
                thread::sleep(PAUSE);
            }
            while running.goes_on() && behind() > MOST_BEHIND {
                thread::sleep(PAUSE);
            }
        }
    }

    fn write_portion(&self, count: usize) {
        let inputs: Vec<Input> = lock(&self.inputs).by_ref().take(count).collect();
        let events: Vec<_> =
            inputs.iter().map(|input| (input.event.clone(), Some(input.partition))).collect();
        lock(&self.outcomes)
            .extend(inputs.iter().map(|input| (input.id.clone(), input.outcome.clone())));
        let result = self.world.log().try_produce(&events);
        // Some of them may be there.
        let ack = if result.is_ok() { Ack::Acknowledged } else { Ack::Unknown };
        for input in inputs {
            self.written(input.id, ack);
        }
    }

    /// The next input, for a test that writes it in its own way and then says how that ended.
    pub fn next_input(&self) -> Input {
        let input = lock(&self.inputs).next().expect("there is always another");
        lock(&self.outcomes).insert(input.id.clone(), input.outcome.clone());
        input
    }

    /// Says how the write of an input ended.
    pub fn written(&self, id: String, ack: Ack) {
        let topic = self.input.as_str().into();
        self.recorder.record(Record::Written(Written { id, topic, ack }));
    }

    /// Starts a host and waits until it is ready.
    #[track_caller]
    pub fn host(&self, id: &str) -> Host {
        let host = Host::launch(&self.world.config(id), &[LOG_LEVEL]);
        host.wait_until_ready();
        host
    }

    /// Starts a host that fails where these failpoints say; it may be gone before it is ready.
    #[track_caller]
    pub fn failing(&self, id: &str, failpoints: &str) -> Host {
        Host::launch_failing(&self.world.config(id), failpoints, &[LOG_LEVEL])
    }

    /// Starts a host that gets an error where it would write beyond the limit of a file's size, as
    /// on a full disk, instead of a signal.
    #[track_caller]
    pub fn host_that_survives_a_file_limit(&self, id: &str) -> Host {
        let host = Host::launch_through(
            &["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""],
            &self.world.config(id),
            &[LOG_LEVEL],
        );
        host.wait_until_ready();
        host
    }

    /// Deploys the handler with these limits.
    pub fn deploy(&self, limits: &str) -> Ran {
        let folder = self.world.directory().join("handlers").join(&self.handler.name);
        let file = folder.join("handler.toml");
        let manifest = fs::read_to_string(&file).expect("the trial has written it");
        let mut manifest: toml::Table = manifest.parse().expect("it is TOML");
        let limits: toml::Table = limits.parse().expect("it is TOML");
        manifest["limits"].as_table_mut().expect("there are limits").extend(limits);
        fs::write(&file, manifest.to_string()).expect("it can be written");
        self.run_deploy(&folder.display().to_string())
    }

    /// Tries to deploy something that is no component.
    pub fn deploy_garbage(&self) -> Ran {
        let garbage = paths::tests().join("guests/fixtures/garbage.wasm");
        let folder = self.world.directory().join("handlers").join(&self.handler.name);
        let copy = self.world.directory().join("garbage");
        fs::create_dir_all(&copy).expect("the scenario's directory can be written");
        let manifest = fs::read_to_string(folder.join("handler.toml")).expect("it is there");
        let mut manifest: toml::Table = manifest.parse().expect("it is TOML");
        manifest.insert("component".to_owned(), garbage.display().to_string().into());
        fs::write(copy.join("handler.toml"), manifest.to_string()).expect("it can be written");
        self.run_deploy(&copy.display().to_string())
    }

    fn run_deploy(&self, folder: &str) -> Ran {
        let mut command = cli::command(["deploy", "--no-build", folder]);
        command.args(self.world.log_args()).args(["--cluster-id", self.world.cluster_id()]);
        cli::finish(command.current_dir(self.world.directory()), b"")
    }

    /// Notes a fault that has no length.
    pub fn fault(&self, kind: &str, target: &str) {
        self.note(kind, target, Phase::Instant);
    }

    /// Notes a fault that begins or ends.
    pub fn note(&self, kind: &str, target: &str, phase: Phase) {
        let (kind, target) = (kind.to_owned(), target.to_owned());
        self.recorder.record(Record::Fault(Fault { kind, target, phase }));
    }

    /// Records something else.
    pub fn record(&self, record: Record) {
        self.recorder.record(record);
    }

    /// The committed offsets of the handler, as far as anybody knows at this moment.
    fn committed(&self) -> BTreeMap<i32, i64> {
        self.sight.committed(&self.handler.group, &self.input).unwrap_or_default()
    }

    /// The same added up: whoever waits for progress compares them.
    pub fn progress(&self) -> i64 {
        self.committed().values().sum()
    }

    /// Waits until the handler has got on.
    #[track_caller]
    pub fn wait_for_progress(&self) {
        let before = self.progress();
        self.wait_until("the handler gets on", || self.progress() > before);
    }

    /// Waits until the handler has got on in every partition.
    #[track_caller]
    pub fn wait_until_all_partitions_get_on(&self) {
        let before = self.committed();
        self.wait_until("every partition gets on", || {
            let now = self.committed();
            let partitions = 0..i32::try_from(PARTITIONS).unwrap_or(0);
            partitions.into_iter().all(|at| now.get(&at) > before.get(&at))
        });
    }

    /// Waits until something holds, longer than any fault takes.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < SETTLES, "not within {SETTLES:?}: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until everything that was written is handled, whether or not that succeeds.
    pub fn settle(&self) {
        let ends = self.ends();
        let begun = Instant::now();
        while begun.elapsed() < SETTLES {
            let committed = self.committed();
            if ends.iter().all(|(at, end)| committed.get(at).is_some_and(|next| next >= end)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The offset behind the last input of each partition.
    fn ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for event in self.world.read(&self.input) {
            let end = ends.entry(event.partition).or_insert(0);
            *end = (event.offset + 1).max(*end);
        }
        ends
    }

    /// Lets the hosts finish what there is, stops them, reads everything again, and judges.
    pub fn judge(&self, hosts: Vec<Host>) -> Verdict {
        self.settle();
        for mut host in hosts {
            let (code, _) = host.terminate();
            assert_eq!(code, 0, "{}", host.output());
            self.heard(&host);
        }
        oracle::check(&self.history())
    }

    /// The same; every promise must have been kept.
    #[track_caller]
    pub fn assert_clean(&self, hosts: Vec<Host>) -> Verdict {
        let verdict = self.judge(hosts);
        if !verdict.violations.is_empty() {
            panic!("seed {}: {verdict}\nthe history is in {:?}", self.seed, self.keep());
        }
        verdict
    }

    /// Notes which transactions a host says that it has given up. For hosts that are gone.
    pub fn heard(&self, host: &Host) {
        for line in host.output().lines().filter(|line| line.contains("transaction abandoned")) {
            let name =
                line.split_once(" transaction=\"").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((name, _)) = name {
                let transaction = name.to_owned();
                self.recorder.record(Record::Abandoned(Abandoned { transaction }));
            }
        }
    }

    /// Everything that was observed; ends the observation.
    pub fn history(&self) -> Vec<Entry> {
        if let Some(observer) = lock(&self.observer).take() {
            observer.finish(SETTLES).unwrap_or_else(|e| panic!("{e:#}"));
            self.expect();
        }
        self.recorder.finish().unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// Notes what the inputs should have become, now that it is known where they lie.
    fn expect(&self) {
        let outcomes = lock(&self.outcomes);
        let mut noted = BTreeSet::new();
        for entry in self.recorder.entries() {
            let Record::Seen(seen) = entry.record else { continue };
            let is_input = seen.origin.is_none() && *seen.at.0.topic == *self.input;
            if is_input
                && let Some(result) = seen.id.as_ref().and_then(|id| outcomes.get(id)).cloned()
                && noted.insert(seen.at.clone())
            {
                self.recorder.record(Record::Expected(Expected { source: seen.at, result }));
            }
        }
    }

    /// Keeps the history beyond the trial, and says where.
    pub fn keep(&self) -> std::path::PathBuf {
        let folder = paths::target().join("histories");
        let file = folder.join(format!("{}.ndjson", self.world.cluster_id()));
        let from = self.world.directory().join("history.ndjson");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(from, &file))
            .unwrap_or_else(|e| panic!("failed to keep the history in {file:?}: {e}"));
        file
    }
}

/// Other inputs each time, where somebody asks for that.
fn seed_of_this_run() -> u64 {
    let seed = std::env::var("LOCKSTEP_SEED").ok();
    seed.map_or(0, |seed| seed.parse().expect("LOCKSTEP_SEED is a number"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
