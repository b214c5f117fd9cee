//! Exclusive writers: one at a time for each name, and all or nothing of what they write.

use std::time::Duration;

use lockstep::event::Event;
use lockstep::log::{Log, WriteError, Writer};
use lockstep_tests::event::{Has, With, event, sorted_texts};
use lockstep_tests::kafka::record;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::seam;
use rdkafka::ClientConfig;
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};

on_both_logs![
    a_second_writer_fences_the_first_and_nothing_of_it_is_visible,
    writers_of_other_names_do_not_meet,
    a_refused_event_takes_its_transaction_with_it,
    a_topic_that_is_missing_is_named_and_nothing_is_written,
    twenty_five_megabytes_are_one_transaction,
    of_many_who_write_at_once_each_has_seen_what_came_before,
];

fn writer(log: &dyn Log, name: &str) -> Box<dyn Writer> {
    log.writer(name).unwrap_or_else(|error| panic!("failed to open a writer: {error:#}"))
}

#[track_caller]
fn assert_fenced(written: Result<(), WriteError>) {
    assert!(matches!(written, Err(WriteError::Fenced)), "{written:?}");
}

#[track_caller]
fn assert_failed(written: Result<(), WriteError>, part: &str) {
    match written {
        Err(WriteError::Failed(error)) => {
            let text = format!("{error:#}");
            assert!(text.contains(part), "{part:?} is not said: {text}");
        }
        other => panic!("{other:?}"),
    }
}

fn a_second_writer_fences_the_first_and_nothing_of_it_is_visible(world: Scenario) {
    let topic = world.topic("t", 1);
    let (here, there) = (seam::open(&world), seam::open(&world));
    let mut first = writer(&*here, "registry");
    first.write(vec![event(&topic, "1"), event(&topic, "2")]).expect("nobody else writes");
    let mut second = writer(&*there, "registry");
    assert_fenced(first.write(vec![event(&topic, "fenced"), event(&topic, "fenced too")]));
    second.write(vec![event(&topic, "3")]).expect("it is the last one");
    assert_fenced(first.write(vec![event(&topic, "still fenced")]));
    let mut third = writer(&*here, "registry");
    third.write(vec![event(&topic, "4")]).expect("it is the last one");
    assert_fenced(second.write(vec![event(&topic, "fenced")]));
    third.write(vec![event(&topic, "5")]).expect("it is the last one");
    assert_eq!(sorted_texts(&world.read(&topic)), ["1", "2", "3", "4", "5"]);
}

fn writers_of_other_names_do_not_meet(world: Scenario) {
    let topic = world.topic("t", 1);
    let log = seam::open(&world);
    let (mut one, mut other) = (writer(&*log, "one"), writer(&*log, "other"));
    for round in 0..3 {
        one.write(vec![event(&topic, format!("one {round}"))]).expect("nobody fences it");
        other.write(vec![event(&topic, format!("other {round}"))]).expect("nobody fences it");
    }
    assert_eq!(world.read(&topic).len(), 6);
}

fn a_refused_event_takes_its_transaction_with_it(world: Scenario) {
    let good = world.topic("good", 1);
    let small = world.topic_with("small", 1, &[("max.message.bytes", "2000")]);
    let log = seam::open(&world);
    let mut writer = writer(&*log, "registry");
    let many =
        |kind: &str| (0..50).map(|n| event(&good, format!("{kind} {n}"))).collect::<Vec<_>>();
    let mut bad = many("refused");
    bad.push(event(&small, vec![b'x'; 5_000]));
    bad.extend(many("refused after it"));
    let refused = writer.write(bad);
    assert!(matches!(refused, Err(WriteError::Failed(_))), "{refused:?}");
    writer.write(many("good")).expect("the writer goes on");
    let texts = sorted_texts(&world.read(&good));
    assert_eq!(texts.len(), 50, "{texts:?}");
    assert!(texts.iter().all(|text| text.starts_with("good")), "{texts:?}");
    assert!(world.read(&small).is_empty());
}

fn a_topic_that_is_missing_is_named_and_nothing_is_written(world: Scenario) {
    let (topic, missing) = (world.topic("t", 1), world.name("missing"));
    let log = seam::open(&world);
    let mut writer = writer(&*log, "registry");
    assert_failed(writer.write(vec![event(&topic, "x"), event(&missing, "y")]), &missing);
    assert_eq!(world.log().partitions(&missing), None, "writing creates nothing");
    writer.write(vec![event(&topic, "z")]).expect("the writer goes on");
    assert_eq!(sorted_texts(&world.read(&topic)), ["z"]);
}

/// As large as a large component, in events as large as brokers take by default.
fn twenty_five_megabytes_are_one_transaction(world: Scenario) {
    const CHUNK: usize = 900 * 1024;
    let chunks = world.topic_with("chunks", 1, &[("cleanup.policy", "compact")]);
    let records = world.topic("records", 1);
    let log = seam::open(&world);
    let mut writer = writer(&*log, "registry");
    let chunk = |n: usize| -> Vec<u8> { (0..CHUNK).map(|i| (i * 31 + n) as u8).collect() };
    let number = 25 * 1024 * 1024 / CHUNK + 1;
    let keyed = |n: usize| event(&chunks, chunk(n)).key(format!("digest/{n}"));
    let mut events: Vec<Event> = (0..number).map(keyed).collect();
    events.push(event(&records, "active"));
    writer.write(events).expect("it is one transaction");
    assert_eq!(sorted_texts(&world.read(&records)), ["active"]);
    let read = world.read(&chunks);
    assert_eq!(read.len(), number);
    for (n, event) in read.iter().enumerate() {
        assert!(event.event.value.as_deref() == Some(&*chunk(n)), "chunk {n} is another one");
    }
    writer.write(vec![event(&records, "and again")]).expect("the writer goes on");
}

/// Each opens the writer, reads to the end, and writes the number that comes next.
fn of_many_who_write_at_once_each_has_seen_what_came_before(world: Scenario) {
    let topic = world.topic("t", 1);
    let increment = |log: &dyn Log| {
        let mut writer = writer(log, "registry");
        let next = world.read(&topic).len();
        match writer.write(vec![event(&topic, format!("{next:02}"))]) {
            Ok(()) => true,
            Err(WriteError::Fenced) => false,
            Err(WriteError::Failed(error)) => {
                // Fenced while it was committed: only the topic tells.
                assert!(format!("{error:#}").contains("it is unknown whether"), "{error:#}");
                false
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (world, increment) = (&world, &increment);
            scope.spawn(move || {
                let log = seam::open(world);
                let mut written = 0;
                for attempt in 1..100 {
                    written += usize::from(increment(&*log));
                    if written == 3 {
                        return;
                    }
                    // Who fences each other without a pause may do so for ever.
                    std::thread::sleep(Duration::from_millis(10 * number * attempt));
                }
                panic!("it was fenced again and again");
            });
        }
    });
    let texts: Vec<_> = world.read(&topic).iter().map(Has::text).collect();
    let expected: Vec<_> = (0..texts.len()).map(|n| format!("{n:02}")).collect();
    assert!(texts.len() >= 9, "{texts:?}");
    assert_eq!(texts, expected, "none was written by who had not seen the one before");
}

/// On the embedded log a transaction that was not committed is not there.
#[test]
fn on_kafka_what_a_killed_writer_left_open_is_never_visible_and_blocks_nobody() {
    let world = Scenario::new(LogKind::Kafka, "left-open");
    let topic = world.topic("t", 1);
    let timeout = Duration::from_secs(20);
    let killed: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", world.broker().expect("this test is on Kafka"))
        .set("transactional.id", format!("{}-writer-registry", world.cluster_id()))
        .set("transaction.timeout.ms", "600000")
        .create()
        .expect("the properties are right");
    killed.init_transactions(timeout).expect("the broker answers");
    killed.begin_transaction().expect("no transaction is open");
    let open = event(&topic, "left open");
    killed.send(record(&open, None)).map_err(|(error, _)| error).expect("sent");
    killed.flush(timeout).expect("the broker has the event");

    let log = seam::open(&world);
    writer(&*log, "registry").write(vec![event(&topic, "written")]).expect("it is the last one");
    assert_eq!(sorted_texts(&world.wait_for(&topic, 1)), ["written"]);
    assert!(killed.commit_transaction(timeout).is_err(), "it was fenced");
    assert_eq!(sorted_texts(&world.read(&topic)), ["written"]);
}
