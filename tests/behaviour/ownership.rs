//! Who has which partition, and how each is: told by sessions, by hosts and by `handler status`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lockstep::event::TopicPartition;
use lockstep::log::{BatchBounds, Log, Outcome, Session, Start, Subscription};
use lockstep_tests::event::event;
use lockstep_tests::fleet::Fleet;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::seam;
use lockstep_tests::wait::{eventually, eventually_ok};
use serde_json::{Value, json};

on_both_logs![
    a_session_names_the_partitions_that_it_gains_and_loses_idle_ones_too,
    two_workers_share_the_partitions_and_each_partition_has_one_owner,
    a_partition_that_waits_says_where_why_and_until_when,
];

/// What a session has, as its batches say.
struct Member {
    session: Box<dyn Session>,
    own: BTreeSet<TopicPartition>,
}

impl Member {
    fn open(log: &dyn Log, world: &Scenario, topic: &str, slot: u32) -> Self {
        let subscription = Subscription {
            handler: world.name("handler"),
            group: world.name("group"),
            topics: vec![Arc::from(topic)],
            outputs: Vec::new(),
            slot,
            start: Start::Earliest,
            bounds: BatchBounds { events: 100, bytes: 1 << 20 },
        };
        let session = log.session(&subscription);
        let session = session.unwrap_or_else(|error| panic!("no session: {error:#}"));
        Self { session, own: BTreeSet::new() }
    }

    /// Polls, takes what is said into account, and lets what came be done.
    fn poll(&mut self) {
        let batch = self.session.poll(Duration::from_millis(20)).expect("the session lives");
        self.own = &self.own - batch.lost();
        self.own.extend(batch.gained().iter().cloned());
        for event in batch.events() {
            assert!(self.own.contains(&event.topic_partition()), "{event:?}, of {:?}", self.own);
        }
        let mut outcome = Outcome::new(batch);
        while outcome.current().is_some() {
            outcome.complete([]);
        }
        self.session.commit(outcome).expect("the session lives");
    }
}

fn a_session_names_the_partitions_that_it_gains_and_loses_idle_ones_too(world: Scenario) {
    let topic = world.topic("in", 4);
    world.produce_to(2, [event(&topic, "the others are idle")]);
    let log = seam::open_as_host(&world);
    let mut first = Member::open(&*log, &world, &topic, 0);
    eventually("the first has all", || {
        first.poll();
        first.own.len() == 4
    });
    let mut second = Member::open(&*log, &world, &topic, 1);
    eventually("two share", || {
        first.poll();
        second.poll();
        (first.own.len(), second.own.len()) == (2, 2)
    });
    assert_eq!(first.own.union(&second.own).count(), 4, "{:?} {:?}", first.own, second.own);
    second.session.close().expect("it leaves");
    eventually("the first has all again", || {
        first.poll();
        first.own.len() == 4
    });
}

/// Host and worker of each partition.
fn owners(fleet: &Fleet) -> Vec<(String, Option<u64>)> {
    let owner = |partition: &Value| {
        (partition["host"].as_str().unwrap_or("nobody").to_owned(), partition["worker"].as_u64())
    };
    fleet.partitions().iter().map(owner).collect()
}

fn two_workers_share_the_partitions_and_each_partition_has_one_owner(world: Scenario) {
    let fleet = Fleet::new(world, 4);
    fleet.manifest("workers = 2");
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    eventually_ok("two workers share four partitions", || {
        let owners = owners(&fleet);
        let of = |worker| {
            owners.iter().filter(|owner| **owner == ("host-1".to_owned(), Some(worker))).count()
        };
        if (of(0), of(1)) == (2, 2) { Ok(()) } else { Err(format!("{owners:?}")) }
    });
    fleet.world.produce_to(1, ["a", "b"].map(|text| event(&fleet.input, text)));
    fleet.world.wait_for(&fleet.output, 2);
    eventually_ok("what is handled shows", || {
        let one = fleet.partitions()[1].clone();
        let right = one["lag"] == 0 && one["rate"].as_f64().is_some_and(|rate| rate > 0.0);
        if right { Ok(()) } else { Err(one.to_string()) }
    });
    let idle = fleet.partitions()[2].clone();
    assert_eq!((&idle["state"], &idle["committed"]), (&json!("running"), &Value::Null), "{idle}");
    assert_eq!((&idle["revision"], &idle["lag"]), (&json!(1), &json!(0)), "{idle}");
    let told = host.handler(&fleet.name)["workers"][0]["partitions"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(2), "{told}");

    fleet.run(&["handler", "scale", &fleet.name, "--workers", "1"]).ok();
    let all_of_one = vec![("host-1".to_owned(), Some(0)); 4];
    eventually_ok("one worker has all", || {
        let owners = owners(&fleet);
        if owners == all_of_one { Ok(()) } else { Err(format!("{owners:?}")) }
    });
    fleet.run(&["handler", "pause", &fleet.name]).ok();
    eventually("nobody has any", || owners(&fleet) == vec![("nobody".to_owned(), None); 4]);
    let said = fleet.run(&["handler", "status", &fleet.name]).ok();
    assert_eq!(said.matches("nobody").count(), 4, "{said}");
    assert_eq!(host.handler(&fleet.name), Value::Null);
}

fn a_partition_that_waits_says_where_why_and_until_when(world: Scenario) {
    let fleet = Fleet::new(world, 3);
    let hours = "[retry]\nattempts = 3\ninitial = \"2h\"\nmax = \"2h\"";
    fleet.manifest(&format!("on_failure = \"stop\"\n{hours}"));
    let host = fleet.world.start();
    fleet.deploy("scripted", &[]).ok();
    let scripts = [r#"{"do":"trap"}"#, r#"{"do":"retryable","message":"busy"}"#, "fine"];
    for (partition, script) in (0..).zip(scripts) {
        fleet.world.produce_to(partition, [event(&fleet.input, "first")]);
        fleet.world.produce_to(partition, [event(&fleet.input, script)]);
    }
    let states = || fleet.partitions().iter().map(|one| one["state"].clone()).collect::<Vec<_>>();
    eventually("two wait", || states() == ["halted", "retrying", "running"]);
    let all = fleet.partitions();
    // The log may give offsets to more than events.
    let second = |partition| {
        let mut inputs = fleet.world.read(&fleet.input);
        inputs.retain(|input| input.partition == partition);
        inputs[1].offset
    };
    assert_eq!((&all[0]["waits_at"], &all[0]["waits_until"]), (&json!(second(0)), &Value::Null));
    assert_eq!(all[1]["waits_at"], second(1));
    let hour = 60 * 60 * 1_000;
    let told = host.handler(&fleet.name)["workers"][0]["partitions"][1]["until"].clone();
    let until = told.as_i64().expect("it is known") - lockstep::event::now_ms();
    assert!((hour..=3 * hour).contains(&until), "{until} ms from now");
    let until = all[1]["waits_until"].as_str().expect("it is known");
    let halted = format!("{0}/0 on host-1 is halted at {1}: {0}/0/{1}: ", fleet.input, second(0));
    let again = format!("{0}/1 on host-1 tries {1} again at {until}: ", fleet.input, second(1));
    let said = fleet.run(&["handler", "status", &fleet.name, "--host", "host-1"]).ok();
    for part in [&halted, &again, &"retryable: busy".to_owned()] {
        assert!(said.contains(part.as_str()), "{part:?} is not in {said}");
    }
    assert_eq!(all[2]["error"], Value::Null);
    fleet
        .run(&["handler", "status", "--host", "host-9"])
        .fails(3, &["host \"host-9\" is not there", "host-1"]);

    fleet.deploy("identity", &[]).ok();
    fleet.world.wait_for(&fleet.output, 6);
    eventually("none waits any more", || states() == ["running"; 3]);
    assert_eq!(fleet.partitions()[0]["waits_at"], Value::Null);
}

#[test]
fn on_kafka_two_hosts_share_the_partitions_and_those_of_one_that_stops_move() {
    let fleet = Fleet::new(Scenario::new(LogKind::Kafka, "owners-move"), 4);
    let mut first = fleet.world.start_as("host-1");
    let mut second = fleet.world.start_as("host-2");
    fleet.deploy("identity", &[]).ok();
    fleet.wait_until_owned_by(&["host-1", "host-2"], 1);
    let args = ["handler", "status", &fleet.name, "--host", "host-2", "--output", "json"];
    let narrowed = fleet.run(&args).json()[0].clone();
    assert_eq!(narrowed["hosts"].as_array().map(Vec::len), Some(1), "{narrowed}");
    assert_eq!(narrowed["partitions"].as_array().map(Vec::len), Some(2), "{narrowed}");

    assert_eq!(first.terminate().0, 0, "{}", first.output());
    fleet.wait_until_owned_by(&["host-2"], 1);
    // One that says no good-bye keeps its word until others have said more.
    let _first = fleet.world.start_as("host-1");
    fleet.wait_until_owned_by(&["host-1", "host-2"], 1);
    second.kill9();
    fleet.wait_until_owned_by(&["host-1"], 1);
}
