//! A worker whose session dies gets another one and goes on; its neighbours do not notice.

use std::time::Duration;

use lockstep_tests::embedded;
use lockstep_tests::event::{event, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::eventually_ok;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use serde_json::Value;

/// A handler that will be hit, and its neighbour.
struct Pair {
    world: Scenario,
    host: Host,
    hit: (String, String, Deployed),
    neighbour: (String, String, Deployed),
}

impl Pair {
    fn new(kind: LogKind, test: &str) -> Self {
        let mut world = Scenario::new(kind, test);
        let [hit, neighbour] = ["hit", "neighbour"].map(|name| {
            let input = world.topic(&format!("{name}-in"), 2);
            let output = world.topic(&format!("{name}-out"), 1);
            let manifest = Manifest::guest("identity").from(&[&input]).to(&[&output]);
            let handler = world.deploy(manifest.with(&format!("name = {:?}", world.name(name))));
            (input, output, handler)
        });
        let host = world.start();
        let pair = Self { world, host, hit, neighbour };
        pair.produce("before");
        pair.settle();
        pair
    }

    fn produce(&self, round: &str) {
        for (input, ..) in [&self.hit, &self.neighbour] {
            self.world.produce((0..20).map(|n| event(input, format!("{round} {n:02}"))));
        }
    }

    fn settle(&self) {
        self.world.settle(&self.hit.2);
        self.world.settle(&self.neighbour.2);
    }

    fn worker(&self, handler: &Deployed) -> Value {
        self.host.handler(&handler.name)["workers"][0].clone()
    }

    /// Waits until the worker that was hit has lost its session for a reason with these words.
    fn wait_for_death(&self, reason: &str) {
        eventually_ok("the worker that was hit ends", || {
            let worker = self.worker(&self.hit.2);
            let told = worker["last_error"].as_str().is_some_and(|error| error.contains(reason));
            if told { Ok(()) } else { Err(worker.to_string()) }
        });
        self.host.logged(&["worker ended, starting again", &self.hit.2.name]);
    }

    /// Both have handled these rounds, each event once, and only one of them had to start over.
    fn assert_went_on(&self, rounds: &[&str]) {
        self.settle();
        self.host.wait_until_ready();
        let mut all: Vec<_> = rounds
            .iter()
            .flat_map(|round| (0..20).map(move |number| format!("{round} {number:02}")))
            .collect();
        all.sort();
        for (_, output, _) in [&self.hit, &self.neighbour] {
            self.world.wait_for(output, all.len());
            assert_eq!(sorted_texts(&self.world.read(output)), all);
        }
        let neighbour = self.worker(&self.neighbour.2);
        assert_eq!(
            (&neighbour["state"], &neighbour["last_error"]),
            (&"running".into(), &Value::Null)
        );
        assert_eq!(self.worker(&self.hit.2)["state"], "running");
    }
}

#[test]
fn on_kafka_a_worker_that_was_fenced_starts_again_and_its_neighbour_does_not_notice() {
    let pair = Pair::new(LogKind::Kafka, "fenced");
    // Somebody else takes the names of the worker's producers.
    for turn in 0..2 {
        let id = format!("{}-{}-host-1-0-{turn}", pair.world.cluster_id(), pair.hit.2.name);
        let thief: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", pair.world.broker().expect("this is a test on Kafka"))
            .set("transactional.id", &id)
            .create()
            .expect("the properties are right");
        thief.init_transactions(Duration::from_secs(20)).expect("the broker answers");
    }
    pair.produce("after");
    pair.wait_for_death("fenced");
    pair.assert_went_on(&["before", "after"]);
}

#[test]
fn on_embedded_a_worker_that_cannot_commit_starts_again_and_its_neighbour_does_not_notice() {
    let pair = Pair::new(LogKind::Embedded, "no-commit");
    let database = embedded::database(&pair.world.data_dir());
    let run = |sql| database.execute_batch(sql).expect("the database is there");
    run("ALTER TABLE group_offsets RENAME TO hidden");
    pair.world.produce((0..20).map(|n| event(&pair.hit.0, format!("meanwhile {n:02}"))));
    pair.wait_for_death("group_offsets");
    run("ALTER TABLE hidden RENAME TO group_offsets");
    pair.world.produce((0..20).map(|n| event(&pair.neighbour.0, format!("meanwhile {n:02}"))));
    pair.produce("after");
    pair.assert_went_on(&["before", "meanwhile", "after"]);
}
