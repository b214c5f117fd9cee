//! Topics that configurations declare: created when missing, otherwise left as they are.

use lockstep_tests::cli;
use lockstep_tests::event::event;
use lockstep_tests::host::Host;
use lockstep_tests::process::Process;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::DEADLINE;

on_both_logs![
    declared_topics_are_created_as_declared,
    a_topic_with_fewer_partitions_is_reported_and_not_changed,
    settings_that_differ_are_reported_and_not_changed,
    a_source_topic_that_is_missing_is_named,
];

fn declared_topics_are_created_as_declared(mut world: Scenario) {
    let (input, output, other) = (world.name("in"), world.name("out"), world.name("other"));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]).with(&format!(
        "[[topics]]\nname = {input:?}\npartitions = 5\n\
         settings = {{ \"max.message.bytes\" = 2000000 }}\n[[topics]]\nname = {output:?}"
    )));
    world.configure(&format!("[[topics]]\nname = {other:?}\npartitions = 1\ningest = true"));
    let host = world.start();
    assert_eq!(world.log().partitions(&input), Some(5));
    assert_eq!(world.log().partitions(&output), Some(3));
    assert_eq!(world.log().partitions(&other), Some(1));
    // The setting is in force: an event of that size is taken.
    world.produce([event(&input, vec![b'x'; 1_500_000])]);
    assert_eq!(host.post(&other, &[], b"x").status, 200);
}

fn a_topic_with_fewer_partitions_is_reported_and_not_changed(mut world: Scenario) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    world.deploy(
        Manifest::guest("identity")
            .from(&[&input])
            .to(&[&output])
            .with(&format!("[[topics]]\nname = {input:?}\npartitions = 7")),
    );
    let host = world.start();
    host.logged(&[&input, "2 partitions", "7"]);
    assert_eq!(world.log().partitions(&input), Some(2));
    world.produce([event(&input, "works all the same")]);
    world.wait_for(&output, 1);
}

fn settings_that_differ_are_reported_and_not_changed(mut world: Scenario) {
    let input = world.topic_with("in", 1, &[("retention.ms", "3600000")]);
    let output = world.topic("out", 1);
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]).with(&format!(
        "[[topics]]\nname = {input:?}\npartitions = 1\n\
         settings = {{ \"retention.ms\" = 7200000, \"max.message.bytes\" = 5000 }}"
    )));
    let host = world.start();
    host.logged(&[&input, "retention.ms", "3600000", "7200000"]);
    host.logged(&[&input, "max.message.bytes", "5000"]);
    let log = world.log_args();
    let describe = ["topic", "describe", &input, "--output", "json", &log[0], &log[1]];
    let topic = cli::run(world.directory(), describe).json();
    assert_eq!(topic["settings"]["retention.ms"], "3600000", "{topic}");
    // The declared size is not in force, the real one is.
    let large = vec![b'x'; 100_000];
    world.produce([event(&input, large)]);
    world.wait_for(&output, 1);
}

fn a_source_topic_that_is_missing_is_named(mut world: Scenario) {
    let (input, output) = (world.name("nowhere"), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let host = Process::start("lockstep run", &mut Host::command(&world.config("host-1")));
    let named = host.find_line(DEADLINE, |line| line.contains(&input).then_some(()));
    assert!(named.is_some(), "{}", host.output());
    // Once somebody creates it, the handler goes to work without being asked.
    world.topic("nowhere", 2);
    world.produce([event(&input, "at last")]);
    world.wait_for(&output, 1);
}
