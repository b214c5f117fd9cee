//! I1 and I2: each input has its results, the right ones, once; nothing else has any. I8: there
//! was something to look at, and all of it was seen.

use super::facts::{Facts, words};
use super::verdict::{Findings, Invariant};
use crate::audit::history::{Ack, Content, Origin, Outcome, Seen};

/// Checks them.
pub(super) fn check(facts: &Facts<'_>, findings: &mut Findings) {
    if !facts.frozen {
        let why = || "nobody read everything when the hosts had stopped".to_owned();
        findings.add(Invariant::I8, "the run was not observed to its end", why);
        return;
    }
    if facts.inputs.is_empty() {
        let why = || "the source topics are empty".to_owned();
        findings.add(Invariant::I8, "nothing was handled, so nothing is proved", why);
    }
    check_writes(facts, findings);
    for seen in facts.twice() {
        findings.add(Invariant::I2, "two events at one offset", || seen.at.to_string());
    }
    for (at, input) in &facts.inputs {
        let results = facts.by_source.get(*at).map_or(&[][..], Vec::as_slice);
        check_alone(facts, results, findings);
        if let Some(expected) = facts.expected.get(*at) {
            check_expected(facts, input, results, expected, findings);
        }
    }
    for (seen, origin) in facts.results.values() {
        if !facts.inputs.contains_key(&origin.source) {
            let case = || words(seen, origin);
            findings.add(Invariant::I2, "a result of an input that is not in the log", case);
        }
    }
}

/// What was acknowledged is there; what was refused is not.
fn check_writes(facts: &Facts<'_>, findings: &mut Findings) {
    if facts.written.is_empty() {
        return;
    }
    let there: std::collections::HashSet<_> =
        facts.inputs.values().filter_map(|input| input.id.as_deref()).collect();
    for (id, ack) in &facts.written {
        let case = || format!("input {id}");
        match (ack, there.contains(id)) {
            (Ack::Acknowledged, false) => {
                findings.add(Invariant::I2, "an acknowledged input is not in the log", case);
            }
            (Ack::Refused, true) => {
                findings.add(Invariant::I2, "a refused input is in the log", case);
            }
            _ => {}
        }
    }
}

type Results<'a> = [(&'a Seen, &'a Origin)];

fn check_expected(
    facts: &Facts<'_>,
    input: &Seen,
    results: &Results<'_>,
    expected: &Outcome,
    findings: &mut Findings,
) {
    let (outputs, dead): (Vec<_>, Vec<_>) =
        results.iter().copied().partition(|(seen, _)| !facts.is_dead(&seen.at));
    let all = || results.iter().map(|(s, o)| words(s, o)).collect::<Vec<_>>().join("; ");
    let case = || format!("{}, expected {}: {}", named(input), expectation(expected), all());
    let mut wanted = match expected {
        Outcome::Outputs(outputs) => outputs.clone(),
        Outcome::DeadLetter(_) => Vec::new(),
    };
    let mut extra = 0;
    for (seen, _) in &outputs {
        let is =
            |content: &Content| content.digest == seen.digest && content.topic == seen.at.0.topic;
        match wanted.iter().position(is) {
            Some(index) => drop(wanted.swap_remove(index)),
            None => extra += 1,
        }
    }
    let dead_wanted = usize::from(matches!(expected, Outcome::DeadLetter(_)));
    let missing = wanted.len() + dead_wanted.saturating_sub(dead.len());
    if missing > 0 && results.is_empty() {
        findings.add(Invariant::I2, "an input without its results", case);
    } else if missing > 0 {
        findings.add(Invariant::I1, "some results of an input are missing", case);
    }
    if extra > 0 {
        findings.add(Invariant::I1, "outputs that the handler does not make", case);
    }
    if !dead.is_empty() && dead_wanted == 0 {
        findings.add(Invariant::I1, "a dead letter of an input that has outputs", case);
    }
    if let (Outcome::DeadLetter(kind), Some((seen, origin))) = (expected, dead.first()) {
        if origin.failure.as_ref() != Some(kind) {
            findings.add(Invariant::I1, "a dead letter for another failure", case);
        } else if seen.digest != input.digest {
            findings.add(Invariant::I1, "a dead letter that is not its input", case);
        }
    }
}

/// Whatever the model says: either outputs or one dead letter, and each of the siblings once.
fn check_alone(facts: &Facts<'_>, results: &Results<'_>, findings: &mut Findings) {
    let (outputs, dead): (Vec<_>, Vec<_>) =
        results.iter().copied().partition(|(seen, _)| !facts.is_dead(&seen.at));
    let case = || results.iter().map(|(s, o)| words(s, o)).collect::<Vec<_>>().join("; ");
    if !outputs.is_empty() && !dead.is_empty() {
        findings.add(Invariant::I2, "an input with outputs and a dead letter", case);
    }
    if dead.len() > 1 || repeated(&outputs) {
        findings.add(Invariant::I2, "an input with more than its results", case);
    }
}

/// Whether two outputs say that they are the same sibling.
fn repeated(outputs: &[(&Seen, &Origin)]) -> bool {
    let mut numbers: Vec<_> =
        outputs.iter().map(|(_, origin)| origin.sibling.map_or(1, |(k, _)| k)).collect();
    numbers.sort_unstable();
    numbers.windows(2).any(|pair| pair[0] == pair[1])
}

fn named(input: &Seen) -> String {
    match &input.id {
        Some(id) => format!("input {} ({id})", input.at),
        None => format!("input {}", input.at),
    }
}

fn expectation(expected: &Outcome) -> String {
    match expected {
        Outcome::Outputs(outputs) => format!("{} outputs", outputs.len()),
        Outcome::DeadLetter(kind) => format!("a dead letter ({kind})"),
    }
}
