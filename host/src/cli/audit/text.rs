//! A report for people: what was broken, with evidence, then the tables, the verdict last.

use std::time::Duration;

use crate::audit::report::{Promise, Report};
use crate::cli::table::table;

/// The whole report.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    for violation in &report.violations {
        text += &format!("{violation}\n");
    }
    if !report.violations.is_empty() {
        text += "\n";
    }
    text += &promises(report);
    text += &format!("\n\n{}\n", totals(report));
    if !report.recovery.is_empty() {
        text += &format!("\n{}\n", recovery(report));
    }
    text += &format!("\n{}\n", model(report));
    text += &left(report);
    text + &format!("\n{}{}\n", report.verdict, seed(report))
}

fn promises(report: &Report) -> String {
    let rows = report.promises.iter().map(|line| {
        let checked = match line.promise {
            Promise::Wrong if report.model.expects == 0 => "-".to_owned(),
            _ => line.checked.to_string(),
        };
        vec![name(line.promise).to_owned(), line.means.to_owned(), checked, line.broken.to_string()]
    });
    table(&["", "PROMISE", "CHECKED", "BROKEN"], &[2, 3], rows)
}

fn name(promise: Promise) -> &'static str {
    match promise {
        Promise::Lost => "lost",
        Promise::Repeated => "repeated",
        Promise::Torn => "torn",
        Promise::Reordered => "reordered",
        Promise::Wrong => "wrong",
        Promise::Aborted => "aborted",
        Promise::Offsets => "offsets",
        Promise::Revisions => "revisions",
        Promise::Unfinished => "unfinished",
    }
}

fn totals(report: &Report) -> String {
    let totals = &report.totals;
    let mut parts = vec![
        count(totals.inputs, "event"),
        count(totals.outputs, "output"),
        count(totals.dead_letters, "dead letter"),
        count(totals.transactions, "transaction"),
        format!("{} given up", totals.abandoned),
        count(totals.revisions, "revision"),
    ];
    parts.extend(report.rebalances.map(|times| format!("partitions assigned {times} times")));
    parts.join(", ")
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn recovery(report: &Report) -> String {
    let time = |ms: u64| format!("{:.1} s", Duration::from_millis(ms).as_secs_f64());
    let rows = report.recovery.iter().map(|recovery| {
        let times = recovery.times.to_string();
        vec![recovery.fault.clone(), times, time(recovery.p50_ms), time(recovery.max_ms)]
    });
    table(&["FAULT", "TIMES", "RECOVERY P50", "MAX"], &[1, 2, 3], rows)
}

fn model(report: &Report) -> String {
    match &report.model.none {
        None => format!(
            "the component itself, run twice, was the model for {} of {} events",
            report.model.expects, report.totals.inputs
        ),
        Some(reason) => format!("results were compared with no model: {reason}"),
    }
}

fn left(report: &Report) -> String {
    let Some(left) = &report.left else { return String::new() };
    let mut text = format!("\nkept the history in {}\n", left.history.display());
    text +=
        &format!("kept the log, {}, with group {} and topics\n", left.site.log, left.site.group);
    left.site.topics.iter().for_each(|topic| text += &format!("  {topic}\n"));
    text
}

/// With it, the same inputs and faults are drawn again.
fn seed(report: &Report) -> String {
    report.run.as_ref().map_or_else(String::new, |run| format!(" (seed {})", run.seed))
}
