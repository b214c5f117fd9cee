//! A broker that is not there: the host says so, waits, and works once it comes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lockstep_tests::broker::{Broker, SASL_PASSWORD, SASL_USER};
use lockstep_tests::cli;
use lockstep_tests::event::event;
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::ledger::Ledger;
use lockstep_tests::log::LogKind;
use lockstep_tests::process::{Process, code};
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::{DEADLINE, eventually};
use rustix::process::Signal;

/// Addresses that the host can be asked at before it has told them.
fn fixed_addresses(world: &mut Scenario) -> (String, String) {
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.local_addr().expect("a bound listener has an address")
    };
    let (ingest, admin) = (free(), free());
    world.configure(&format!("http = {{ ingest = \"{ingest}\", admin = \"{admin}\" }}"));
    (format!("http://{ingest}"), format!("http://{admin}"))
}

#[test]
fn on_kafka_a_host_waits_for_its_broker_and_says_so() {
    let broker = Broker::stopped();
    let mut world = Scenario::at_broker(&broker.address(), "broker-down");
    let (ingest, admin) = fixed_addresses(&mut world);
    let (input, output) = (world.name("in"), world.name("out"));
    let topics = format!("[[topics]]\nname = {input:?}\n[[topics]]\nname = {output:?}");
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]).with(&topics));
    world.configure(&format!("[[topics]]\nname = {input:?}\ningest = true"));
    let host = Process::start("lockstep run", &mut Host::command(&world.config("host-1")));

    let url = format!("{ingest}/v1/topics/{input}/events");
    eventually("the host lives", || {
        http::try_get(&format!("{admin}/livez")).is_ok_and(|answer| answer.status == 200)
    });
    eventually("the log is named", || {
        let not_ready = http::get(&format!("{admin}/readyz"));
        assert_eq!(not_ready.status, 503);
        not_ready.body.contains(&broker.address())
    });
    let refused = http::post(&url, &[], b"too early");
    refused.problem("log-unreachable", 503);
    assert!(refused.retry_after.is_some(), "{refused:?}");

    broker.restart();
    eventually("the host is ready", || {
        http::try_get(&format!("{admin}/readyz")).is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(http::post(&url, &[], b"in time").status, 200, "{}", host.output());
    world.wait_for(&output, 1);
}

/// An address that takes connections and says nothing, and one where nobody listens.
#[test]
fn on_kafka_a_host_that_never_reached_its_broker_stops_with_0_within_its_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let [silent_at, closed_at] = [&silent, &closed]
        .map(|l| l.local_addr().expect("a bound listener has an address").to_string());
    drop(closed);
    for address in [&silent_at, &closed_at] {
        let mut world = Scenario::at_broker(address, "never-reached");
        world.configure("shutdown_deadline = \"3s\"");
        let (input, output) = (world.name("in"), world.name("out"));
        world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
        let mut command = Host::command(&world.config("host-1"));
        let mut host = Process::start("lockstep run", &mut command);
        let waits = host.find_line(DEADLINE, |line| line.contains("waiting: ").then_some(()));
        assert!(waits.is_some(), "{}", host.output());
        let begun = Instant::now();
        host.signal(Signal::TERM);
        let status = host.wait(DEADLINE);
        let took = begun.elapsed();
        assert_eq!(code(status), 0, "{address}\n{}", host.output());
        assert!(took < Duration::from_secs(4), "a stop took {took:?}\n{}", host.output());
    }
}

#[test]
fn on_kafka_a_host_whose_broker_falls_silent_stops_with_0_within_its_deadline() {
    let broker = Broker::start();
    let mut world = Scenario::at_broker(&broker.address(), "silent-broker");
    world.configure("shutdown_deadline = \"3s\"");
    let (input, output) = (world.topic("in", 2), world.topic("out", 2));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let mut host = world.start();
    world.produce([event(&input, "x")]);
    world.wait_for(&output, 1);
    broker.freeze();
    let (code, took) = host.terminate();
    assert_eq!(code, 0, "{}", host.output());
    assert!(took < Duration::from_secs(4), "a stop took {took:?}\n{}", host.output());
}

/// The SASL settings of the run's broker, with the password from the environment.
fn with_password(world: &mut Scenario) {
    let broker = Broker::shared().sasl_address();
    world.configure(&format!(
        "[kafka]\n\"bootstrap.servers\" = {broker:?}\n\"security.protocol\" = \"sasl_plaintext\"\n\
         \"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = {SASL_USER:?}\n\
         \"sasl.password\" = \"${{KAFKA_PASSWORD}}\""
    ));
}

#[test]
fn on_kafka_a_password_from_the_environment_is_used() {
    let mut world = Scenario::new(LogKind::Kafka, "password");
    with_password(&mut world);
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let environment = [("KAFKA_PASSWORD", SASL_PASSWORD), ("LOCKSTEP_LOG", "debug")];
    let host = Host::launch(&world.config("host-1"), &environment);
    host.wait_until_ready();
    world.produce([event(&input, "x")]);
    world.wait_for(&output, 1);
    assert!(!host.output().contains(SASL_PASSWORD), "{}", host.output());
}

#[test]
fn on_kafka_a_wrong_password_is_reported_and_never_shown() {
    const WRONG: &str = "hunter2-wrong-password";
    let mut world = Scenario::new(LogKind::Kafka, "wrong-password");
    with_password(&mut world);
    let (_, admin) = fixed_addresses(&mut world);
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let config = world.config("host-1");

    let mut command = Host::command(&config);
    command.env("KAFKA_PASSWORD", WRONG).env("LOCKSTEP_LOG", "trace");
    let host = Process::start("lockstep run", &mut command);
    let said = host.find_line(Duration::from_secs(60), |line| {
        let line = line.to_lowercase();
        (line.contains("authentication") || line.contains("sasl")).then_some(())
    });
    assert!(said.is_some(), "{}", host.output());
    eventually("the host is not ready", || {
        http::try_get(&format!("{admin}/readyz")).is_ok_and(|answer| {
            assert!(!answer.body.contains(WRONG), "{answer:?}");
            answer.status == 503
        })
    });
    assert!(!host.output().contains(WRONG), "{}", host.output());

    let mut list = cli::command(["topic", "list", "--config"]);
    let ran = cli::finish(list.arg(&config).env("KAFKA_PASSWORD", WRONG), b"");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(!ran.stderr.contains(WRONG), "{ran:?}");
    // Without the variable, the file and the key are named.
    let mut list = cli::command(["topic", "list", "--config"]);
    let ran = cli::finish(list.arg(&config).env_remove("KAFKA_PASSWORD"), b"");
    ran.fails(2, &["host-1.toml", "sasl.password", "KAFKA_PASSWORD"]);
}

#[test]
fn on_kafka_a_host_survives_a_stop_and_a_crash_of_its_broker() {
    let broker = Broker::start();
    let mut world = Scenario::at_broker(&broker.address(), "broker-restart");
    let (input, output) = (world.topic("in", 2), world.topic("out", 2));
    let manifest = Manifest::guest("scripted").from(&[&input]).to(&[&output]);
    let handler = world.deploy(manifest.with("[batch]\nevents = 20"));
    let mut ledger = Ledger::of(&input);
    let host = world.start();
    for crashes in [true, false] {
        let already = world.read(&output).len();
        ledger.produce_to_all(&world, 2, 1_000);
        eventually("the host works", || world.read(&output).len() > already);
        if crashes {
            broker.kill9();
        } else {
            broker.stop();
        }
        let ready = format!("{}/readyz", host.admin);
        eventually("the host notices", || http::get(&ready).status == 503);
        broker.restart();
        host.wait_until_ready();
    }
    ledger.produce_to_all(&world, 2, 100);
    ledger.assert_exactly_once(&world, &handler, &output);
}
