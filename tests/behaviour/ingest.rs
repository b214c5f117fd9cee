//! Events over HTTP: what is taken, how it is stored, what is refused and how that is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, ScopedJoinHandle};

use lockstep::event::Header;
use lockstep_tests::broker::Broker;
use lockstep_tests::embedded;
use lockstep_tests::event::{Has, sorted_texts};
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

on_both_logs![
    an_accepted_event_is_in_the_log_where_the_answer_says,
    key_headers_and_content_type_are_stored,
    a_body_is_stored_byte_for_byte,
    every_refusal_is_a_problem_that_names_the_thing,
    a_topic_that_is_not_open_is_refused,
    a_body_beyond_the_limit_is_refused_and_not_stored,
    a_posted_event_becomes_an_output,
    both_listeners_tell_health_and_only_admin_tells_handlers,
];

/// A host with one topic that is open to ingest.
fn open(world: &mut Scenario) -> (String, Host) {
    let input = world.topic("in", 1);
    world.open_to_ingest(&[&input]);
    world.configure("http.max_body = \"100KiB\"");
    let host = world.start();
    (input, host)
}

fn header(name: &str, value: &str) -> Header {
    Header::text(name, value)
}

fn an_accepted_event_is_in_the_log_where_the_answer_says(mut world: Scenario) {
    let (input, host) = open(&mut world);
    for offset in 0..3 {
        let answer = host.post(&input, &[], format!("event {offset}").as_bytes());
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
        let expected = serde_json::json!({ "topic": input, "partition": 0, "offset": offset });
        assert_eq!(answer.json(), expected);
    }
    let texts: Vec<_> = world.read(&input).iter().map(Has::text).collect();
    assert_eq!(texts, ["event 0", "event 1", "event 2"]);
}

fn key_headers_and_content_type_are_stored(mut world: Scenario) {
    let (input, host) = open(&mut world);
    let headers = [
        ("content-type", "application/json"),
        ("lockstep-key", "by header"),
        ("lockstep-header-trace", "a b=c"),
        ("accept", "*/*"),
    ];
    assert_eq!(host.post(&input, &headers, b"{}").status, 200);
    let url = format!("{}?key=by%20query%2F1", host.events_url(&input));
    assert_eq!(http::post(&url, &[], b"x").status, 200);
    let events = world.read(&input);
    let [first, second] = events.as_slice() else { panic!("two events were posted: {events:?}") };
    assert_eq!(first.event.key.as_deref(), Some(&b"by header"[..]));
    let mut stored = first.event.headers.clone();
    stored.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(stored, [header("content-type", "application/json"), header("trace", "a b=c")]);
    assert_eq!(second.event.key.as_deref(), Some(&b"by query/1"[..]));
    assert!(second.event.headers.iter().all(|h| h.name == "content-type"), "{second:?}");
    assert!(second.event.timestamp_ms.is_some_and(|ms| ms > 1_700_000_000_000));
}

fn a_body_is_stored_byte_for_byte(mut world: Scenario) {
    let (input, host) = open(&mut world);
    let bodies = [vec![], vec![0], (0..=255).collect(), vec![b'x'; 100 * 1024]];
    for body in &bodies {
        assert_eq!(host.post(&input, &[], body).status, 200);
    }
    let stored: Vec<_> = world.read(&input).into_iter().map(|e| e.event.value).collect();
    assert_eq!(stored, bodies.map(Some));
}

fn every_refusal_is_a_problem_that_names_the_thing(mut world: Scenario) {
    let (input, host) = open(&mut world);
    let url = host.events_url(&input);

    let both = http::post(&format!("{url}?key=a"), &[("lockstep-key", "b")], b"x");
    assert!(both.problem("bad-request", 400).contains("key"));
    let parameter = http::post(&format!("{url}?kye=a"), &[], b"x");
    assert!(parameter.problem("bad-request", 400).contains("kye"));
    let header = host.post(&input, &[("lockstep-haeder-a", "1")], b"x");
    assert!(header.problem("bad-header", 400).contains("lockstep-haeder-a"));
    let topic = host.post("no-such-topic", &[], b"x");
    assert!(topic.problem("unknown-topic", 404).contains("no-such-topic"));
    http::get(&url).problem("method-not-allowed", 405);
    http::get(&format!("{}/v2/topics", host.ingest)).problem("not-found", 404);

    assert_eq!(world.read(&input), [], "nothing of all that was stored");
}

fn a_topic_that_is_not_open_is_refused(mut world: Scenario) {
    let closed = world.topic("closed", 1);
    let (_, host) = open(&mut world);
    let detail = host.post(&closed, &[], b"x").problem("unknown-topic", 404);
    assert!(detail.contains(&closed) && detail.contains("ingest"), "{detail}");
    assert_eq!(world.read(&closed), []);
}

fn a_body_beyond_the_limit_is_refused_and_not_stored(mut world: Scenario) {
    let (input, host) = open(&mut world);
    let answer = host.post(&input, &[], &vec![b'x'; 100 * 1024 + 1]);
    assert!(answer.problem("too-large", 413).contains("max_body"));
    // The same without saying beforehand how much will come.
    let address = host.ingest.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the host listens");
    let head = format!(
        "POST /v1/topics/{input}/events HTTP/1.1\r\nhost: {address}\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let chunk = [&b"8000\r\n"[..], &[b'x'; 0x8000], b"\r\n"].concat();
    stream.write_all(head.as_bytes()).expect("the host reads");
    // It may answer and hang up before everything is sent.
    let sent = (0..10).all(|_| stream.write_all(&chunk).is_ok());
    let _ = sent && stream.write_all(b"0\r\n\r\n").is_ok();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
    assert_eq!(world.read(&input), []);
}

fn a_posted_event_becomes_an_output(mut world: Scenario) {
    let (input, output) = (world.topic("in", 3), world.topic("out", 3));
    world.open_to_ingest(&[&input]);
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let host = world.start();
    for number in 0..20 {
        assert_eq!(host.post(&input, &[], format!("{number:02}").as_bytes()).status, 200);
    }
    let texts = sorted_texts(&world.wait_for(&output, 20));
    assert_eq!(texts, (0..20).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

fn both_listeners_tell_health_and_only_admin_tells_handlers(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world
        .deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]).with("workers = 2"));
    let host = world.start();
    for listener in [&host.ingest, &host.admin] {
        assert_eq!(http::get(&format!("{listener}/livez")).status, 200);
        assert_eq!(http::get(&format!("{listener}/readyz")).status, 200);
    }
    let status = host.handler(&handler.name);
    assert_eq!(status["revision"], 1);
    let workers = status["workers"].as_array().cloned().unwrap_or_default();
    assert_eq!(workers.len(), 2, "{status}");
    for (slot, worker) in workers.iter().enumerate() {
        assert_eq!((&worker["slot"], &worker["state"]), (&slot.into(), &"running".into()));
        assert!(worker["stopped_at"].as_array().is_some_and(Vec::is_empty), "{worker}");
    }
    http::get(&format!("{}/v1/handlers", host.ingest)).problem("not-found", 404);
}

/// While the log is silent, one event waits for it and the next one is told that there is no
/// room; what waited is confirmed once the log answers again.
fn a_full_queue_is_told(world: &mut Scenario, silence: impl FnOnce(), end: impl FnOnce()) {
    world.configure("http.queue = 1");
    let (input, host) = open(world);
    assert_eq!(host.post(&input, &[], b"before").status, 200);
    silence();
    thread::scope(|scope| {
        let clients = ["a", "b"].map(|body| {
            let (host, input) = (&host, &input);
            scope.spawn(move || host.post(input, &[], body.as_bytes()))
        });
        eventually("one is refused", || clients.iter().any(ScopedJoinHandle::is_finished));
        end();
        let mut answers = clients.map(|client| client.join().expect("the host answers"));
        answers.sort_by_key(|answer| answer.status);
        let [taken, refused] = answers;
        assert_eq!(taken.status, 200, "{taken:?}\n{}", host.output());
        refused.problem("queue-full", 503);
        assert!(refused.retry_after.is_some(), "{refused:?}");
    });
    assert_eq!(world.read(&input).len(), 2);
}

#[test]
fn on_kafka_a_full_queue_is_told_while_the_broker_is_silent() {
    let broker = Broker::start();
    let mut world = Scenario::at_broker(&broker.address(), "queue-full");
    a_full_queue_is_told(&mut world, || broker.freeze(), || broker.thaw());
}

#[test]
fn on_embedded_a_full_queue_is_told_while_another_process_has_the_lock() {
    let mut world = Scenario::new(LogKind::Embedded, "queue-full");
    world.log();
    let database = embedded::database(&world.data_dir());
    let run = |sql| database.execute_batch(sql).expect("the database is there");
    a_full_queue_is_told(&mut world, || run("BEGIN IMMEDIATE"), || run("ROLLBACK"));
}
