//! A run that kept every promise passes; each way to break one is noticed.

use super::*;
use crate::audit::history::{
    Abandoned, Ack, At, Bounds, CaughtUp, Content, Ends, Expected, Fault, Offsets, Origin, Outcome,
    Phase, Record, Resources, Run, Seen, Written,
};
use crate::event::Position;

const SOURCES: i32 = 3;
const INPUTS: i64 = 40;

fn at(topic: &str, partition: i32, offset: i64) -> At {
    At(Position { topic: topic.into(), partition, offset })
}

/// A run in the making.
struct Story {
    records: Vec<(u64, Record)>,
    /// The ends of the output partitions.
    ends: std::collections::BTreeMap<(String, i32), i64>,
}

impl Story {
    /// A correct run: fan-out over two topics, dead letters, filtered events, two revisions, a
    /// takeover by a new session, a write whose outcome is unknown.
    fn correct(random: &mut fastrand::Rng) -> Self {
        let run = Run {
            version: 1,
            seed: 7,
            log: "kafka".to_owned(),
            handler: "h".to_owned(),
            group: "g".to_owned(),
            from: vec!["in".into()],
            to: vec!["out".into(), "more".into()],
            dead_letters: "dead".into(),
            transaction_timeout_ms: 1_000,
            bounds: Some(Bounds { memory_bytes: 1_000, file_descriptors: 10, threads: 5 }),
        };
        let mut story = Self { records: vec![(0, Record::Run(run))], ends: Default::default() };
        for partition in 0..SOURCES {
            for offset in 0..INPUTS {
                story.input(partition, offset, random.u8(..10));
            }
        }
        story.add(
            50_000_000,
            Record::Fault(Fault {
                kind: "kill -9".to_owned(),
                target: "host-1".to_owned(),
                phase: Phase::Instant,
            }),
        );
        story.add(60_000_000, Record::Abandoned(Abandoned { transaction: "host-1/0/a-99".into() }));
        story.add(
            61_000_000,
            Record::Resources(Resources {
                host: "host-1".to_owned(),
                memory_bytes: 900,
                file_descriptors: 9,
                threads: 5,
            }),
        );
        story.end();
        story
    }

    fn add(&mut self, at_us: u64, record: Record) {
        self.records.push((at_us, record));
    }

    fn input(&mut self, partition: i32, offset: i64, kind: u8) {
        let source = at("in", partition, offset);
        let (id, digest) =
            (format!("{partition}:{offset}"), format!("digest {partition} {offset}"));
        // Each fifth write was not answered; the log has it all the same.
        let ack = if offset % 5 == 4 { Ack::Unknown } else { Ack::Acknowledged };
        self.add(1, Record::Written(Written { id: id.clone(), topic: "in".into(), ack }));
        self.seen(&source, Some(id), &digest, None);
        // Behind the middle another session goes on with another revision.
        let (session, revision) = if offset < INPUTS / 2 { ("a", 1) } else { ("b", 2) };
        let transaction = Some(format!("host-1/{partition}/{session}-{}", offset / 4));
        let origin = |sibling, failure: Option<&str>| Origin {
            source: source.clone(),
            revision,
            transaction: transaction.clone(),
            sibling,
            failure: failure.map(str::to_owned),
        };
        let content = |topic: &str, k: u32| Content {
            topic: topic.into(),
            digest: format!("{digest}, output {k}"),
        };
        let result = match kind {
            0 => Outcome::Outputs(Vec::new()),
            1 => {
                self.result("dead", partition, &digest, origin(None, Some("permanent")));
                Outcome::DeadLetter("permanent".to_owned())
            }
            2..=4 => {
                let outputs = vec![content("out", 1), content("more", 2), content("out", 3)];
                for (k, output) in (1..).zip(&outputs) {
                    let origin = origin(Some((k, 3)), None);
                    self.result(&output.topic, partition, &output.digest, origin);
                }
                Outcome::Outputs(outputs)
            }
            _ => {
                let output = content("out", 1);
                self.result("out", partition, &output.digest, origin(Some((1, 1)), None));
                Outcome::Outputs(vec![output])
            }
        };
        self.add(1, Record::Expected(Expected { source, result }));
    }

    fn result(&mut self, topic: &str, source: i32, digest: &str, origin: Origin) {
        let partition = source % 2;
        let end = self.ends.entry((topic.to_owned(), partition)).or_default();
        let place = at(topic, partition, *end);
        // A marker here and there.
        *end += if *end % 7 == 6 { 2 } else { 1 };
        self.seen(&place, None, digest, Some(origin));
    }

    /// By a reader during the run and by the last one.
    fn seen(&mut self, at: &At, id: Option<String>, digest: &str, origin: Option<Origin>) {
        for (reader, at_us) in [("live", 10), ("final", 90_000_000)] {
            let key = Some(format!("key {}", at.0.partition));
            let (id, digest, origin) = (id.clone(), digest.to_owned(), origin.clone());
            let (reader, at) = (reader.into(), at.clone());
            self.add(at_us, Record::Seen(Seen { reader, at, id, key, digest, origin }));
        }
    }

    fn end(&mut self) {
        for (asked_us, next) in [(20, 5), (30, 5), (80_000_000, INPUTS)] {
            let committed = (0..SOURCES).map(|partition| (partition, next)).collect();
            let offsets = Offsets { topic: "in".into(), committed, asked_us, undecided: false };
            self.add(asked_us, Record::Offsets(offsets));
        }
        let topics = vec!["in".into(), "out".into(), "more".into(), "dead".into()];
        let (reader, since_us) = ("live".into(), 79_000_000);
        self.add(79_000_001, Record::CaughtUp(CaughtUp { reader, topics, since_us }));
        let partitions = (0..SOURCES).map(|partition| (partition, INPUTS, INPUTS)).collect();
        self.add(80_000_000, Record::Ends(Ends { topic: "in".into(), partitions }));
        self.add(95_000_000, Record::Frozen);
    }

    fn verdict(&self) -> Verdict {
        check(&self.entries())
    }

    fn entries(&self) -> Vec<Entry> {
        let mut records = self.records.clone();
        records.sort_by_key(|(at_us, _)| *at_us);
        records.into_iter().map(|(at_us, record)| Entry { at_us, record }).collect()
    }

    /// The results that the last reader saw.
    fn finals(&mut self) -> Vec<&mut Seen> {
        let seen = self.records.iter_mut().filter_map(|(_, record)| match record {
            Record::Seen(seen) if &*seen.reader == "final" && seen.origin.is_some() => Some(seen),
            _ => None,
        });
        seen.collect()
    }

    /// Leaves out the events for which this is true, for every reader.
    fn leave_out(&mut self, mut gone: impl FnMut(&Seen) -> bool) {
        self.records.retain(|(_, record)| !matches!(record, Record::Seen(seen) if gone(seen)));
    }
}

fn correct() -> Story {
    Story::correct(&mut fastrand::Rng::with_seed(3))
}

/// The verdict names this promise, with evidence that has these words.
#[track_caller]
fn assert_broken(story: &Story, invariant: Invariant, words: &[&str]) {
    let verdict = story.verdict();
    let found = verdict.violations.iter().find(|violation| {
        let text = violation.evidence.join("\n");
        violation.invariant == invariant && words.iter().all(|word| text.contains(word))
    });
    assert!(found.is_some(), "{invariant:?} with {words:?} is not among:\n{verdict}");
}

fn origin_of(seen: &mut Seen) -> &mut Origin {
    seen.origin.as_mut().expect("it is a result")
}

fn first_with(story: &mut Story, wanted: impl Fn(&Seen) -> bool) -> Seen {
    let found = story.finals().into_iter().find(|seen| wanted(seen)).map(|seen| seen.clone());
    found.expect("the story has one")
}

#[test]
fn a_run_that_kept_every_promise_passes_and_is_counted() {
    for seed in 0..50 {
        let verdict = Story::correct(&mut fastrand::Rng::with_seed(seed)).verdict();
        assert!(verdict.is_clean(), "seed {seed}: {verdict}");
        let Totals { inputs, dead_letters, filtered, revisions, transactions, .. } = verdict.totals;
        assert_eq!(inputs, 120);
        assert!(dead_letters > 0 && filtered > 0 && revisions == 2 && transactions == 30);
    }
}

#[test]
fn i1_a_wrong_output_is_noticed() {
    let mut story = correct();
    story.finals()[5].digest = "something else".to_owned();
    let source = origin_of(story.finals()[5]).source.to_string();
    assert_broken(&story, Invariant::I1, &[&source]);
}

#[test]
fn i1_a_dead_letter_for_another_failure_is_noticed() {
    let mut story = correct();
    let mut finals = story.finals();
    let dead = finals.iter_mut().find(|seen| &*seen.at.0.topic == "dead").expect("there is one");
    origin_of(dead).failure = Some("trap".to_owned());
    assert_broken(&story, Invariant::I1, &["dead letter: trap", "(permanent)"]);
}

#[test]
fn i2_a_lost_result_is_noticed() {
    let mut story = correct();
    let lost = first_with(&mut story, |seen| {
        seen.origin.as_ref().is_some_and(|origin| origin.sibling == Some((1, 1)))
    });
    let source = lost.origin.expect("it is a result").source;
    story.leave_out(|seen| seen.origin.as_ref().is_some_and(|origin| origin.source == source));
    assert_broken(&story, Invariant::I2, &[&source.to_string()]);
    assert_broken(&story, Invariant::I5, &[&source.to_string()]);
}

#[test]
fn i2_a_repeated_result_is_noticed() {
    let mut story = correct();
    let first = first_with(&mut story, |seen| &*seen.at.0.topic == "out");
    let origin = first.origin.clone().expect("it is a result");
    let again = Seen { at: at("out", 0, 5_000), ..first };
    story.add(90_000_001, Record::Seen(again));
    assert_broken(&story, Invariant::I2, &[&origin.source.to_string(), "out/0/5000"]);
}

#[test]
fn i2_an_acknowledged_input_that_is_lost_is_noticed() {
    let mut story = correct();
    let (id, topic, ack) = ("nowhere".to_owned(), "in".into(), Ack::Acknowledged);
    story.add(2, Record::Written(Written { id, topic, ack }));
    assert_broken(&story, Invariant::I2, &["nowhere"]);
}

#[test]
fn i2_a_result_of_nothing_is_noticed() {
    let mut story = correct();
    let mut ghost = first_with(&mut story, |_| true);
    ghost.at = at("out", 1, 9_000);
    origin_of(&mut ghost).source = at("in", 0, 4_711);
    story.add(90_000_001, Record::Seen(ghost));
    assert_broken(&story, Invariant::I2, &["in/0/4711"]);
}

#[test]
fn i3_a_torn_fan_out_is_noticed() {
    let mut story = correct();
    let torn = first_with(&mut story, |seen| &*seen.at.0.topic == "more");
    story.leave_out(|seen| seen.at == torn.at);
    let source = torn.origin.expect("it is a result").source.to_string();
    assert_broken(&story, Invariant::I3, &[&source, "1 of 3"]);
}

#[test]
fn i3_a_fan_out_that_a_reader_sees_torn_for_too_long_is_noticed() {
    let mut story = correct();
    let late = first_with(&mut story, |seen| &*seen.at.0.topic == "more");
    for (at_us, record) in &mut story.records {
        if matches!(record, Record::Seen(seen) if seen.at == late.at && &*seen.reader == "live") {
            *at_us = 85_000_000;
        }
    }
    let source = late.origin.expect("it is a result").source.to_string();
    assert_broken(&story, Invariant::I3, &["reader live", &source]);
}

#[test]
fn i4_results_out_of_order_are_noticed() {
    let mut story = correct();
    let partition = |seen: &&mut &mut Seen| (&*seen.at.0.topic, seen.at.0.partition) == ("out", 1);
    let mut finals = story.finals();
    let places: Vec<_> = finals.iter_mut().filter(partition).take(2).collect();
    let Ok([one, other]) = <[_; 2]>::try_from(places) else { panic!("there are two") };
    std::mem::swap(&mut one.at, &mut other.at);
    assert_broken(&story, Invariant::I4, &["in/1/", "out/1/"]);
}

#[test]
fn i5_an_offset_beyond_what_was_handled_is_noticed() {
    let mut story = correct();
    for (_, record) in &mut story.records {
        if let Record::Offsets(offsets) = record
            && offsets.asked_us == 80_000_000
        {
            offsets.committed[1].1 += 1;
        }
    }
    assert_broken(&story, Invariant::I5, &["in/1", "41"]);
}

#[test]
fn i5_a_result_from_the_offset_on_is_noticed() {
    let mut story = correct();
    for (_, record) in &mut story.records {
        if let Record::Offsets(offsets) = record
            && offsets.asked_us == 80_000_000
        {
            offsets.committed[2].1 -= 3;
        }
    }
    assert_broken(&story, Invariant::I5, &["in/2/", "committed offset 37"]);
    assert_broken(&story, Invariant::I8, &["in/2/37"]);
}

#[test]
fn i6_an_offset_that_goes_back_is_noticed_unless_it_was_reset() {
    let mut story = correct();
    let committed = vec![(0, 3)];
    let back = Offsets { topic: "in".into(), committed, asked_us: 40, undecided: false };
    story.add(40, Record::Reset(back.clone()));
    assert!(story.verdict().is_clean());
    story.records.pop();
    story.add(40, Record::Offsets(back));
    assert_broken(&story, Invariant::I6, &["in/0: from 5 to 3"]);
}

#[test]
fn i7_a_result_of_an_abandoned_transaction_is_noticed() {
    let mut story = correct();
    let seen = first_with(&mut story, |_| true);
    let transaction = seen.origin.and_then(|origin| origin.transaction).expect("it has a name");
    story.add(70, Record::Abandoned(Abandoned { transaction: transaction.clone() }));
    assert_broken(&story, Invariant::I7, &[&transaction]);
}

#[test]
fn i7_what_vanishes_is_noticed() {
    let mut story = correct();
    let gone = first_with(&mut story, |_| true).at;
    story.leave_out(|seen| seen.at == gone && &*seen.reader == "final");
    assert_broken(&story, Invariant::I7, &[&gone.to_string(), "seen by live"]);
}

#[test]
fn i8_a_transaction_that_stays_open_is_noticed() {
    let mut story = correct();
    let ends = Ends { topic: "out".into(), partitions: vec![(0, 10, 12)] };
    story.add(81_000_000, Record::Ends(ends));
    assert_broken(&story, Invariant::I8, &["out/0: stable 10, end 12"]);
}

#[test]
fn i8_a_run_that_was_not_observed_to_its_end_proves_nothing() {
    let mut story = correct();
    story.records.retain(|(_, record)| *record != Record::Frozen);
    assert_broken(&story, Invariant::I8, &["nobody read everything"]);
    let nothing = check(&[]);
    assert!(!nothing.is_clean(), "{nothing}");
}

#[test]
fn i9_a_zombie_is_noticed() {
    let mut story = correct();
    // The first session writes again behind the second one.
    let mut finals = story.finals();
    let last = finals.iter_mut().rfind(|seen| &*seen.at.0.topic == "out").expect("there is one");
    let zombie = "host-1/2/a-500".to_owned();
    origin_of(last).transaction = Some(zombie.clone());
    assert_broken(&story, Invariant::I9, &[&zombie]);
}

#[test]
fn i10_two_revisions_in_one_transaction_are_noticed() {
    let mut story = correct();
    let seen = &mut story.finals()[8];
    origin_of(seen).revision = 9;
    let transaction = origin_of(seen).transaction.clone().expect("it has a name");
    assert_broken(&story, Invariant::I10, &[&transaction, "revision 9"]);
}

#[test]
fn i11_two_logs_that_differ_are_noticed() {
    let (story, mut other) = (correct(), correct());
    assert_eq!(compare(&story.entries(), &other.entries()), []);
    let lost = first_with(&mut other, |seen| &*seen.at.0.topic == "dead").at;
    other.leave_out(|seen| seen.at == lost);
    let found = compare(&story.entries(), &other.entries());
    assert!(found.iter().all(|violation| violation.invariant == Invariant::I11));
    assert!(found.iter().any(|violation| violation.evidence[0].contains("dead letters")));
}

#[test]
fn i12_a_host_that_uses_too_much_is_noticed() {
    let mut story = correct();
    let (host, memory_bytes) = ("host-2".to_owned(), 1_001);
    let resources = Resources { host, memory_bytes, file_descriptors: 1, threads: 1 };
    story.add(5, Record::Resources(resources));
    assert_broken(&story, Invariant::I12, &["host-2: 1001, bound 1000"]);
}

/// Any single corruption of any correct run.
#[test]
fn whatever_is_wrong_at_random_is_noticed() {
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut story = Story::correct(&mut random);
        let mut finals = story.finals();
        let index = random.usize(..finals.len());
        let seen = finals.swap_remove(index);
        let copy = seen.clone();
        let what = random.u8(..5);
        match what {
            0 => seen.digest.push('x'),
            1 => origin_of(seen).source.0.offset += 1_000,
            2 => story.leave_out(|seen| seen.at == copy.at),
            3 => story.leave_out(|seen| seen.at == copy.at && &*seen.reader == "final"),
            _ => {
                let again = Seen { at: at(&copy.at.0.topic, 0, 7_000), ..copy };
                story.add(90_000_001, Record::Seen(again));
            }
        }
        assert!(!story.verdict().is_clean(), "seed {seed}, corruption {what}");
    }
}

#[test]
fn a_check_can_be_repeated_from_the_file() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("history.ndjson");
    let mut story = correct();
    story.finals()[3].digest = "something else".to_owned();
    let entries = story.entries();
    let lines: Vec<_> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    assert_eq!(check(&crate::audit::history::load(&file).unwrap()), check(&entries));
    std::fs::write(&file, format!("{}\nnonsense", lines[0])).unwrap();
    let error = format!("{:#}", crate::audit::history::load(&file).unwrap_err());
    assert!(error.contains("line 2 of") && error.contains("history.ndjson"), "{error}");
}
