//! Three hosts: they converge, share the partitions, and survive the loss of one in the middle of
//! a deployment, under load.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lockstep::deployment::hosts::SILENCE;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::Has;
use lockstep_tests::fleet::{Fleet, large};
use lockstep_tests::host::Host;
use lockstep_tests::kafka;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::load::{Running, beside};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::{DEADLINE, eventually};
use rustix::process::Signal;

const PARTITIONS: i32 = 6;
const ALL: [&str; 3] = ["host-1", "host-2", "host-3"];
/// What a deployment may take besides waiting for a host that is gone: far from its timeout of two
/// minutes, on a busy machine too.
const SOON: Duration = Duration::from_secs(45);

/// A fleet that began with three hosts.
struct Three {
    fleet: Fleet,
}

impl Three {
    /// Three hosts that run revision 1 and share its partitions.
    fn start(test: &str) -> (Self, [Host; 3]) {
        let fleet = Fleet::new(Scenario::new(LogKind::Kafka, test), PARTITIONS as u32);
        fleet.manifest("[batch]\nevents = 25\ninterval = \"20ms\"");
        let hosts = ALL.map(|host| fleet.world.start_as(host));
        let said = fleet.deploy("scripted", &[]).ok();
        for host in ALL {
            assert!(said.contains(&format!("runs on    {host}")), "{said}");
        }
        fleet.wait_until_owned_by(&ALL, 1);
        (Self { fleet }, hosts)
    }

    /// Deploys the guest, in a form that takes many chunks, on a thread of its own.
    fn deploying(&self, seed: usize) -> JoinHandle<(Ran, Duration)> {
        let component = large("scripted", seed);
        fs::write(self.fleet.folder.join("handler.wasm"), component).expect("it can be written");
        let folder = self.fleet.folder.display().to_string();
        let mut command = self.fleet.command(&["deploy", "--no-build", &folder]);
        thread::spawn(move || {
            let begun = Instant::now();
            (cli::finish(&mut command, b""), begun.elapsed())
        })
    }

    /// How far a control topic is written, committed or not.
    fn end_of(&self, topic: &str) -> i64 {
        let broker = self.fleet.world.broker().expect("these are tests on Kafka");
        kafka::end(broker, &self.fleet.control_topic(topic))
    }

    /// Whether this revision is the active one, as the registry says.
    fn is_activated(&self, revision: u64) -> bool {
        let key = format!("deployment/{}", self.fleet.name).into_bytes();
        let records = self.fleet.world.read(&self.fleet.control_topic("deployments"));
        let last = records.iter().rfind(|record| record.event.key.as_ref() == Some(&key));
        last.is_some_and(|last| last.text().contains(&format!("\"revision\":{revision}")))
    }

    /// Writes to all partitions, at the pace at which the fleet handles, while `meanwhile` runs.
    /// In the end each event has its one result, in order.
    fn under_load(&self, meanwhile: impl FnOnce()) {
        let Fleet { world, input, output, .. } = &self.fleet;
        let (handler, mut ledger) = (self.fleet.handler(), Ledger::of(input));
        let load = |running: Running| {
            while running.goes_on() {
                let before = world.log().committed(&handler.group, input);
                ledger.produce_to_all(world, PARTITIONS, 5);
                eventually("events flow", || {
                    !running.goes_on() || world.log().committed(&handler.group, input) != before
                });
            }
        };
        beside(load, meanwhile);
        ledger.produce_to_all(world, PARTITIONS, 5);
        ledger.assert_exactly_once(world, &handler, output);
    }

    /// The deployment went well although the third host is gone, and says so.
    fn assert_deployed(&self, (ran, took): (Ran, Duration), revision: u64) {
        assert_eq!(ran.code, 0, "{ran:?}");
        let active = format!("revision {revision} is active");
        for part in [&*active, "runs on    host-1", "runs on    host-2"] {
            assert!(ran.stdout.contains(part), "{part:?} is not said: {ran:?}");
        }
        assert!(!ran.stdout.contains("host-3"), "{ran:?}");
        for part in ["host \"host-3\" has said nothing for 10s", "is not waited for"] {
            assert!(ran.stderr.contains(part), "{part:?} is not said: {ran:?}");
        }
        assert!(took < SILENCE + SOON, "the deployment took {took:?}");
    }

    /// The third host comes back and does as the others.
    fn come_back(&self, hosts: &mut [Host; 3], revision: u64) {
        hosts[2] = self.fleet.world.start_as("host-3");
        self.fleet.wait_until_owned_by(&ALL, revision);
        for host in hosts {
            assert_eq!(host.handler(&self.fleet.name)["revision"], revision);
        }
    }
}

#[test]
fn on_kafka_the_loss_of_a_host_while_chunks_are_written_holds_up_nothing_but_the_wait_for_it() {
    let (three, mut hosts) = Three::start("lost-between-chunks");
    three.under_load(|| {
        let before = three.end_of("components");
        let deploying = three.deploying(1);
        eventually("chunks are written", || three.end_of("components") > before);
        hosts[2].kill9();
        three.assert_deployed(deploying.join().expect("it ends"), 2);
        three.fleet.wait_until_owned_by(&ALL[..2], 2);
        three.come_back(&mut hosts, 2);
    });
}

#[test]
fn on_kafka_the_loss_of_a_host_between_activation_and_its_own_swap_holds_up_only_the_wait_for_it() {
    let (three, mut hosts) = Three::start("lost-after-activation");
    three.under_load(|| {
        // It sees nothing of the activation, and its transaction is cut off in the middle.
        hosts[2].signal(Signal::STOP);
        let deploying = three.deploying(2);
        eventually("it is activated", || three.is_activated(2));
        hosts[2].kill9();
        three.assert_deployed(deploying.join().expect("it ends"), 2);
        three.fleet.wait_until_owned_by(&ALL[..2], 2);
        let output = hosts[2].output();
        assert!(!output.contains("change=swapped"), "it took nothing up\n{output}");
        three.come_back(&mut hosts, 2);
    });
}

#[test]
fn on_kafka_a_fourth_host_converges_from_the_topics_alone() {
    let (three, _hosts) = Three::start("fourth-host");
    three.fleet.deploy("stamp", &[]).ok();
    three.fleet.wait_until_owned_by(&ALL, 2);
    let fourth = three.fleet.world.start_as("host-4");
    three.fleet.wait_until_owned_by(&["host-1", "host-2", "host-3", "host-4"], 2);
    assert_eq!(fourth.handler(&three.fleet.name)["revision"], 2);
    let output = fourth.output();
    assert!(!output.contains("revision=1"), "what is past is not run\n{output}");
    let begun = Instant::now();
    let said = three.fleet.deploy("identity", &[]).ok();
    assert!(said.contains("runs on    host-4"), "{said}");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}
