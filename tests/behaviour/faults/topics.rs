//! Topics that others change while a host works on them.

use lockstep_tests::event::{event, sorted_texts};
use lockstep_tests::kafka::{self, record};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::eventually;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

/// New partitions are seen soon.
const ATTENTIVE: &str = "[kafka.consumer]\n\"topic.metadata.refresh.interval.ms\" = 500";

struct Changing {
    world: Scenario,
    broker: String,
    handler: Deployed,
    input: String,
    output: String,
}

fn changing(test: &str, manifest: &str) -> Changing {
    let mut world = Scenario::new(LogKind::Kafka, test);
    world.configure(ATTENTIVE);
    let broker = world.broker().expect("these are tests on Kafka").to_owned();
    let (input, output) = (world.topic("in", 2), world.topic("out", 2));
    let guest = Manifest::guest("identity").from(&[&input]).to(&[&output]);
    let handler = world.deploy(guest.with(manifest));
    Changing { world, broker, handler, input, output }
}

impl Changing {
    /// Writes these events, as soon as the client of the tests knows the partition.
    fn write(&self, partition: i32, texts: &[&str]) {
        for text in texts {
            let event = [(event(&self.input, *text), Some(partition))];
            eventually("it is written", || self.world.log().try_produce(&event).is_ok());
        }
    }

    fn results(&self) -> Vec<String> {
        sorted_texts(&self.world.read(&self.output))
    }
}

#[test]
fn on_kafka_a_topic_that_grows_is_handled_from_the_first_event_of_its_new_partitions() {
    let topic = changing("grows", "");
    let host = topic.world.start();
    topic.write(0, &["a"]);
    topic.world.wait_for(&topic.output, 1);
    kafka::grow_topic(&topic.broker, &topic.input, 4);
    eventually("the tests see it", || topic.world.log().partitions(&topic.input) == Some(4));
    for (partition, text) in [(0, "b"), (1, "c"), (2, "d"), (3, "e")] {
        topic.write(partition, &[text]);
    }
    topic.world.settle(&topic.handler);
    assert_eq!(topic.results(), ["a", "b", "c", "d", "e"], "{}", host.output());
}

#[test]
fn on_kafka_a_topic_that_is_deleted_and_made_again_is_handled_from_its_new_start() {
    let topic = changing("made-again", "");
    let host = topic.world.start();
    topic.write(0, &["a", "b", "c"]);
    topic.write(1, &["d"]);
    topic.world.settle(&topic.handler);
    kafka::delete_topic(&topic.broker, &topic.input);
    host.logged(&["WARN", &topic.input]);
    eventually("the host gives it up", || host.partitions().is_empty());
    topic.world.log().create_topic(&topic.input, 2, &[]);
    eventually("the tests see it", || topic.world.log().partitions(&topic.input) == Some(2));
    topic.write(0, &["e", "f", "g", "h", "i"]);
    topic.write(1, &["j", "k"]);
    topic.world.settle(&topic.handler);
    let all = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    assert_eq!(topic.results(), all, "{}", host.output());
}

/// What expired is gone; the manifest's `start` says where a group goes on whose place is gone.
#[test]
fn on_kafka_a_group_whose_offsets_have_expired_goes_on_where_the_manifest_says() {
    for (start, expected) in [("earliest", vec!["a", "d", "e"]), ("latest", vec!["a", "e"])] {
        let topic = changing(&format!("expired-{start}"), &format!("start = {start:?}"));
        let mut host = topic.world.start();
        eventually("it has both partitions", || host.partitions().len() == 2);
        topic.write(0, &["a"]);
        topic.world.settle(&topic.handler);
        assert_eq!(host.terminate().0, 0, "{}", host.output());
        topic.write(0, &["b", "c", "d"]);
        kafka::delete_records(&topic.broker, &topic.input, 0, 3);
        let host = topic.world.start();
        eventually("it has both partitions", || host.partitions().len() == 2);
        host.logged(&["WARN", &topic.input, "offset reset"]);
        // "Latest" is the end at the moment when the broker is asked.
        eventually("it goes on", || {
            topic.write(0, &["e"]);
            topic.results().contains(&"e".to_owned())
        });
        let mut results = topic.results();
        results.dedup();
        assert_eq!(results, expected, "{}", host.output());
    }
}

/// Somebody else's transaction on the output topic keeps readers waiting, and no host.
#[test]
fn on_kafka_an_open_transaction_on_the_output_keeps_readers_waiting_and_not_the_handler() {
    let topic = changing("open-output", "");
    let _host = topic.world.start();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &topic.broker)
        .set("transactional.id", topic.world.name("producer"))
        .create()
        .expect("the properties are right");
    let timeout = std::time::Duration::from_secs(20);
    producer.init_transactions(timeout).expect("the broker answers");
    producer.begin_transaction().expect("no transaction is open");
    for partition in 0..2 {
        let foreign = event(&topic.output, "foreign");
        producer.send(record(&foreign, Some(partition))).map_err(|(e, _)| e).expect("sent");
    }
    producer.flush(timeout).expect("the broker has the events");
    topic.write(0, &["a"]);
    topic.write(1, &["b"]);
    topic.world.settle(&topic.handler);
    assert_eq!(topic.results(), [""; 0], "nothing passes an open transaction");
    producer.abort_transaction(timeout).expect("aborted");
    eventually("both are there", || topic.results() == ["a", "b"]);
}
