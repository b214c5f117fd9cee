//! Several hosts: on Kafka they share the partitions, on the embedded log the second is refused.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lockstep_tests::cli;
use lockstep_tests::event::{Has, event, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

/// Far longer than a test: who waits for it, fails.
const LONG_SESSION: &str = "[kafka.consumer]\n\"session.timeout.ms\" = 45000";

fn two_hosts(test: &str, more: &str) -> (Scenario, String, String, [Host; 2]) {
    let mut world = Scenario::new(LogKind::Kafka, test);
    world.configure(more);
    let (input, output) = (world.topic("in", 4), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let hosts = [world.start_as("host-1"), world.start_as("host-2")];
    (world, input, output, hosts)
}

/// Writes to all partitions until every one of them gives outputs again.
fn all_partitions_work(world: &Scenario, input: &str, output: &str, round: &str) -> Duration {
    let begun = Instant::now();
    for partition in 0..4 {
        world.produce_to(partition, [event(input, format!("{round} {partition}"))]);
    }
    eventually("every partition is served", || {
        let of_round = |text: &String| text.starts_with(round);
        world.read(output).iter().map(Has::text).filter(of_round).count() == 4
    });
    begun.elapsed()
}

#[test]
fn on_kafka_two_hosts_share_the_partitions_and_one_takes_over_after_kill_9() {
    let (world, input, output, [mut first, second]) = two_hosts("take-over-after-kill-9", "");
    all_partitions_work(&world, &input, &output, "both");
    for partition in 0..4 {
        world.produce_to(partition, (0..200).map(|n| event(&input, format!("{partition}:{n}"))));
    }
    first.kill9();
    all_partitions_work(&world, &input, &output, "one");
    world.wait_for(&output, 808);
    let texts = sorted_texts(&world.read(&output));
    assert_eq!(texts.len(), 808, "{}", second.output());
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), 808);
}

#[test]
fn on_kafka_a_host_that_is_stopped_leaves_the_group_and_another_takes_over_at_once() {
    let (world, input, output, [mut first, _second]) =
        two_hosts("take-over-after-stop", LONG_SESSION);
    all_partitions_work(&world, &input, &output, "both");
    let (code, _) = first.terminate();
    assert_eq!(code, 0, "{}", first.output());
    let took = all_partitions_work(&world, &input, &output, "one");
    assert!(took < Duration::from_secs(20), "taking over took {took:?}");
}

#[test]
fn on_kafka_a_host_that_joins_takes_its_share() {
    let mut world = Scenario::new(LogKind::Kafka, "join");
    let (input, output) = (world.topic("in", 4), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let mut first = world.start_as("host-1");
    world.produce((0..2_000).map(|n| event(&input, n.to_string())));
    world.wait_for(&output, 1);
    let _second = world.start_as("host-2");
    world.produce((2_000..4_000).map(|n| event(&input, n.to_string())));
    world.settle(&handler);
    assert_eq!(world.read(&output).len(), 4_000);
    // The proof that the second one is a member: it goes on alone.
    first.kill9();
    all_partitions_work(&world, &input, &output, "alone");
}

#[test]
fn on_embedded_a_second_host_is_refused_and_told_who_is_there() {
    let mut world = Scenario::new(LogKind::Embedded, "second-host");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let mut first = world.start_as("host-1");
    let second = cli::finish(&mut Host::command(&world.config("host-2")), b"");
    assert_ne!(second.code, 0);
    let pid = first.process().pid().to_string();
    assert!(second.stderr.contains("host-1") || second.stderr.contains(&pid), "{second:?}");
    // The first one did not notice, and its place is free when it is gone.
    world.produce([event(&input, "still here")]);
    world.wait_for(&output, 1);
    first.kill9();
    let _third = world.start_as("host-2");
    world.produce([event(&input, "next one")]);
    world.wait_for(&output, 2);
}
