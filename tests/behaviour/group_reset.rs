//! Where a group goes on, set by hand: refused while somebody works in it, exact otherwise.

use std::collections::BTreeMap;

use lockstep::event::TopicPartition;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{event, sorted_texts};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::seam;
use lockstep_tests::wait::eventually;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;

on_both_logs![
    offsets_are_set_only_while_the_group_has_no_members,
    a_group_is_reset_and_its_events_are_handled_again,
    what_is_reset_is_shown_and_chosen,
    a_reset_of_what_is_not_there_is_refused_by_name,
];

/// `lockstep group reset ARGS…` on the log of the scenario.
#[track_caller]
fn reset(world: &Scenario, args: &[&str]) -> Ran {
    let log = world.log_args();
    let args = ["group", "reset"].iter().chain(args).copied();
    cli::run(world.directory(), args.chain(log.iter().map(String::as_str)))
}

/// A handler that is through with 3 events in one partition and 2 in another, and its topics.
fn handled(world: &mut Scenario) -> (Deployed, String, String) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    world.produce_to(0, ["a", "b", "c"].map(|value| event(&input, value)));
    world.produce_to(1, ["d", "e"].map(|value| event(&input, value)));
    let mut host = world.start();
    world.settle(&handler);
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    (handler, input, output)
}

fn committed(world: &Scenario, handler: &Deployed) -> Vec<(i32, i64)> {
    world.log().committed(&handler.group, &handler.from[0]).into_iter().collect()
}

fn offsets(topic: &str, offsets: &[(i32, i64)]) -> BTreeMap<TopicPartition, i64> {
    let place = |partition| TopicPartition { topic: topic.into(), partition };
    offsets.iter().map(|(partition, offset)| (place(*partition), *offset)).collect()
}

fn offsets_are_set_only_while_the_group_has_no_members(mut world: Scenario) {
    let (handler, input, _) = handled(&mut world);
    let log = seam::open(&world);
    let members = || log.admin().members(&handler.group).expect("the log answers");
    let mut host = world.start();
    eventually("the group has a member", || members() == 1);
    let refused = log.admin().set_offsets(&handler.group, &offsets(&input, &[(0, 0)]));
    let text = refused.map_err(|error| format!("{error:#}")).unwrap_err();
    assert!(text.contains("has members"), "{text}");
    assert!(text.contains(&handler.group), "{text}");
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 2)]);

    host.kill9();
    // On Kafka its session has to time out first.
    eventually("the killed host is no member any more", || members() == 0);
    let set = log.admin().set_offsets(&handler.group, &offsets(&input, &[(0, 1), (1, 99)]));
    set.unwrap_or_else(|error| panic!("nobody is in the group: {error:#}"));
    assert_eq!(committed(&world, &handler), [(0, 1), (1, 2)], "and clamped to the end");
    let refused = log.admin().set_offsets(&handler.group, &offsets(&input, &[(0, 0), (2, 0)]));
    let text = refused.map_err(|error| format!("{error:#}")).unwrap_err();
    assert!(text.contains(&format!("{input}/2")), "{text}");
    assert_eq!(committed(&world, &handler), [(0, 1), (1, 2)]);
    let of_a_new_group = offsets(&input, &[(1, 1)]);
    log.admin().set_offsets(&world.name("new"), &of_a_new_group).expect("it has no members");
    let new = world.log().committed(&world.name("new"), &input);
    assert_eq!(new.into_iter().collect::<Vec<_>>(), [(1, 1)]);
}

fn a_group_is_reset_and_its_events_are_handled_again(mut world: Scenario) {
    let (handler, input, output) = handled(&mut world);
    let group = &handler.group;
    let mut host = world.start();
    eventually("the host works in the group", || {
        let ran = reset(&world, &[group, "--to", "earliest", "--yes"]);
        ran.code == 1 && ran.stderr.contains("has a member now")
    });
    let ran = reset(&world, &[group, "--to", "earliest", "--yes"]);
    let who = if world.kind == LogKind::Kafka { "client \"lockstep\"" } else { "host \"host-1\"" };
    ran.fails(1, &[group, who, "nothing was changed", "stop the hosts"]);
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 2)]);
    assert_eq!(host.terminate().0, 0, "{}", host.output());

    reset(&world, &[group, "--to", "earliest"]).fails(2, &["nothing was changed", "--yes"]);
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 2)], "there was nobody to ask");
    let shown = reset(&world, &[group, "--to", "earliest", "--yes"]);
    assert!(shown.stderr.contains("goes on there"), "{shown:?}");
    let shown = shown.ok();
    assert!(shown.contains("FROM") && shown.contains(&input) && shown.contains("-3"), "{shown}");
    assert_eq!(committed(&world, &handler), [(0, 0), (1, 0)]);
    let _host = world.start();
    world.settle(&handler);
    let twice = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"];
    assert_eq!(sorted_texts(&world.read(&output)), twice);
}

fn what_is_reset_is_shown_and_chosen(mut world: Scenario) {
    let (handler, input, _) = handled(&mut world);
    let group = &handler.group;
    let json = |args: &[&str]| {
        reset(&world, &[&[group.as_str(), "--output", "json"][..], args].concat()).json()
    };
    let change = |partition: i32, from: i64, to: i64| json!({ "topic": input, "partition": partition, "from": from, "to": to });
    assert_eq!(json(&["--to", "earliest", "--dry-run"]), json!([change(0, 3, 0), change(1, 2, 0)]));
    assert_eq!(json(&["--to", "latest", "--dry-run"]), json!([]), "it is there");
    let second = format!("{input}:1");
    let one = ["--topic", second.as_str(), "--to", "1", "--dry-run"];
    assert_eq!(json(&one), json!([change(1, 2, 1)]));
    let future = ["--to", "timestamp:2999-01-01T00:00:00Z", "--dry-run"];
    assert_eq!(json(&future), json!([]));
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 2)], "looking changes nothing");

    assert_eq!(json(&["--topic", &second, "--to", "1", "--yes"]), json!([change(1, 2, 1)]));
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 1)]);
    let past = json(&["--to", "timestamp:0", "--yes"]);
    assert_eq!(past, json!([change(0, 3, 0), change(1, 1, 0)]));
    let nothing = reset(&world, &[group, "--to", "earliest"]).ok();
    assert!(nothing.contains("nothing changes"), "{nothing}");
    // A group that does not exist yet begins where it is told.
    let new = world.name("new");
    reset(&world, &[&new, "--to", "2", "--topic", &input, "--yes"]).ok();
    let begun = world.log().committed(&new, &input);
    assert_eq!(begun.into_iter().collect::<Vec<_>>(), [(0, 2), (1, 2)]);
}

fn a_reset_of_what_is_not_there_is_refused_by_name(world: Scenario) {
    let (topic, group) = (world.topic("t", 1), world.name("nobody"));
    let missing = world.name("missing");
    reset(&world, &[&group, "--to", "earliest", "--yes"]).fails(3, &[&group]);
    let unknown = ["--to", "0", "--yes", "--topic"];
    reset(&world, &[&[group.as_str()], &unknown[..], &[&missing]].concat()).fails(3, &[&missing]);
    let partition = format!("{topic}:7");
    let ran = reset(&world, &[&[group.as_str()], &unknown[..], &[&partition]].concat());
    ran.fails(3, &[&topic, "no partition 7"]);
    for bad in ["yesterday", "-1", "timestamp:noon"] {
        reset(&world, &[&group, "--to", bad]).fails(2, &["--to"]);
    }
}

/// What closes the gap between looking for members and setting offsets.
#[test]
fn on_kafka_brokers_themselves_refuse_the_offsets_of_who_is_no_member() {
    let mut world = Scenario::new(LogKind::Kafka, "no-member");
    let (handler, input, _) = handled(&mut world);
    let outsider: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", world.broker().expect("this test is on Kafka"))
        .set("group.id", &handler.group)
        .create()
        .expect("the properties are right");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&input, 0, Offset::Offset(1)).expect("a partition");
    let log = seam::open(&world);
    let mut host = world.start();
    let members = || log.admin().members(&handler.group).expect("the broker answers");
    eventually("the group has a member", || members() == 1);
    let refused = outsider.commit(&offsets, CommitMode::Sync).map_err(|e| e.rdkafka_error_code());
    assert_eq!(refused, Err(Some(RDKafkaErrorCode::UnknownMemberId)));
    assert_eq!(committed(&world, &handler), [(0, 3), (1, 2)]);
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    outsider.commit(&offsets, CommitMode::Sync).expect("the group has no members");
    assert_eq!(committed(&world, &handler), [(0, 1), (1, 2)]);
}
