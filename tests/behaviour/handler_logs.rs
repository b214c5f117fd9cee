//! What handlers write and what hosts say about them, through the log to whoever asks.

use std::time::{Duration, Instant};

use lockstep_tests::broker::Broker;
use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::event;
use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::{Process, code};
use lockstep_tests::scenario::{Deployed, Manifest, Scenario};
use lockstep_tests::wait::{DEADLINE, eventually, eventually_ok};
use rustix::process::Signal;
use serde_json::{Value, json};

on_both_logs![
    a_line_of_a_guest_arrives_with_its_host_and_its_revision,
    what_the_host_says_about_a_handler_arrives_too,
    what_becomes_of_a_deployment_is_told_too,
    lines_are_selected_by_number_time_host_and_revision,
    a_line_written_later_is_followed,
    a_flood_loses_lines_says_how_many_and_slows_nothing,
    a_record_that_cannot_be_used_is_named_and_skipped,
    no_line_of_a_guest_looks_like_another_record,
    a_host_that_is_told_so_ships_nothing,
    an_unknown_handler_is_answered_with_those_there_are,
    logs_are_read_and_followed_over_http,
];

/// `lockstep handler logs ARGS…` on the log of the scenario.
fn command(world: &Scenario, args: &[&str]) -> std::process::Command {
    let mut command = cli::command(["handler", "logs"]);
    command.args(args).args(world.log_args()).args(["--cluster-id", world.cluster_id()]);
    command.current_dir(world.directory());
    command
}

#[track_caller]
fn logs(world: &Scenario, args: &[&str]) -> Ran {
    cli::finish(&mut command(world, args), b"")
}

/// The lines as programs get them, without those that are told in the middle of a start or a stop.
#[track_caller]
fn lines(world: &Scenario, args: &[&str]) -> Vec<Value> {
    logs(world, &[args, &["--output", "json"]].concat()).json_lines()
}

/// Waits until so many lines hold this text, and gives them. A host that was just started may not
/// have been heard of, and then nobody knows the handler.
#[track_caller]
fn wait_for(world: &Scenario, args: &[&str], text: &str, count: usize) -> Vec<Value> {
    eventually_ok(&format!("{count} lines with {text:?}"), || {
        let ran = logs(world, &[args, &["--output", "json"]].concat());
        if ran.code == 3 {
            return Err(ran.stderr);
        }
        let all = ran.json_lines();
        let mut with = all.clone();
        with.retain(|line| body(line).contains(text));
        if with.len() >= count { Ok(with) } else { Err(format!("{all:#?}")) }
    })
}

fn body(line: &Value) -> &str {
    line["body"].as_str().unwrap_or_default()
}

fn bodies(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(body).collect()
}

fn print(text: &str) -> String {
    json!({"do": "print", "text": text}).to_string()
}

/// A world with a handler that does what its events say.
fn scripted(world: &mut Scenario, partitions: u32, more: &str) -> (String, Deployed) {
    let (input, output) = (world.topic("in", partitions), world.topic("out", 1));
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest.with(more));
    (input, handler)
}

fn a_line_of_a_guest_arrives_with_its_host_and_its_revision(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let _host = world.start();
    let texts: Vec<_> = (0..20).map(|n| format!("line {n}")).collect();
    world.produce_to(0, texts.iter().map(|text| event(&input, print(text))));
    let lines = wait_for(&world, &[&handler.name], "line ", 20);
    assert_eq!(bodies(&lines), texts);
    for line in &lines {
        let told = (&line["host"], &line["handler"], &line["revision"], &line["severity"]);
        let expected = (&json!("host-1"), &json!(handler.name), &json!(1), &json!("INFO"));
        assert_eq!(told, expected, "{line}");
        assert_eq!(line["attributes"]["log.iostream"], "stdout", "{line}");
    }
    let text = logs(&world, &[&handler.name, "--tail", "1"]).ok();
    let expected = format!("Z host-1 {}@1 INFO  line 19\n", handler.name);
    assert!(text.ends_with(&expected), "{text}");
    // In the topic they are log records of OpenTelemetry, under the handler's name.
    let topic = format!("_lockstep.{}.logs", world.cluster_id());
    let record = world.read(&topic).pop().expect("lines are there");
    assert_eq!(record.event.key.as_deref(), Some(handler.name.as_bytes()));
    let record =
        String::from_utf8_lossy(record.event.value.as_deref().unwrap_or_default()).into_owned();
    for part in ["timeUnixNano", "severityNumber", "lockstep.host", "log.iostream"] {
        assert!(record.contains(part), "{part:?} is not in {record}");
    }
}

#[test]
fn on_kafka_lines_of_two_hosts_arrive_each_in_its_order() {
    let mut world = Scenario::new(LogKind::Kafka, "logs-of-two-hosts");
    let (input, handler) = scripted(&mut world, 2, "");
    let hosts = [world.start_as("host-1"), world.start_as("host-2")];
    Host::wait_until_shared(&[&hosts[0], &hosts[1]], 2);
    for partition in 0..2 {
        let texts = (0..20).map(|n| event(&input, print(&format!("p{partition} line {n:02}"))));
        world.produce_to(partition, texts);
    }
    let lines = wait_for(&world, &[&handler.name], " line ", 40);
    assert_eq!(lines.len(), 40);
    let mut hosts = Vec::new();
    for partition in 0..2 {
        let mut own = lines.clone();
        own.retain(|line| body(line).starts_with(&format!("p{partition}")));
        let expected: Vec<_> = (0..20).map(|n| format!("p{partition} line {n:02}")).collect();
        assert_eq!(bodies(&own), expected);
        assert!(own.iter().all(|line| line["host"] == own[0]["host"]), "{own:#?}");
        hosts.push(own[0]["host"].clone());
    }
    hosts.sort_by_key(Value::to_string);
    assert_eq!(hosts, ["host-1", "host-2"]);
    let one = wait_for(&world, &[&handler.name, "--host", "host-2"], " line ", 20);
    assert!(one.len() == 20 && one.iter().all(|line| line["host"] == "host-2"), "{one:#?}");
}

fn what_the_host_says_about_a_handler_arrives_too(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let mut host = world.start();
    let bad = r#"{"do":"permanent","message":"the amount is missing\nand more"}"#;
    world.produce_to(0, [event(&input, bad), event(&input, r#"{"do":"panic","message":"oh no"}"#)]);
    let dead = wait_for(&world, &[&handler.name], "the amount is missing", 1);
    assert_eq!(dead[0]["severity"], "WARN", "{dead:#?}");
    assert_eq!((&dead[0]["revision"], &dead[0]["host"]), (&json!(1), &json!("host-1")));
    assert!(body(&dead[0]).contains(&format!("{input}/0/0")), "{dead:#?}");
    wait_for(&world, &[&handler.name], "oh no", 1);
    wait_for(&world, &[&handler.name], "revision activated", 1);
    // Its last words are heard after its end.
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    wait_for(&world, &[&handler.name], "worker stopped", 1);
}

fn what_becomes_of_a_deployment_is_told_too(world: Scenario) {
    let mut fleet = Fleet::new(world, 1);
    // A handler of the host's own goes first.
    let own = fleet.world.name("own");
    let manifest = Manifest::guest("identity").from(&[&fleet.input]).to(&[&fleet.output]);
    fleet.world.deploy(manifest.with(&format!("name = {own:?}")));
    let _host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.run(&["handler", "pause", &fleet.name]).ok();
    wait_for(&fleet.world, &[&fleet.name], "paused", 1);
    fleet.run(&["handler", "resume", &fleet.name]).ok();
    wait_for(&fleet.world, &[&fleet.name, "--revision", "1"], "revision activated", 2);
    fleet.name = own;
    fleet.manifest("");
    fleet.deploy("stamp", &[]).fails(1, &["host-1", "taken back"]);
    let said = wait_for(&fleet.world, &[&fleet.name], "cannot run here", 1);
    assert_eq!((&said[0]["severity"], &said[0]["host"]), (&json!("WARN"), &json!("host-1")));
}

fn lines_are_selected_by_number_time_host_and_revision(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "limits = { log_lines_per_second = 1000 }");
    let _host = world.start();
    world.produce_to(0, (0..150).map(|n| event(&input, print(&format!("early {n}")))));
    wait_for(&world, &[&handler.name, "--tail", "1000"], "early ", 150);
    let name = handler.name.as_str();
    assert_eq!(lines(&world, &[name]).len(), 100, "the default");
    assert_eq!(bodies(&lines(&world, &[name, "--tail", "2"])), ["early 148", "early 149"]);
    assert_eq!(bodies(&lines(&world, &[name, "--max", "1"])), ["early 149"]);
    assert_eq!(lines(&world, &[name, "--tail", "0"]), Vec::<Value>::new());
    let last = lines(&world, &[name, "--tail", "1"])[0]["time"].clone();
    let last = last.as_str().unwrap_or_default();
    // Times have milliseconds, and a line later than this one comes in another.
    eventually("the clock goes on", || {
        lockstep::moment::rfc3339(lockstep::event::now_ms()).as_str() > last
    });
    let since = lockstep::moment::rfc3339(lockstep::event::now_ms());
    world.produce_to(0, [event(&input, print("late"))]);
    wait_for(&world, &[name], "late", 1);
    assert_eq!(bodies(&lines(&world, &[name, "--since", &since])), ["late"]);
    assert_eq!(bodies(&lines(&world, &[name, "--since", &since, "--tail", "5"])), ["late"]);
    assert!(lines(&world, &[name, "--since", "10m"]).len() > 150, "all of them");
    assert_eq!(lines(&world, &[name, "--host", "host-9"]), Vec::<Value>::new());
    assert_eq!(lines(&world, &[name, "--revision", "2"]), Vec::<Value>::new());
    assert_eq!(bodies(&lines(&world, &[name, "--revision", "1", "-n", "1"])), ["late"]);
    logs(&world, &[name, "--since", "soon"]).fails(2, &["an age such as 10m"]);
}

fn a_line_written_later_is_followed(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let _host = world.start();
    world.produce_to(0, [event(&input, print("before"))]);
    wait_for(&world, &[&handler.name], "before", 1);
    let args = [handler.name.as_str(), "--follow", "--tail", "1"];
    let mut follower = Process::start("handler logs", &mut command(&world, &args));
    let seen = |text: &str| {
        let found = follower.find_line(DEADLINE, |line| line.contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} is not followed\n{}", follower.output());
    };
    seen("before");
    world.produce_to(0, [event(&input, print("after"))]);
    seen("after");
    follower.signal(Signal::INT);
    assert_eq!(code(follower.wait(DEADLINE)), 0, "{}", follower.output());
    // `| head -n 1` ends it too, although nothing more is written.
    let mut head = command(&world, &args);
    let mut head = head.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let stdout = head.stdout.take().expect("it is piped");
    let mut stdout = std::io::BufReader::new(stdout);
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
    assert!(line.contains("after"), "{line}");
    drop(stdout);
    let mut status = None;
    eventually("it notices that nobody reads", || {
        status = head.try_wait().expect("the child is ours");
        status.is_some()
    });
    assert_eq!(status.map(code), Some(0));
}

fn a_flood_loses_lines_says_how_many_and_slows_nothing(mut world: Scenario) {
    let (bad_in, good_in) = (world.topic("bad-in", 1), world.topic("good-in", 1));
    let (bad_out, good_out) = (world.topic("bad-out", 1), world.topic("good-out", 1));
    let flood = Manifest::guest("flood-stdout").from(&[&bad_in]).to(&[&bad_out]);
    // More in a second than the host keeps for the log.
    let flood = world.deploy(flood.with(
        "limits.time = \"20s\"\nlimits.log_lines_per_second = 1000000\n\
         limits.log_line_bytes = \"200B\"",
    ));
    world.deploy(Manifest::guest("identity").from(&[&good_in]).to(&[&good_out]));
    let host = world.start();
    world.produce_to(0, (0..5).map(|n| event(&bad_in, format!("{n}"))));
    world.produce_to(0, (0..100).map(|n| event(&good_in, format!("{n}"))));
    let begun = Instant::now();
    world.wait_for(&good_out, 100);
    let good = begun.elapsed();
    world.wait_for(&bad_out, 5);
    assert!(good < Duration::from_secs(20), "the neighbour took {good:?}\n{}", host.output());
    world.settle(&flood);
    let written = 5 * 2 * 20_000;
    eventually_ok("all lines are there or counted", || {
        let all = lines(&world, &[&flood.name, "--tail", "1000000"]);
        let there = all.iter().filter(|line| body(line).starts_with("line ")).count() as u64;
        let lost: Vec<_> = all.iter().filter(|line| body(line).starts_with("lines lost")).collect();
        let lost: u64 =
            lost.iter().filter_map(|line| line["attributes"]["lockstep.dropped"].as_u64()).sum();
        if lost > 0 && there > 0 && there + lost >= written {
            Ok(())
        } else {
            Err(format!("{there} there and {lost} lost of {written}"))
        }
    });
}

fn a_record_that_cannot_be_used_is_named_and_skipped(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let _host = world.start();
    world.produce_to(0, [event(&input, print("whole"))]);
    wait_for(&world, &[&handler.name], "whole", 1);
    let topic = format!("_lockstep.{}.logs", world.cluster_id());
    for bad in ["{\"v\":1,", "{\"v\":7,\"body\":\"later\"}"] {
        let mut record = event(&topic, bad);
        record.key = Some(handler.name.as_bytes().to_vec());
        world.produce_to(0, [record]);
    }
    world.produce_to(0, [event(&input, print("after it"))]);
    wait_for(&world, &[&handler.name], "after it", 1);
    let ran = logs(&world, &[&handler.name]);
    let said = ran.stderr.clone();
    let shown = ran.ok();
    assert!(shown.contains("whole") && shown.contains("after it"), "{shown}");
    for part in [&format!("{topic}/0/"), "is damaged", "has version 7"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

fn no_line_of_a_guest_looks_like_another_record(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let _host = world.start();
    let forged = "x\n2026-01-31T12:00:00.250Z host-9 other@9 ERROR forged\r\u{1b}[2J";
    let bad = json!({"do": "permanent", "message": forged}).to_string();
    world.produce_to(0, [event(&input, print(forged)), event(&input, bad)]);
    world.produce_to(0, [event(&input, print("last"))]);
    wait_for(&world, &[&handler.name], "last", 1);
    let shown = logs(&world, &[&handler.name]).ok();
    assert!(shown.contains("forged"), "{shown}");
    assert!(!shown.lines().any(|line| line.starts_with("2026-01-31")), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\r']), "{shown:?}");
    let all = lines(&world, &[]);
    assert!(all.iter().all(|line| line["host"] == "host-1"), "{all:#?}");
}

fn a_host_that_is_told_so_ships_nothing(mut world: Scenario) {
    world.configure("handler_logs = false");
    let (input, handler) = scripted(&mut world, 1, "");
    let mut host = world.start();
    world.produce_to(0, [event(&input, print("unheard"))]);
    world.settle(&handler);
    host.logged(&["unheard"]);
    assert_eq!(host.terminate().0, 0);
    assert_eq!(logs(&world, &[]).ok(), "");
    let topic = format!("_lockstep.{}.logs", world.cluster_id());
    assert_eq!(world.read(&topic), []);
}

fn an_unknown_handler_is_answered_with_those_there_are(mut world: Scenario) {
    let (_, handler) = scripted(&mut world, 1, "");
    world.configure("handler_logs = false");
    let _host = world.start();
    // About this one nothing was said, and it is there.
    eventually("the host is heard of", || logs(&world, &[&handler.name]).code == 0);
    logs(&world, &["weathr"]).fails(3, &["there is no handler \"weathr\"", &handler.name]);
}

fn logs_are_read_and_followed_over_http(mut world: Scenario) {
    let (input, handler) = scripted(&mut world, 1, "");
    let mut host = world.start();
    world.produce_to(0, [event(&input, print("before"))]);
    wait_for(&world, &[&handler.name], "before", 1);
    let url = format!("{}/v1/handlers/{}/logs", host.admin, handler.name);
    let answer = http::get(&format!("{url}?tail=1&revision=1&since=10m"));
    assert_eq!((answer.status, &*answer.content_type), (200, "application/x-ndjson"));
    assert_eq!(answer.json()["body"], "before", "{answer:?}");
    let unknown = || http::get(&format!("{}/v1/handlers/weathr/logs", host.admin));
    eventually("the host is heard of", || unknown().body.contains(&handler.name));
    assert!(unknown().problem("unknown-handler", 404).contains(&handler.name));
    for (query, word) in [("since=soon", "such as 10m"), ("tail=-1", "tail"), ("till=1", "till")] {
        let said = http::get(&format!("{url}?{query}")).problem("bad-request", 400);
        assert!(said.contains(word), "{said}");
    }
    let follow = format!("{url}?follow=true&tail=0");
    let plain = http::follow(&follow, &[]);
    let events = http::follow(&follow, &[("accept", "text/event-stream")]);
    world.produce_to(0, [event(&input, print("after"))]);
    for (lines, prefix) in [(plain, "{\"time\":"), (events, "data: {\"time\":")] {
        let line = lines.recv_timeout(DEADLINE).expect("the line is followed");
        assert!(line.starts_with(prefix) && line.contains("\"body\":\"after\""), "{line}");
    }
    // Whoever still follows holds up no stop.
    let _follower = http::follow(&follow, &[]);
    let (code, took) = host.terminate();
    assert!(code == 0 && took < Duration::from_secs(5), "{code} after {took:?}");
}

#[test]
fn on_embedded_logs_over_http_take_a_token_that_reads_handlers() {
    let mut world = Scenario::new(LogKind::Embedded, "logs-with-token");
    let (_, handler) = scripted(&mut world, 1, "");
    world.configure("auth.tokens = \"tokens.toml\"");
    let config = world.config("host-1");
    let token = |scope: &str| {
        let mut create = cli::command(["token", "create", "--scope", scope, "--config"]);
        cli::finish(create.arg(&config), b"").ok().trim().to_owned()
    };
    let (reader, other) = (token("handlers:read"), token("ingest:*"));
    let host = world.start();
    let url = format!("{}/v1/handlers/{}/logs", host.admin, handler.name);
    let with = |token: &str| http::get_with(&url, &[("authorization", &format!("Bearer {token}"))]);
    http::get(&url).problem("unauthorized", 401);
    with(&other).problem("forbidden", 403);
    // The log may be busy for a moment.
    eventually("the logs are shown", || with(&reader).status == 200);
}

#[test]
fn on_kafka_reading_while_the_broker_is_down_is_an_error_that_names_it() {
    let broker = Broker::start();
    let mut world = Scenario::at_broker(&broker.address(), "logs-without-broker");
    let (input, handler) = scripted(&mut world, 1, "");
    let host = world.start();
    world.produce_to(0, [event(&input, print("before"))]);
    wait_for(&world, &[&handler.name], "before", 1);
    broker.stop();
    logs(&world, &[&handler.name]).fails(4, &[&broker.address()]);
    // The host goes on, and what is said meanwhile arrives or is counted.
    broker.restart();
    host.wait_until_ready();
    world.produce_to(0, [event(&input, print("after"))]);
    wait_for(&world, &[&handler.name], "after", 1);
}

#[test]
fn on_embedded_reading_where_there_is_no_log_is_an_error_that_names_it() {
    let world = Scenario::new(LogKind::Embedded, "logs-without-log");
    logs(&world, &["weather"]).fails(4, &["there is no embedded log", "data"]);
}
