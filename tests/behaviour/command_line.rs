//! The command line on both logs: results on stdout, reasons on stderr, codes that scripts read.

use lockstep::event::Header;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{Has, With, event, sorted_texts};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;
use serde_json::{Value, json};

on_both_logs![
    topics_are_created_listed_and_described,
    an_event_is_produced_and_consumed_with_everything_it_has,
    lines_of_standard_input_are_events,
    consuming_begins_and_ends_where_it_is_told,
    bytes_that_are_not_text_survive_json,
    groups_are_listed_and_described,
    what_does_not_exist_is_named_and_exits_with_3,
    commands_work_while_a_host_runs,
    following_a_topic_ends_with_a_signal,
];

/// `lockstep ARGS…` on the log of the scenario.
#[track_caller]
fn lockstep(world: &Scenario, args: &[&str]) -> Ran {
    let log = world.log_args();
    let args = args.iter().copied().chain(log.iter().map(String::as_str));
    cli::run(world.directory(), args)
}

fn topics_are_created_listed_and_described(world: Scenario) {
    let name = world.name("made");
    let create = ["topic", "create", &name, "--partitions", "4", "--set", "retention.ms=3600000"];
    lockstep(&world, &create).ok();
    assert_eq!(world.log().partitions(&name), Some(4));
    lockstep(&world, &create).ok();

    let list = lockstep(&world, &["topic", "list", "--output", "json"]).json();
    let line = list.as_array().into_iter().flatten().find(|t| t["name"] == name).cloned();
    assert_eq!(line.map(|t| t["partitions"].clone()), Some(json!(4)), "{list}");
    let text = lockstep(&world, &["topic", "list"]).ok();
    assert!(text.contains(&name), "{text}");

    world.produce_to(2, [event(&name, "x")]);
    let topic = lockstep(&world, &["topic", "describe", &name, "--output", "json"]).json();
    assert_eq!(topic["name"], name);
    assert_eq!(topic["partitions"][2], json!({ "partition": 2, "start": 0, "end": 1 }));
    assert_eq!(topic["settings"]["retention.ms"], "3600000");
}

fn an_event_is_produced_and_consumed_with_everything_it_has(world: Scenario) {
    let topic = world.topic("t", 3);
    let produce = ["produce", &topic, "--key", "k", "--header", "a=1", "--header", "a=2=3"];
    let at = ["--partition", "1", "--value", "{\"n\":1}", "--output", "json"];
    let answer = lockstep(&world, &[&produce[..], &at[..]].concat()).json();
    assert_eq!(answer, json!({ "topic": topic, "partition": 1, "offset": 0 }));
    lockstep(&world, &["produce", &topic, "--key", "k", "--partition", "1", "--tombstone"]).ok();

    let stored = world.read(&topic);
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].event.headers, [Header::text("a", "1"), Header::text("a", "2=3")]);
    let lines = lockstep(&world, &["consume", &topic, "--output", "json"]).json_lines();
    let [first, second] = lines.as_slice() else { panic!("two events: {lines:?}") };
    assert_eq!((&first["topic"], &first["partition"]), (&json!(topic), &json!(1)));
    assert_eq!((&first["offset"], &first["key"]), (&json!(0), &json!("k")));
    assert_eq!(first["value"], "{\"n\":1}");
    let headers = json!([{ "name": "a", "value": "1" }, { "name": "a", "value": "2=3" }]);
    assert_eq!(first["headers"], headers);
    assert!(first["timestamp_ms"].as_i64().is_some_and(|ms| ms > 1_700_000_000_000), "{first}");
    assert_eq!((&second["key"], &second["value"]), (&json!("k"), &Value::Null));
    let text = lockstep(&world, &["consume", &topic]).ok();
    assert!(text.contains("{\"n\":1}"), "{text}");
}

fn lines_of_standard_input_are_events(world: Scenario) {
    let topic = world.topic("t", 1);
    let log = world.log_args();
    let args = ["produce", &topic, "--output", "json"].into_iter();
    let mut command = cli::command(args.chain(log.iter().map(String::as_str)));
    let ran = cli::finish(&mut command, b"first\n\nthird, without an end");
    let offsets: Vec<_> = ran.json_lines().iter().map(|line| line["offset"].clone()).collect();
    assert_eq!(offsets, [json!(0), json!(1), json!(2)]);
    let texts: Vec<_> = world.read(&topic).iter().map(Has::text).collect();
    assert_eq!(texts, ["first", "", "third, without an end"]);
}

fn consuming_begins_and_ends_where_it_is_told(world: Scenario) {
    let topic = world.topic("t", 1);
    let stamped = |n: i64| {
        let mut event = event(&topic, format!("{n}"));
        event.timestamp_ms = Some(1_700_000_000_000 + n * 1_000);
        event
    };
    world.produce((0..10).map(stamped));
    let values = |args: &[&str]| -> Vec<String> {
        let args = [&["consume", &topic, "--output", "json"], args].concat();
        let lines = lockstep(&world, &args).json_lines();
        lines.iter().map(|line| line["value"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&["--max", "2"]), ["0", "1"]);
    assert_eq!(values(&["--from", "7"]), ["7", "8", "9"]);
    assert_eq!(values(&["--from", "latest"]), Vec::<String>::new());
    assert_eq!(values(&["--from", "@1700000008000"]), ["8", "9"]);
    assert_eq!(values(&["--from", "@2023-11-14T22:13:29Z"]), ["9"]);
}

fn bytes_that_are_not_text_survive_json(world: Scenario) {
    let topic = world.topic("t", 1);
    let odd = event(&topic, [0xff, 0xfe]).key([0x80]).header("h", [0xc3]).null_header("n");
    world.produce([odd]);
    let lines = lockstep(&world, &["consume", &topic, "--output", "json"]).json_lines();
    assert_eq!(lines[0]["value"], json!({ "base64": "//4=" }));
    assert_eq!(lines[0]["key"], json!({ "base64": "gA==" }));
    let headers = [
        json!({ "name": "h", "value": { "base64": "ww==" } }),
        json!({ "name": "n", "value": null }),
    ];
    assert_eq!(lines[0]["headers"], json!(headers));
}

fn groups_are_listed_and_described(mut world: Scenario) {
    let (input, output) = (world.topic("in", 2), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    world.produce_to(0, (0..3).map(|n| event(&input, n.to_string())));
    let mut host = world.start();
    world.settle(&handler);
    host.terminate();
    world.produce_to(0, [event(&input, "later")]);
    let groups = lockstep(&world, &["group", "list", "--output", "json"]).json();
    assert!(groups.as_array().is_some_and(|g| g.contains(&json!(handler.group))), "{groups}");
    let group = lockstep(&world, &["group", "describe", &handler.group, "--output", "json"]).json();
    let first = group.as_array().into_iter().flatten().find(|p| p["partition"] == 0).cloned();
    let expected = json!({ "topic": input, "partition": 0, "committed": 3, "end": 4, "lag": 1 });
    assert_eq!(first, Some(expected), "{group}");
}

fn what_does_not_exist_is_named_and_exits_with_3(world: Scenario) {
    world.topic("t", 1);
    let name = world.name("nowhere");
    for args in [
        vec!["topic", "describe", &name],
        vec!["produce", &name, "--value", "x"],
        vec!["consume", &name],
        vec!["group", "describe", &name],
    ] {
        lockstep(&world, &args).fails(3, &[&name]);
    }
    assert_eq!(world.log().partitions(&name), None, "asking creates nothing");
}

fn commands_work_while_a_host_runs(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let _host = world.start();
    lockstep(&world, &["produce", &input, "--value", "from outside"]).ok();
    eventually("the output can be consumed", || {
        let consumed = lockstep(&world, &["consume", &output, "--max", "1", "--output", "json"]);
        consumed.json_lines().iter().any(|line| line["value"] == "from outside")
    });
    world.settle(&handler);
    lockstep(&world, &["group", "describe", &handler.group]).ok();
    lockstep(&world, &["topic", "create", &world.name("more")]).ok();
    assert_eq!(sorted_texts(&world.read(&output)), ["from outside"]);
}

fn following_a_topic_ends_with_a_signal(world: Scenario) {
    let topic = world.topic("t", 1);
    let log = world.log_args();
    let args = ["consume", topic.as_str(), "--follow"].into_iter();
    let mut command = cli::command(args.chain(log.iter().map(String::as_str)));
    let mut follower = lockstep_tests::process::Process::start("lockstep consume", &mut command);
    for value in ["one", "two"] {
        world.produce([event(&topic, value)]);
        let deadline = lockstep_tests::wait::DEADLINE;
        let shown = follower.find_line(deadline, |line| line.contains(value).then_some(()));
        assert!(shown.is_some(), "{}", follower.output());
    }
    follower.signal(rustix::process::Signal::INT);
    let status = follower.wait(std::time::Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "{}", follower.output());
}

#[test]
fn on_embedded_a_log_that_is_not_there_is_an_error_that_says_how_to_make_one() {
    let world = Scenario::new(LogKind::Embedded, "no-log");
    let ran = lockstep(&world, &["topic", "list"]);
    ran.fails(4, &["data", "lockstep dev"]);
    assert!(!world.data_dir().exists(), "asking creates nothing");
    // Without a word about the log it is ./lockstep-data, whatever lockstep.toml says.
    let ran = cli::run(world.directory(), ["topic", "list"]);
    ran.fails(4, &["lockstep-data"]);
}

#[test]
fn on_kafka_a_broker_that_does_not_answer_exits_with_4() {
    // Bound and never accepting: nobody answers there, and nobody else can take the port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound listener has an address").to_string();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let ran = cli::run(directory.path(), ["topic", "list", "--brokers", &address]);
    ran.fails(4, &[&address]);
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let run = |args: &[&str]| cli::run(directory.path(), args);
    for args in [&["dance"][..], &["run"], &["topic"], &["consume", "t", "--from", "x"]] {
        assert_eq!(run(args).code, 2, "{args:?}");
    }
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["completions", "bash"]] {
        assert!(!run(args).ok().is_empty(), "{args:?}");
    }
}
