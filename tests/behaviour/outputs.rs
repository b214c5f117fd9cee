//! What becomes of events: order, provenance, fan-out, siblings.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_tests::event::{Has, With, event, sorted_texts, texts_by_partition};
use lockstep_tests::scenario::{Manifest, Scenario};

on_both_logs![
    outputs_keep_the_order_of_their_source_partition,
    an_output_says_which_handler_and_which_event_made_it,
    provenance_can_be_left_out,
    one_bad_event_never_aborts_its_siblings,
    a_handler_reads_several_topics_and_learns_where_an_event_stood,
    an_event_without_outputs_is_done,
    settings_reach_the_handler,
    workers_share_the_partitions,
    handlers_can_be_chained,
];

fn outputs_keep_the_order_of_their_source_partition(mut world: Scenario) {
    let (input, output) = (world.topic("in", 4), world.topic("out", 3));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let _host = world.start();
    // One key per partition: all outputs of a source partition meet in one output partition.
    for partition in 0..4 {
        let key = format!("key-{partition}");
        world.produce_to(
            partition,
            (0..500).map(|n| event(&input, format!("{partition}:{n}")).key(key.as_str())),
        );
    }
    world.settle(&handler);
    let outputs = world.read(&output);
    assert_eq!(outputs.len(), 2_000);
    let mut next = BTreeMap::new();
    for text in texts_by_partition(&outputs).into_values().flatten() {
        let (partition, number) = text.split_once(':').expect("partition:number");
        let expected = next.entry(partition.to_owned()).or_insert(0);
        assert_eq!(number, expected.to_string(), "partition {partition}");
        *expected += 1;
    }
}

fn an_output_says_which_handler_and_which_event_made_it(mut world: Scenario) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    // What an earlier handler wrote is replaced, wherever it stands.
    let forged = event(&input, "a").header("lockstep-handler", "forged@9").header("own", "1");
    world.produce_to(1, [event(&input, "zero"), forged]);
    let _host = world.start();
    world.settle(&handler);
    let outputs = world.read(&output);
    assert_eq!(sorted_texts(&outputs), ["a", "zero"]);
    for output in &outputs {
        let offset = i64::from(output.text() == "a");
        assert_eq!(output.last_header("lockstep-handler"), Some(format!("{}@1", handler.name)));
        assert_eq!(output.last_header("lockstep-source"), Some(format!("{input}/1/{offset}")));
        let of_host = output.event.headers.iter().filter(|h| h.name == "lockstep-handler");
        assert_eq!(of_host.count(), 1);
    }
}

fn provenance_can_be_left_out(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(
        Manifest::guest("identity").from(&[&input]).to(&[&output]).with("provenance = false"),
    );
    let _host = world.start();
    world.produce([event(&input, "plain").header("own", "1")]);
    let outputs = world.wait_for(&output, 1);
    let names: Vec<_> = outputs[0].event.headers.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["own"]);
}

fn one_bad_event_never_aborts_its_siblings(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(
        Manifest::guest("scripted")
            .from(&[&input])
            .to(&[&output])
            .with("limits.time = \"1s\"\nlimits.memory = \"8MiB\"\nlimits.output_events = 10"),
    );
    let bad = [
        (r#"{"do":"permanent","message":"no good"}"#, "permanent"),
        (r#"{"do":"trap"}"#, "trap"),
        (r#"{"do":"panic","message":"oh"}"#, "trap"),
        (r#"{"do":"loop"}"#, "deadline"),
        (r#"{"do":"sleep","ms":3600000}"#, "deadline"),
        (r#"{"do":"bomb"}"#, "memory"),
        (r#"{"do":"recurse"}"#, "stack"),
        (r#"{"do":"topic","topic":"elsewhere"}"#, "forbidden-topic"),
        (r#"{"do":"many","n":11}"#, "oversized-output"),
        (r#"{"do":"bad-header"}"#, "invalid-output"),
        (r#"{"do":"negative-timestamp"}"#, "invalid-output"),
    ];
    // Good and bad ones in turn, in one partition and written before the host starts, so that
    // they lie in the same batches.
    let events = bad.iter().enumerate().flat_map(|(n, (script, _))| {
        [event(&input, format!("before {n}")), event(&input, *script)]
    });
    world.produce(events.chain([event(&input, "last")]));
    let _host = world.start();
    world.settle(&handler);

    let good: Vec<_> =
        (0..bad.len()).map(|n| format!("before {n}")).chain(["last".into()]).collect();
    assert_eq!(texts_by_partition(&world.read(&output))[&0], good);
    let dead = world.read(&handler.dead_letters);
    let mut kinds: Vec<_> =
        dead.iter().map(|d| (d.text(), d.last_header("lockstep-failure"))).collect();
    kinds.sort();
    let mut expected: Vec<_> =
        bad.iter().map(|(script, kind)| ((*script).to_owned(), Some((*kind).to_owned()))).collect();
    expected.sort();
    assert_eq!(kinds, expected);
}

fn a_handler_reads_several_topics_and_learns_where_an_event_stood(mut world: Scenario) {
    let (one, two) = (world.topic("one", 1), world.topic("two", 3));
    let output = world.topic("out", 1);
    let handler = world.deploy(Manifest::guest("stamp").from(&[&one, &two]).to(&[&output]));
    world.produce_to(0, [event(&one, "first"), event(&one, "second")]);
    let mut third = event(&two, "third").key("k").header("a", "1").header("a", "2");
    third.timestamp_ms = Some(1_700_000_000_123);
    world.produce_to(2, [third]);
    let _host = world.start();
    world.settle(&handler);
    let outputs = world.read(&output);
    let seen: Vec<serde_json::Value> = outputs
        .iter()
        .map(|o| serde_json::from_str(&o.text()).expect("the guest writes JSON"))
        .collect();
    assert_eq!(seen.len(), 3);
    let of = |value: &str| seen.iter().find(|s| s["value"] == value).expect("each event is there");
    assert_eq!(of("second")["topic"], one);
    assert_eq!((&of("second")["partition"], &of("second")["offset"]), (&0.into(), &1.into()));
    let third = of("third");
    assert_eq!((&third["topic"], &third["source"]), (&two.clone().into(), &two.into()));
    assert_eq!((&third["partition"], &third["offset"]), (&2.into(), &0.into()));
    assert_eq!(third["timestamp_ms"], 1_700_000_000_123_i64);
    assert_eq!(third["key"], "k");
    assert_eq!(third["headers"], serde_json::json!([["a", "1"], ["a", "2"]]));
    // An output without a timestamp takes that of its input.
    let output = outputs.iter().find(|o| o.text().contains("third")).expect("it is there");
    assert_eq!(output.event.timestamp_ms, Some(1_700_000_000_123));
}

fn an_event_without_outputs_is_done(mut world: Scenario) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let handler = world.deploy(
        Manifest::example("filter")
            .from(&[&input])
            .to(&[&output])
            .with("[config]\nminimum = \"warn\""),
    );
    let _host = world.start();
    world.produce((0..50).map(|_| event(&input, r#"{"level":"debug"}"#)));
    world.settle(&handler);
    assert_eq!(world.read(&output), []);
    assert_eq!(world.read(&handler.dead_letters), []);
}

fn settings_reach_the_handler(mut world: Scenario) {
    let input = world.topic("in", 1);
    let levels = ["debug", "info", "warn", "error"];
    let mut deployed = Vec::new();
    for minimum in ["info", "error"] {
        let output = world.topic(minimum, 1);
        let manifest = Manifest::example("filter").from(&[&input]).to(&[&output]).with(&format!(
            "name = {:?}\n[config]\nminimum = {minimum:?}",
            world.name(&format!("filter-{minimum}"))
        ));
        deployed.push((world.deploy(manifest), output));
    }
    let _host = world.start();
    world.produce(levels.map(|level| event(&input, format!("{{\"level\":{level:?}}}"))));
    let passed = |index: usize| {
        let (handler, output) = &deployed[index];
        world.settle(handler);
        sorted_texts(&world.read(output))
    };
    assert_eq!(passed(0), [r#"{"level":"error"}"#, r#"{"level":"info"}"#, r#"{"level":"warn"}"#]);
    assert_eq!(passed(1), [r#"{"level":"error"}"#]);
}

fn workers_share_the_partitions(mut world: Scenario) {
    let (input, output) = (world.topic("in", 6), world.topic("out", 6));
    let handler = world
        .deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]).with("workers = 3"));
    let host = world.start();
    for partition in 0..6 {
        world.produce_to(partition, (0..200).map(|n| event(&input, format!("{partition}:{n}"))));
    }
    world.settle(&handler);
    let outputs = sorted_texts(&world.read(&output));
    assert_eq!(outputs.len(), 1_200);
    assert_eq!(outputs.iter().collect::<BTreeSet<_>>().len(), 1_200);
    let workers = host.handler(&handler.name)["workers"].clone();
    assert_eq!(workers.as_array().map(Vec::len), Some(3), "{workers}");
}

fn handlers_can_be_chained(mut world: Scenario) {
    let (input, middle) = (world.topic("in", 2), world.topic("middle", 2));
    let output = world.topic("out", 2);
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&middle]));
    let second = world.deploy(
        Manifest::guest("identity")
            .from(&[&middle])
            .to(&[&output])
            .with(&format!("name = {:?}", world.name("second"))),
    );
    let _host = world.start();
    world.produce((0..300).map(|n| event(&input, n.to_string())));
    let outputs = world.wait_for(&output, 300);
    world.settle(&second);
    assert_eq!(world.read(&output).len(), 300);
    // A reader of committed events steps over the marks of transactions.
    for event in &outputs {
        assert_eq!(event.last_header("lockstep-handler"), Some(format!("{}@1", second.name)));
        let source = event.last_header("lockstep-source").unwrap_or_default();
        assert!(source.starts_with(&format!("{middle}/")), "{source}");
    }
}
