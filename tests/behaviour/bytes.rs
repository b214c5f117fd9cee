//! Events go through byte for byte: nulls, tombstones, odd headers, empty and large values.

use lockstep::event::Event;
use lockstep_tests::event::{With, event};
use lockstep_tests::scenario::{Manifest, Scenario};

on_both_logs![
    keys_values_and_headers_go_through_byte_for_byte,
    a_tombstone_stays_a_tombstone_and_no_key_stays_no_key,
    values_of_0_bytes_and_of_1_mib_go_through,
    a_header_without_a_value_reaches_the_handler_as_an_empty_one,
];

/// What came out, without what the host adds.
fn through(
    world: &mut Scenario,
    settings: &[(&str, &str)],
    make: Make,
) -> (Vec<Event>, Vec<Event>) {
    let input = world.topic_with("in", 1, settings);
    let output = world.topic_with("out", 1, settings);
    world.deploy(
        Manifest::guest("identity").from(&[&input]).to(&[&output]).with("provenance = false"),
    );
    let events = make(&input);
    world.produce(events.clone());
    let _host = world.start();
    let outputs = world.wait_for(&output, events.len());
    let outputs = outputs.into_iter().map(|o| Event { topic: input.as_str().into(), ..o.event });
    (events, outputs.collect())
}

type Make = fn(&str) -> Vec<Event>;

fn keys_values_and_headers_go_through_byte_for_byte(mut world: Scenario) {
    let (events, outputs) = through(&mut world, &[], |topic| {
        let odd = event(topic, (0..=255).collect::<Vec<u8>>())
            .key([0_u8, 0xff, 0xfe])
            .header("again", "1")
            .header("", "a header without a name")
            .header("again", "2")
            .header("größe", "Umlaute ✓")
            .header("bytes", [0_u8, 0xc3, 0x28])
            .header("again", "1");
        vec![Event { timestamp_ms: Some(1_600_000_000_001), ..odd }]
    });
    assert_eq!(outputs, events);
}

fn a_tombstone_stays_a_tombstone_and_no_key_stays_no_key(mut world: Scenario) {
    let (events, outputs) = through(&mut world, &[], |topic| {
        let stamped = |event: Event, ms| Event { timestamp_ms: Some(ms), ..event };
        vec![
            stamped(Event { value: None, ..event(topic, "").key("gone") }, 1),
            stamped(Event { value: None, ..event(topic, "") }, 2),
            stamped(event(topic, "").key(""), 3),
            stamped(event(topic, ""), 4),
        ]
    });
    assert_eq!(outputs, events);
}

fn values_of_0_bytes_and_of_1_mib_go_through(mut world: Scenario) {
    let larger = [("max.message.bytes", "3000000")];
    let (events, outputs) = through(&mut world, &larger, |topic| {
        let noise = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
        let large = Event { timestamp_ms: Some(1), ..event(topic, noise.collect::<Vec<_>>()) };
        vec![large, Event { timestamp_ms: Some(2), ..event(topic, "") }]
    });
    assert!(outputs == events, "sizes {:?}", outputs.iter().map(Event::size).collect::<Vec<_>>());
}

/// The contract has no headers without a value; a handler that echoes one writes an empty one.
fn a_header_without_a_value_reaches_the_handler_as_an_empty_one(mut world: Scenario) {
    let (_, outputs) =
        through(&mut world, &[], |topic| vec![event(topic, "x").null_header("null")]);
    let header = &outputs[0].headers[0];
    assert_eq!((header.name.as_str(), header.value.as_deref()), ("null", Some(&b""[..])));
}
