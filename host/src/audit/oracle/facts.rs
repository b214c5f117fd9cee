//! A history, sorted so that the checks find what they look for. Borrows everything.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::verdict::Totals;
use crate::audit::history::{
    Abandoned, Ack, At, CaughtUp, Ends, Entry, Expected, Fault, Offsets, Origin, Outcome, Phase,
    Record, Resources, Run, Seen, Written,
};

/// The reader that began when the run was over.
const FINAL: &str = "final";

/// What is known of a run.
#[derive(Default)]
pub(super) struct Facts<'a> {
    /// What it is about.
    pub(super) run: Option<&'a Run>,
    /// Every event of the source topics, as the last reader saw them.
    pub(super) inputs: BTreeMap<&'a At, &'a Seen>,
    /// Every output and dead letter, as the last reader saw them.
    pub(super) results: BTreeMap<&'a At, (&'a Seen, &'a Origin)>,
    /// The results of each input, in the order of their places.
    pub(super) by_source: HashMap<&'a At, Vec<(&'a Seen, &'a Origin)>>,
    /// What readers saw during the run, and when: in the order of time.
    pub(super) live: Vec<(u64, &'a Seen)>,
    /// When readers were at the end.
    pub(super) caught_up: Vec<&'a CaughtUp>,
    /// What the model says.
    pub(super) expected: HashMap<&'a At, &'a Outcome>,
    /// What was written, by id.
    pub(super) written: BTreeMap<&'a str, Ack>,
    /// Committed offsets and resets, in the order of time; `true` is a reset.
    pub(super) samples: Vec<(&'a Offsets, bool)>,
    /// What may not be visible.
    pub(super) abandoned: HashSet<&'a str>,
    /// The ends of topics, as they were seen last.
    pub(super) ends: BTreeMap<&'a str, &'a Ends>,
    /// What hosts used.
    pub(super) resources: Vec<&'a Resources>,
    /// Whether the run was observed to its end.
    pub(super) frozen: bool,
    faults: BTreeMap<String, usize>,
    twice: Vec<&'a Seen>,
}

impl<'a> Facts<'a> {
    /// Sorts a history.
    pub(super) fn of(history: &'a [Entry]) -> Self {
        let mut facts = Self::default();
        for entry in history {
            facts.add(entry);
        }
        for (seen, origin) in facts.results.values() {
            facts.by_source.entry(&origin.source).or_default().push((seen, origin));
        }
        facts
    }

    fn add(&mut self, entry: &'a Entry) {
        match &entry.record {
            Record::Run(run) => self.run = Some(run),
            Record::Written(Written { id, ack, .. }) => {
                self.written.insert(id, *ack);
            }
            Record::Expected(Expected { source, result }) => {
                self.expected.insert(source, result);
            }
            Record::Seen(seen) if &*seen.reader == FINAL => self.add_final(seen),
            Record::Seen(seen) => self.live.push((entry.at_us, seen)),
            Record::CaughtUp(caught_up) => self.caught_up.push(caught_up),
            Record::Offsets(offsets) => self.samples.push((offsets, false)),
            Record::Reset(offsets) => self.samples.push((offsets, true)),
            Record::Abandoned(Abandoned { transaction }) => {
                self.abandoned.insert(transaction);
            }
            Record::Fault(Fault { kind, phase, .. }) => {
                if *phase != Phase::Ends {
                    *self.faults.entry(kind.clone()).or_default() += 1;
                }
            }
            Record::Ends(ends) => {
                self.ends.insert(&ends.topic, ends);
            }
            Record::Resources(resources) => self.resources.push(resources),
            Record::Frozen => self.frozen = true,
        }
    }

    fn add_final(&mut self, seen: &'a Seen) {
        let known = match &seen.origin {
            _ if self.is_source(&seen.at) => self.inputs.insert(&seen.at, seen),
            Some(origin) => self.results.insert(&seen.at, (seen, origin)).map(|(known, _)| known),
            None => return,
        };
        if known.is_some() {
            self.twice.push(seen);
        }
    }

    /// Whether an event lies in a source topic.
    pub(super) fn is_source(&self, at: &At) -> bool {
        self.run.is_some_and(|run| run.from.contains(&at.0.topic))
    }

    /// Whether an event lies in the topic of dead letters.
    pub(super) fn is_dead(&self, at: &At) -> bool {
        self.run.is_some_and(|run| run.dead_letters == at.0.topic)
    }

    /// What was seen last in one partition at one offset twice: a log that cannot be true.
    pub(super) fn twice(&self) -> &[&'a Seen] {
        &self.twice
    }

    /// The last known offsets of each source partition, by topic and partition; `None` where the
    /// last answer was that they are undecided.
    pub(super) fn committed(&self) -> BTreeMap<&'a str, Option<BTreeMap<i32, i64>>> {
        let mut last = BTreeMap::new();
        for (offsets, reset) in &self.samples {
            if !reset {
                let known =
                    (!offsets.undecided).then(|| offsets.committed.iter().copied().collect());
                last.insert(&*offsets.topic, known);
            }
        }
        last
    }

    /// How much there is.
    pub(super) fn totals(&self) -> Totals {
        let results = || self.results.values();
        let transactions: BTreeSet<_> =
            results().filter_map(|(_, origin)| origin.transaction.as_deref()).collect();
        let revisions: BTreeSet<_> = results().map(|(_, origin)| origin.revision).collect();
        let dead_letters = results().filter(|(seen, _)| self.is_dead(&seen.at)).count();
        let filtered = self.inputs.keys().filter(|at| {
            matches!(self.expected.get(**at), Some(Outcome::Outputs(outputs)) if outputs.is_empty())
        });
        Totals {
            inputs: self.inputs.len(),
            outputs: self.results.len() - dead_letters,
            dead_letters,
            filtered: filtered.count(),
            transactions: transactions.len(),
            abandoned: self.abandoned.len(),
            revisions: revisions.len(),
            faults: self.faults.clone(),
            reads: self.live.len(),
            offset_samples: self.samples.iter().filter(|(_, reset)| !reset).count(),
        }
    }
}

/// A result in words: where it lies, what it came from, and who made it.
pub(super) fn words(seen: &Seen, origin: &Origin) -> String {
    let Origin { source, revision, transaction, sibling, failure } = origin;
    let mut words = format!("{} from {source}, revision {revision}", seen.at);
    if let Some((k, n)) = sibling {
        words += &format!(", {k} of {n}");
    }
    if let Some(failure) = failure {
        words += &format!(", dead letter: {failure}");
    }
    if let Some(transaction) = transaction {
        words += &format!(", transaction {transaction}");
    }
    words
}
