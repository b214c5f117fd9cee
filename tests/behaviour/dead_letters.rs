//! Dead letters: what they keep, what they say, and what the log refuses.

use lockstep::event::Consumed;
use lockstep_tests::event::{Has, With, event, sorted_texts};
use lockstep_tests::scenario::{Manifest, Scenario};

on_both_logs![
    a_bad_event_becomes_one_dead_letter,
    a_dead_letter_keeps_the_event_byte_for_byte,
    the_dead_letter_topic_is_made_when_it_is_missing,
    an_output_larger_than_the_topic_takes_becomes_a_dead_letter_and_its_siblings_go_through,
    many_small_outputs_are_not_taken_for_a_large_one,
];

fn a_bad_event_becomes_one_dead_letter(mut world: Scenario) {
    let (input, output) = (world.topic("in", 3), world.topic("out", 3));
    let handler = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let _host = world.start();
    let bad = r#"{"do":"permanent","message":"the amount is missing"}"#;
    world.produce((0..100).map(|n| event(&input, format!("good {n}"))));
    world.produce_to(1, [event(&input, bad)]);
    world.settle(&handler);
    assert_eq!(world.read(&output).len(), 100);
    let dead = world.read(&handler.dead_letters);
    assert_eq!(sorted_texts(&dead), [bad]);
    let dead = &dead[0];
    let offset = world.read(&input).iter().find(|e| e.text() == bad).map(|e| e.offset);
    let source = format!("{input}/1/{}", offset.unwrap_or(-1));
    assert_eq!(dead.last_header("lockstep-handler"), Some(format!("{}@1", handler.name)));
    assert_eq!(dead.last_header("lockstep-source"), Some(source));
    assert_eq!(dead.last_header("lockstep-failure").as_deref(), Some("permanent"));
    assert_eq!(dead.last_header("lockstep-attempts").as_deref(), Some("1"));
    let message = dead.last_header("lockstep-failure-message").unwrap_or_default();
    assert!(message.contains("the amount is missing"), "{message}");
}

fn a_dead_letter_keeps_the_event_byte_for_byte(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("trap").from(&[&input]).to(&[&output]));
    let _host = world.start();
    let mut odd = event(&input, [0_u8, 255, 254, 10, 0])
        .key([0_u8, 0xc3, 0x28])
        .header("twice", "1")
        .header("empty", "")
        .null_header("null")
        .header("bytes", [0_u8, 159, 146, 150])
        .header("twice", "2");
    odd.timestamp_ms = Some(1_234_567_890_123);
    let mut tombstone = event(&input, "").key("gone");
    tombstone.value = None;
    let plain = event(&input, "");
    let events = [odd, tombstone, plain];
    world.produce(events.clone());
    let dead = world.wait_for(&handler.dead_letters, 3);
    for event in &events {
        let same = |d: &&Consumed| {
            d.event.key == event.key
                && d.event.value == event.value
                && d.event.headers.starts_with(&event.headers)
                && event.timestamp_ms.is_none_or(|ms| d.event.timestamp_ms == Some(ms))
        };
        let found = dead.iter().find(same).unwrap_or_else(|| panic!("{event:?} not in {dead:?}"));
        let added: Vec<_> =
            found.event.headers[event.headers.len()..].iter().map(|h| h.name.as_str()).collect();
        let expected = [
            "lockstep-handler",
            "lockstep-source",
            "lockstep-failure",
            "lockstep-failure-message",
            "lockstep-attempts",
        ];
        assert_eq!(added, expected);
    }
    assert_eq!(world.read(&output), []);
}

fn the_dead_letter_topic_is_made_when_it_is_missing(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let manifest = Manifest::guest("trap").from(&[&input]).to(&[&output]);
    let topic = world.name("bad-ones");
    let handler = world.deploy(manifest.with(&format!("dead_letter_topic = {topic:?}")));
    assert_eq!(world.log().partitions(&topic), None);
    let _host = world.start();
    world.produce([event(&input, "x")]);
    assert_eq!(sorted_texts(&world.wait_for(&handler.dead_letters, 1)), ["x"]);
}

fn an_output_larger_than_the_topic_takes_becomes_a_dead_letter_and_its_siblings_go_through(
    mut world: Scenario,
) {
    let input = world.topic("in", 2);
    let output = world.topic_with("out", 1, &[("max.message.bytes", "10000")]);
    let handler = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let large = r#"{"do":"huge","n":2000000}"#;
    let events = (0..40).map(|n| match n % 20 {
        7 => event(&input, large).header("n", n.to_string()),
        _ => event(&input, format!("good {n:02}")),
    });
    world.produce(events);
    let _host = world.start();
    world.settle(&handler);
    let outputs = world.read(&output);
    let good: Vec<_> = (0..40).filter(|n| n % 20 != 7).map(|n| format!("good {n:02}")).collect();
    assert_eq!(sorted_texts(&outputs), good);
    let dead = world.read(&handler.dead_letters);
    assert_eq!(sorted_texts(&dead), [large, large]);
    for dead in &dead {
        assert_eq!(dead.last_header("lockstep-failure").as_deref(), Some("rejected"));
    }
}

fn many_small_outputs_are_not_taken_for_a_large_one(mut world: Scenario) {
    let input = world.topic("in", 1);
    let output = world.topic_with("out", 1, &[("max.message.bytes", "10000")]);
    let handler = world.deploy(Manifest::guest("scripted").from(&[&input]).to(&[&output]));
    let value = "x".repeat(100);
    let many = format!(r#"{{"do":"emit","n":200,"value":"{value}"}}"#);
    world.produce(["before", &many, "after"].map(|script| event(&input, script)));
    let _host = world.start();
    world.settle(&handler);
    assert_eq!(world.read(&handler.dead_letters), []);
    let texts: Vec<_> = world.wait_for(&output, 202).iter().map(Has::text).collect();
    assert_eq!((texts.len(), &*texts[0], &*texts[201]), (202, "before", "after"));
    assert!(texts[1..201].iter().all(|text| *text == value));
}
