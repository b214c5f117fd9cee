//! Compacted topics on the embedded log; on Kafka the brokers compact.

use lockstep_tests::event::{Has, With, event};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::eventually_ok;

#[test]
fn on_embedded_a_host_keeps_the_newest_event_of_each_key_of_a_compacted_topic() {
    let world = Scenario::new(LogKind::Embedded, "compacted");
    let compacted = world.topic_with("state", 1, &[("cleanup.policy", "compact")]);
    let plain = world.topic("plain", 1);
    for topic in [&compacted, &plain] {
        let value = |n: usize| event(topic, n.to_string()).key(format!("key-{}", n % 3));
        world.produce((0..30).map(value));
    }
    world.produce([event(&compacted, "without a key")]);
    let host = world.start();
    eventually_ok("the topic is compacted", || match world.read(&compacted) {
        left if left.len() == 4 => Ok(()),
        left => Err(format!("{} events are left", left.len())),
    });
    let left: Vec<_> = world.read(&compacted).iter().map(|e| (e.offset, e.text())).collect();
    let expected = [(27, "27"), (28, "28"), (29, "29"), (30, "without a key")];
    assert_eq!(left, expected.map(|(offset, text)| (offset, text.to_owned())));
    assert_eq!(world.read(&plain).len(), 30);
    assert!(!host.output().contains("have no effect"), "{}", host.output());
}
