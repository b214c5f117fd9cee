//! Where a group begins, and that it goes on there.

use lockstep_tests::event::{event, sorted_texts, texts_by_partition};
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

on_both_logs![
    a_new_group_begins_where_the_manifest_says,
    a_group_that_began_at_the_end_misses_nothing_of_a_partition_that_was_empty,
];

fn a_new_group_begins_where_the_manifest_says(mut world: Scenario) {
    let input = world.topic("in", 1);
    let (from_start, from_end) = (world.topic("from-start", 1), world.topic("from-end", 1));
    let early = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&from_start]));
    let late = world.deploy(
        Manifest::guest("identity")
            .from(&[&input])
            .to(&[&from_end])
            .with(&format!("name = {:?}\nstart = \"latest\"", world.name("late"))),
    );
    world.produce([event(&input, "old")]);
    let host = world.start();
    // Where "latest" is, is decided when the partitions are assigned: go on until it is.
    let mut numbers = 0..;
    eventually("the late handler takes part", || {
        let number: i32 = numbers.next().unwrap_or_default();
        world.produce([event(&input, format!("new {number}"))]);
        !world.read(&from_end).is_empty()
    });
    drop(host);
    let _host = world.start();
    world.produce([event(&input, "after the restart")]);
    world.settle(&early);
    world.settle(&late);
    let (all, some) = (world.read(&from_start), world.read(&from_end));
    let inputs = world.read(&input);
    assert_eq!(sorted_texts(&all), sorted_texts(&inputs));
    let some = texts_by_partition(&some).remove(&0).unwrap_or_default();
    assert!(!some.contains(&"old".to_owned()), "{some:?}");
    // Once begun, nothing is left out: it is a suffix of what was written.
    assert!(texts_by_partition(&inputs)[&0].ends_with(&some), "{some:?}");
}

/// In the empty partition the group has read nothing, and must still remember where it began.
fn a_group_that_began_at_the_end_misses_nothing_of_a_partition_that_was_empty(mut world: Scenario) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let manifest = Manifest::guest("identity").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest.with("start = \"latest\""));
    world.produce_to(0, [event(&input, "old")]);
    let mut host = world.start();
    eventually("the handler takes part", || {
        world.produce_to(0, [event(&input, "new")]);
        !world.read(&output).is_empty()
    });
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    world.produce_to(1, [event(&input, "while nobody was there")]);
    let _host = world.start();
    world.settle(&handler);
    let texts = sorted_texts(&world.read(&output));
    assert!(texts.contains(&"while nobody was there".to_owned()), "{texts:?}");
    assert!(!texts.contains(&"old".to_owned()), "{texts:?}");
}
