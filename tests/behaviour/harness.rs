//! The harness itself: what it sees is what is there, and it leaves nothing behind.

use std::io::Write;
use std::process::Command;

use lockstep::event::{Consumed, Event};
use lockstep_tests::event::{With, event, texts_by_partition};
use lockstep_tests::guardian;
use lockstep_tests::ledger::{BAD, Ledger};
use lockstep_tests::scenario::Scenario;
use lockstep_tests::wait::eventually;

on_both_logs![a_log_gives_back_what_was_written, a_log_says_what_it_refuses];

fn a_log_gives_back_what_was_written(world: Scenario) {
    let topic = world.topic("t", 2);
    assert_eq!(world.log().partitions(&topic), Some(2));
    assert_eq!(world.log().partitions(&world.name("none")), None);
    assert_eq!(world.read(&topic), []);
    let odd = event(&topic, [0, 255]).key([1, 254]).header("a", "1").null_header("b");
    let odd = Event { timestamp_ms: Some(1_000), ..odd };
    let tombstone = Event { value: None, timestamp_ms: Some(2_000), ..event(&topic, "") };
    world.produce_to(1, [odd.clone(), tombstone.clone()]);
    let events = world.wait_for(&topic, 2);
    assert_eq!(
        events.iter().map(|e| (e.partition, e.offset)).collect::<Vec<_>>(),
        [(1, 0), (1, 1)]
    );
    assert_eq!(events.into_iter().map(|e| e.event).collect::<Vec<_>>(), [odd, tombstone]);
    world.produce_to(0, (0..2_000).map(|n| event(&topic, n.to_string())));
    let texts = texts_by_partition(&world.read(&topic)).remove(&0).unwrap_or_default();
    assert_eq!(texts, (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(world.log().committed("nobody", &topic).is_empty());
}

fn a_log_says_what_it_refuses(world: Scenario) {
    let topic = world.topic_with("t", 1, &[("max.message.bytes", "1000")]);
    let large = event(&topic, (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    assert!(world.log().try_produce(&[(large, None)]).is_err());
    assert_eq!(world.read(&topic), []);
}

#[test]
fn the_ledger_sees_what_is_lost_repeated_misplaced_or_out_of_order() {
    let mut ledger = Ledger::of("in");
    let mut result = |partition: i32, offset: i64, script: &str| Consumed {
        event: ledger
            .enter(partition, script)
            .header("lockstep-source", format!("in/{partition}/{offset}")),
        partition: 0,
        offset,
    };
    let good = [result(0, 0, "a"), result(1, 1, "b"), result(0, 2, "c")];
    let dead = [result(1, 0, BAD)];
    let at = |event: &Consumed, offset| Consumed { offset, ..event.clone() };
    let wrong = |outputs: &[Consumed], dead: &[Consumed], what: &str| {
        let problem = ledger.compare(outputs, dead).err().unwrap_or_default();
        assert!(problem.contains(what), "{what}: {problem:?}");
    };
    assert_eq!(ledger.compare(&good, &dead), Ok(()));
    wrong(&good[1..], &dead, "lost: {\"0:000000\"}");
    wrong(&good, &[], "lost: {\"1:000001\"}");
    let again = [&good[..], &[at(&good[1], 3)]].concat();
    wrong(&again, &dead, "repeated or never written: [\"1:000000\"]");
    wrong(&[&good[..], &dead].concat(), &[], "dead letters {}");
    let turned = [at(&good[0], 2), good[1].clone(), at(&good[2], 0)];
    wrong(&turned, &dead, "000001 before 000000");
    let mut elsewhere = good.clone();
    elsewhere[0].event = elsewhere[0].event.clone().header("lockstep-source", "in/1/0");
    wrong(&elsewhere, &dead, "in/1/0");
}

#[test]
fn the_guardian_kills_and_cleans_up_when_the_run_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made").keep();
    let sleep = || Command::new("sleep").arg("600").spawn().expect("sleep is there");
    let (mut watched, mut forgotten) = (sleep(), sleep());
    let mut pipe = guardian::start();
    let lines = format!(
        "watch {}\nwatch {}\nforget {}\nremove {}\n",
        forgotten.id(),
        watched.id(),
        forgotten.id(),
        directory.display()
    );
    pipe.write_all(lines.as_bytes()).expect("the guardian reads");
    // What the end of a process does, however it ends.
    drop(pipe);
    eventually("the watched is killed", || watched.try_wait().is_ok_and(|s| s.is_some()));
    eventually("the directory is gone", || !directory.exists());
    assert!(forgotten.try_wait().is_ok_and(|status| status.is_none()));
    let _ = forgotten.kill();
    let _ = forgotten.wait();
}
