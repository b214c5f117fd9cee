//! What is not committed does not exist, and what Kafka can hold and the contract cannot.

use std::time::Duration;

use lockstep_tests::cli;
use lockstep_tests::event::{Has, event, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::kafka::record;
use lockstep_tests::log::LogKind;
use lockstep_tests::produce_request;
use lockstep_tests::scenario::{Manifest, Scenario};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;

const TIMEOUT: Duration = Duration::from_secs(20);

fn transactional(world: &Scenario) -> ThreadedProducer<DefaultProducerContext> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", world.broker().expect("these are tests on Kafka"))
        .set("transactional.id", world.name("producer"))
        .create()
        .expect("the properties are right");
    producer.init_transactions(TIMEOUT).expect("the broker answers");
    producer
}

/// The metadata of a group, of somebody who is no member.
fn group_metadata(world: &Scenario, group: &str) -> ConsumerGroupMetadata {
    let group: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", world.broker().expect("these are tests on Kafka"))
        .set("group.id", group)
        .create()
        .expect("the properties are right");
    group.group_metadata().expect("a consumer of a group has metadata")
}

// On the embedded log nothing of a transaction can be seen before its commit, by construction:
// it is one write transaction of SQLite. Its unit tests cover outcomes that are abandoned.
#[test]
fn on_kafka_events_of_aborted_transactions_are_never_handled() {
    let mut world = Scenario::new(LogKind::Kafka, "aborted");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let _host = world.start();
    let producer = transactional(&world);
    for round in 0..6 {
        producer.begin_transaction().expect("no transaction is open");
        for number in 0..20 {
            let kind = if round % 2 == 0 { "aborted" } else { "committed" };
            let event = event(&input, format!("{kind} {round} {number:02}"));
            producer.send(record(&event, None)).map_err(|(error, _)| error).expect("sent");
        }
        producer.flush(TIMEOUT).expect("the broker has the events");
        if round % 2 == 0 {
            producer.abort_transaction(TIMEOUT).expect("aborted");
        } else {
            producer.commit_transaction(TIMEOUT).expect("committed");
        }
    }
    world.wait_for(&output, 60);
    world.settle(&handler);
    let texts = sorted_texts(&world.read(&output));
    assert_eq!(texts.len(), 60);
    assert!(texts.iter().all(|text| text.starts_with("committed")), "{texts:?}");
}

/// As a broker leaves them behind that lost the end of a transaction.
#[test]
fn on_kafka_a_group_whose_offsets_are_undecided_says_so_and_goes_on_where_they_are_decided() {
    let mut world = Scenario::new(LogKind::Kafka, "undecided");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    world.produce(["before", "behind"].map(|text| event(&input, text)));
    let metadata = group_metadata(&world, &handler.group);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&input, 0, Offset::Offset(1)).expect("an offset");
    let producer = transactional(&world);
    producer.begin_transaction().expect("no transaction is open");
    producer.send_offsets_to_transaction(&offsets, &metadata, TIMEOUT).expect("sent");

    let host = world.start();
    host.logged(&["WARN", "neither committed nor aborted", &format!("{input}/0"), "find-hanging"]);
    assert_eq!(world.read(&output), [], "nobody knows yet what was handled");
    // As somebody does who wants to know why nothing goes on.
    let described = ["group", "describe", &handler.group, "--output", "json"];
    let described = cli::finish(cli::command(described).args(world.log_args()), b"").json();
    assert_eq!(described, json!([]), "nothing was committed before");
    producer.commit_transaction(TIMEOUT).expect("committed");
    let outputs: Vec<_> = world.wait_for(&output, 1).iter().map(Has::text).collect();
    world.settle(&handler);
    assert_eq!(outputs, ["behind"]);
}

/// librdkafka forgets the question when the assignment changes while it waits, and would begin at
/// the start of the topic.
#[test]
fn on_kafka_partitions_that_come_while_offsets_are_undecided_repeat_nothing() {
    let mut world = Scenario::new(LogKind::Kafka, "undecided-moves");
    let (input, output) = (world.topic("in", 4), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    for partition in 0..4 {
        let events = ["before", "behind"].map(|text| event(&input, text));
        world.produce_to(partition, events);
    }
    let (producer, metadata) = (transactional(&world), group_metadata(&world, &handler.group));
    producer.begin_transaction().expect("no transaction is open");
    let mut offsets = TopicPartitionList::new();
    for partition in 0..4 {
        offsets.add_partition_offset(&input, partition, Offset::Offset(1)).expect("an offset");
    }
    producer.send_offsets_to_transaction(&offsets, &metadata, TIMEOUT).expect("sent");
    let mut hosts: Vec<Host> = Vec::new();
    for id in ["host-1", "host-2", "host-3"] {
        let host = Host::start(&world.config(id));
        hosts.push(host);
        Host::wait_until_shared(&hosts.iter().collect::<Vec<_>>(), 4);
    }
    assert_eq!(world.read(&output), [], "nobody knows yet what was handled");
    producer.commit_transaction(TIMEOUT).expect("committed");
    world.settle(&handler);
    assert_eq!(sorted_texts(&world.read(&output)), ["behind"; 4]);
}

#[test]
fn on_kafka_an_open_transaction_is_waited_for_and_then_handled() {
    let mut world = Scenario::new(LogKind::Kafka, "open");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let _host = world.start();
    let producer = transactional(&world);
    producer.begin_transaction().expect("no transaction is open");
    let early = event(&input, "in the transaction");
    producer.send(record(&early, None)).map_err(|(error, _)| error).expect("sent");
    producer.flush(TIMEOUT).expect("the broker has the event");
    world.produce([event(&input, "behind it")]);
    assert_eq!(world.read(&output), [], "nothing passes an open transaction");
    producer.commit_transaction(TIMEOUT).expect("committed");
    let outputs: Vec<_> = world.wait_for(&output, 2).iter().map(Has::text).collect();
    assert_eq!(outputs, ["in the transaction", "behind it"]);
}

/// Kafka does not look at header names; the contract says that they are text.
#[test]
fn on_kafka_a_header_name_that_is_not_utf_8_stops_nobody() {
    let mut world = Scenario::new(LogKind::Kafka, "header-name");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    world.produce([event(&input, "before")]);
    let broker = world.broker().expect("this is a test on Kafka").to_owned();
    produce_request::send(&broker, &input, b"odd", (b"\xff\xfename", b"value"));
    world.produce([event(&input, "after")]);
    let host = world.start();
    eventually_through(&world, &handler.group, &input, 3);
    let mut results = world.read(&output);
    results.extend(world.read(&handler.dead_letters));
    assert_eq!(sorted_texts(&results), ["after", "before", "odd"], "{}", host.output());
}

/// The source cannot be read by the client library of the tests, which wants UTF-8, too.
fn eventually_through(world: &Scenario, group: &str, topic: &str, offset: i64) {
    lockstep_tests::wait::eventually("the handler is through", || {
        world.log().committed(group, topic).get(&0).is_some_and(|next| *next >= offset)
    });
}
