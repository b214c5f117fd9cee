//! Revisions that fault again and again: by themselves they make dead letters, and nothing else
//! suffers; with `on_fault = "rollback"` the revision that they replaced is active again.

use std::collections::{BTreeMap, BTreeSet};

use lockstep::event::Consumed;
use lockstep_tests::cli;
use lockstep_tests::event::{Has, With, event, sorted_texts};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::load::{Running, beside};
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::{eventually, eventually_ok};
use serde_json::Value;

on_both_logs![
    a_revision_that_traps_on_every_event_is_rolled_back_under_load,
    a_revision_that_writes_where_it_may_not_is_rolled_back,
    a_fault_between_good_events_rolls_nothing_back,
    a_poisonous_event_is_a_dead_letter_after_one_rollback,
    a_first_revision_has_nothing_to_be_rolled_back_to,
    a_handler_that_stops_is_rolled_back_at_its_first_fault,
    without_a_word_about_faults_they_are_dead_letters_and_neighbours_go_on,
];

const ROLLBACK: &str = "on_fault = \"rollback\"";
const TRAP: &str = r#"{"do":"trap"}"#;

/// The revision that an output or a dead letter is of.
fn revision_of(event: &Consumed) -> u64 {
    let handler = event.last_header("lockstep-handler").unwrap_or_default();
    let revision = handler.rsplit_once('@').and_then(|(_, revision)| revision.parse().ok());
    revision.unwrap_or_else(|| panic!("no revision in {handler:?}"))
}

fn dead_letters(fleet: &Fleet) -> Vec<Consumed> {
    fleet.world.read(&format!("{}.dead-letters", fleet.name))
}

fn history(fleet: &Fleet) -> Value {
    fleet.run(&["handler", "history", &fleet.name, "--output", "json"]).json()
}

/// Waits until this revision is active and runs.
#[track_caller]
fn goes_back_to(fleet: &Fleet, host: &Host, revision: u64) {
    eventually_ok("the revision is rolled back", || {
        let status = host.handler(&fleet.name);
        let runs = |worker: &Value| worker["revision"] == revision;
        let all = status["workers"].as_array().is_some_and(|workers| workers.iter().all(runs));
        match status["revision"] == revision && all {
            true => Ok(()),
            false => Err(format!("{status}\n{}", host.output())),
        }
    });
}

/// Writes numbered events until it is told that this is enough, and says how many.
fn produce_while(running: Running, fleet: &Fleet) -> usize {
    let mut number = 0;
    while running.goes_on() {
        let some = (number..number + 50)
            .map(|n| event(&fleet.input, format!("{n:07}")).key((n % 16).to_string()));
        fleet.world.produce(some);
        number += 50;
    }
    number
}

fn a_revision_that_traps_on_every_event_is_rolled_back_under_load(world: Scenario) {
    const WORKERS: usize = 2;
    const FAULTS: usize = 5;
    let fleet = Fleet::new(world, 4);
    fleet.manifest(&format!(
        "workers = {WORKERS}\n{ROLLBACK}\n[batch]\nevents = 40\ninterval = \"20ms\""
    ));
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    let load = |running| produce_while(running, &fleet);
    let (produced, deployed) = beside(load, || {
        eventually("events flow", || !fleet.world.read(&fleet.output).is_empty());
        let deployed = fleet.deploy("trap", &[]);
        host.logged(&["ERROR", "revision rolled back", "faults in a row", "trap"]);
        goes_back_to(&fleet, &host, 1);
        deployed
    });
    // It may have run everywhere before the first event came.
    if deployed.code != 0 {
        deployed.fails(1, &["revision 2 was rolled back to 1 by host-1", "faults in a row"]);
    }

    let everything = || fleet.world.read(&fleet.output).len() + dead_letters(&fleet).len();
    eventually("everything is handled", || everything() >= produced);
    let (outputs, dead) = (fleet.world.read(&fleet.output), dead_letters(&fleet));
    let mut all: Vec<_> = outputs.iter().chain(&dead).map(Has::text).collect();
    all.sort();
    let expected: Vec<_> = (0..produced).map(|n| format!("{n:07}")).collect();
    assert!(all == expected, "each of {produced} events has one result, not {}", all.len());
    assert!(dead.len() <= WORKERS * (FAULTS - 1), "{} dead letters", dead.len());
    assert!(outputs.iter().all(|output| revision_of(output) == 1));
    assert!(dead.iter().all(|letter| revision_of(letter) == 2));
    assert_in_order(&outputs);
    assert_eq!(host.output().matches("revision rolled back").count(), 1);
    says_why(&fleet);
    assert_eq!(fleet.answered_by(), 1);
}

/// Outputs of one source partition keep its order.
#[track_caller]
fn assert_in_order(outputs: &[Consumed]) {
    let mut last: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for output in outputs {
        let source = output.last_header("lockstep-source").unwrap_or_default();
        let (place, offset) = source.rsplit_once('/').expect("a source");
        let offset: i64 = offset.parse().expect("an offset");
        let before = last.insert((place.to_owned(), output.partition), offset);
        assert!(before < Some(offset), "{source} after {before:?}");
    }
}

/// History and status tell why revision 2 is not active any more.
#[track_caller]
fn says_why(fleet: &Fleet) {
    let history = history(fleet);
    let told = &history[0]["rolled_back"];
    assert_eq!((&history[0]["revision"], &told["to"]), (&2.into(), &1.into()), "{history}");
    assert_eq!((&told["by"], &history[1]["active"]), (&"host-1".into(), &true.into()), "{history}");
    let reason = told["reason"].as_str().unwrap_or_default();
    let source = format!("5 faults in a row, the last: {}/", fleet.input);
    assert!(reason.starts_with(&source) && reason.contains(": trap: "), "{reason}");
    assert_eq!(fleet.status()["rolled_back"], *told);
    for verb in ["history", "status"] {
        let text = fleet.run(&["handler", verb, &fleet.name]).ok();
        let words = format!("revision 2 was rolled back to 1 by host-1: {reason}");
        assert!(text.contains(&words), "{words:?} is not in {text}");
    }
}

fn a_revision_that_writes_where_it_may_not_is_rolled_back(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    fleet.manifest(ROLLBACK);
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("forbidden-topic", &[]).ok();
    fleet.world.produce((0..20).map(|n| event(&fleet.input, format!("{n:02}"))));
    goes_back_to(&fleet, &host, 1);
    host.logged(&["revision rolled back", "forbidden-topic"]);
    eventually("everything is handled", || {
        fleet.world.read(&fleet.output).len() + dead_letters(&fleet).len() >= 20
    });
    let dead = dead_letters(&fleet);
    assert!(dead.len() < 5, "{dead:?}");
    // Whatever was a dead letter was so before the row was long enough.
    let all = [dead, fleet.world.read(&fleet.output)].concat();
    let expected: Vec<_> = (0..20).map(|n| format!("{n:02}")).collect();
    assert_eq!(sorted_texts(&all), expected);
}

fn a_fault_between_good_events_rolls_nothing_back(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    fleet.manifest(&format!("{ROLLBACK}\n[rollback]\nfaults = 2"));
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("scripted", &[]).ok();
    // A handler that says that an event is bad works.
    let bad = r#"{"do":"permanent"}"#;
    let events = ["a", TRAP, "b", TRAP, bad, TRAP, "c"].map(|text| event(&fleet.input, text));
    fleet.world.produce_to(0, events);
    assert_eq!(sorted_texts(&fleet.world.wait_for(&fleet.output, 3)), ["a", "b", "c"]);
    // Without keys they are spread over the partitions.
    assert_eq!(sorted_texts(&dead_letters(&fleet)), [bad, TRAP, TRAP, TRAP]);
    assert_eq!(fleet.answered_by(), 2, "{}", host.output());
    assert_eq!(history(&fleet)[0]["rolled_back"], Value::Null);
}

fn a_poisonous_event_is_a_dead_letter_after_one_rollback(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    fleet.manifest(&format!("{ROLLBACK}\n[rollback]\nfaults = 2"));
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("scripted", &[]).ok();
    fleet.deploy("scripted", &["--limit", "output_events=7"]).ok();
    fleet.world.produce_to(0, ["a", TRAP, TRAP, TRAP, "b"].map(|text| event(&fleet.input, text)));
    assert_eq!(sorted_texts(&fleet.world.wait_for(&fleet.output, 2)), ["a", "b"]);
    goes_back_to(&fleet, &host, 2);
    let dead = dead_letters(&fleet);
    assert_eq!(dead.iter().map(Has::text).collect::<Vec<_>>(), [TRAP; 3]);
    assert!(dead[1..].iter().all(|letter| revision_of(letter) == 2), "{dead:?}");
    host.logged(&["not rolled back", "active because of a rollback"]);
    assert_eq!(host.output().matches("not rolled back").count(), 1, "it is told once");
    assert_eq!(fleet.answered_by(), 2);
}

fn a_first_revision_has_nothing_to_be_rolled_back_to(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    fleet.manifest(ROLLBACK);
    let host = fleet.world.start();
    fleet.deploy("trap", &[]).ok();
    fleet.world.produce((0..30).map(|n| event(&fleet.input, format!("{n:02}"))));
    let dead = fleet.world.wait_for(&format!("{}.dead-letters", fleet.name), 30);
    assert_eq!(sorted_texts(&dead), (0..30).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    host.logged(&["not rolled back", "there is no revision that it replaced"]);
    assert_eq!(host.output().matches("not rolled back").count(), 1, "it is told once");
    assert_eq!(host.handler(&fleet.name)["revision"], 1);
}

fn a_handler_that_stops_is_rolled_back_at_its_first_fault(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    fleet.manifest(&format!("{ROLLBACK}\non_failure = \"stop\""));
    let host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("trap", &[]).ok();
    fleet.world.produce((0..30).map(|n| event(&fleet.input, format!("{n:02}"))));
    let outputs = fleet.world.wait_for(&fleet.output, 30);
    assert_eq!(sorted_texts(&outputs), (0..30).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    assert!(outputs.iter().all(|output| revision_of(output) == 1));
    assert_eq!(dead_letters(&fleet), []);
    goes_back_to(&fleet, &host, 1);

    fleet.manifest(&format!("{ROLLBACK}\non_failure = \"stop\"\n[rollback]\nfaults = 3"));
    fleet.deploy("trap", &[]).fails(2, &["rollback.faults", "lower it to 1"]);
}

fn without_a_word_about_faults_they_are_dead_letters_and_neighbours_go_on(world: Scenario) {
    let mut fleet = Fleet::new(world, 2);
    let (input, output) = (fleet.world.topic("beside", 1), fleet.world.topic("beside-out", 1));
    fleet.world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let mut host = fleet.world.start();
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("trap", &[]).ok();
    fleet.world.produce((0..50).map(|n| event(&fleet.input, format!("{n:02}"))));
    fleet.world.produce((0..50).map(|n| event(&input, format!("{n:02}"))));
    let expected: Vec<_> = (0..50).map(|n| format!("{n:02}")).collect();
    let dead = fleet.world.wait_for(&format!("{}.dead-letters", fleet.name), 50);
    assert_eq!(sorted_texts(&dead), expected);
    assert_eq!(sorted_texts(&fleet.world.wait_for(&output, 50)), expected);
    assert_eq!(fleet.world.read(&fleet.output), []);
    assert_eq!(host.handler(&fleet.name)["revision"], 2);
    assert_eq!(host.terminate().0, 0, "{}", host.output());
}

#[test]
fn on_kafka_two_hosts_that_see_the_faults_at_once_go_back_one_revision() {
    let fleet = Fleet::new(Scenario::new(LogKind::Kafka, "one-rollback"), 4);
    fleet.manifest(&format!("{ROLLBACK}\n[rollback]\nfaults = 1"));
    let hosts = ["host-1", "host-2"].map(|name| fleet.world.start_as(name));
    fleet.deploy("identity", &[]).ok();
    fleet.deploy("stamp", &[]).ok();
    fleet.deploy("trap", &[]).ok();
    for partition in 0..4 {
        let events = (0..20).map(|n| event(&fleet.input, format!("{partition}:{n:02}")));
        fleet.world.produce_to(partition, events);
    }
    let outputs = fleet.world.wait_for(&fleet.output, 80);
    hosts.iter().for_each(|host| goes_back_to(&fleet, host, 2));
    assert_eq!(outputs.len(), 80);
    let sources: BTreeSet<_> =
        outputs.iter().filter_map(|output| output.last_header("lockstep-source")).collect();
    assert_eq!(sources.len(), 80, "each has one output");
    assert!(outputs.iter().all(|output| revision_of(output) == 2));
    assert_eq!(dead_letters(&fleet), []);
    let rolled_back = |host: &Host| host.output().matches("revision rolled back").count();
    assert_eq!(hosts.iter().map(rolled_back).sum::<usize>(), 1);
    assert_eq!(fleet.answered_by(), 2);
    let history = history(&fleet);
    assert_eq!(
        (&history[0]["rolled_back"]["to"], &history[1]["active"]),
        (&2.into(), &true.into())
    );
    assert_eq!(history[1]["rolled_back"], Value::Null, "{history}");
}

#[test]
fn a_handler_of_a_hosts_own_configuration_is_told_that_it_cannot_be_rolled_back() {
    let mut world = Scenario::new(LogKind::Embedded, "own-rollback");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("trap").from(&[&input]).to(&[&output]).with(ROLLBACK));
    let config = world.config("host-1").display().to_string();
    let said = cli::run(world.directory(), ["check", "--config", &config]).ok();
    assert!(said.contains("warning: on_fault = \"rollback\" is without effect"), "{said}");
    let host = world.start();
    host.logged(&["WARN", "is without effect", "not deployed"]);
    world.produce((0..10).map(|n| event(&input, format!("{n}"))));
    let name = host.handler(&world.name("trap"))["name"].as_str().map(str::to_owned);
    world.wait_for(&format!("{}.dead-letters", name.expect("it runs")), 10);
}
