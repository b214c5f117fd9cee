//! Test results for people: a line for each case, the reasons of those that failed, a sum. Pure.

use std::io::IsTerminal as _;
use std::time::Duration;

use bytesize::ByteSize;

use super::Tested;
use crate::runner::{CaseResult, Kind, Outcome};

/// The longest name that the columns behind it make room for.
const WIDEST_NAME: usize = 40;

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    colours: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Green,
    Red,
    Yellow,
    Faint,
    Bold,
}

impl Style {
    /// Colours on a terminal whose owner has not asked for none.
    pub(super) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && std::io::stdout().is_terminal() }
    }

    fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Faint => "2",
            Colour::Bold => "1",
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// How many ended in which way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
    pub(super) blessed: usize,
}

impl Counts {
    pub(super) fn of(tested: &[Tested]) -> Self {
        let mut counts = Self::default();
        for result in tested.iter().flat_map(|one| &one.report.results) {
            match result.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Skipped(_) => counts.skipped += 1,
                Outcome::Blessed => counts.blessed += 1,
            }
        }
        counts
    }
}

/// One handler: a line for each of its tests.
pub(super) fn handler(Tested { folder, report }: &Tested, style: &Style) -> String {
    if report.results.is_empty() {
        return String::new();
    }
    let name = style.paint(Colour::Bold, &report.handler);
    let mut text =
        format!("{name}  {}\n", style.paint(Colour::Faint, &folder.display().to_string()));
    let names = report.results.iter().map(|result| result.name.chars().count());
    let width = names.max().unwrap_or(0).min(WIDEST_NAME);
    for result in &report.results {
        text += &line(result, width, style);
    }
    text + "\n"
}

/// How to begin, for the author of a handler without cases.
pub(super) fn first_steps(Tested { folder, report }: &Tested) -> Option<String> {
    let any = report.results.iter().any(|result| result.kind == Kind::Case);
    let file = folder.join("cases/first/in.json");
    (!any).then(|| {
        format!(
            "{} has no cases yet. For a first one, write an event into {}, for example\n\n  \
             {{ \"key\": \"k\", \"value\": {{ \"json\": {{ \"id\": 1 }} }} }}\n\nand have \
             `lockstep test --bless` write down what the handler makes of it.\n\n",
            report.handler,
            file.display()
        )
    })
}

fn line(result: &CaseResult, width: usize, style: &Style) -> String {
    let (word, colour) = match result.outcome {
        Outcome::Passed => ("ok", Colour::Green),
        Outcome::Failed(_) => ("FAILED", Colour::Red),
        Outcome::Skipped(_) => ("skipped", Colour::Yellow),
        Outcome::Blessed => ("blessed", Colour::Yellow),
    };
    let word = style.paint(colour, &format!("{word:<7}"));
    let kind = match result.kind {
        Kind::Case => "case",
        Kind::Property => "property",
    };
    let details = match &result.outcome {
        Outcome::Skipped(reason) => reason.clone(),
        _ => format!("{:>9}  {:>9}", time(result.time), ByteSize(result.memory as u64).to_string()),
    };
    let kind = style.paint(Colour::Faint, &format!("{kind:<8}"));
    format!("  {word}  {:<width$}  {kind}  {details}\n", result.name)
}

/// What failed and why, and the sum.
pub(super) fn summary(tested: &[Tested], took: Duration, style: &Style) -> String {
    let mut text = String::new();
    for Tested { report, .. } in tested {
        for result in &report.results {
            if let Outcome::Failed(reason) = &result.outcome {
                let title = format!("{}/{} failed", report.handler, result.name);
                text +=
                    &format!("{}\n\n{}\n", style.paint(Colour::Bold, &title), shown(reason, style));
            }
        }
    }
    let Counts { passed, failed, skipped, blessed } = Counts::of(tested);
    let count = |count: usize, word: &str, colour: Colour| {
        let text = format!("{count} {word}");
        if count > 0 { style.paint(colour, &text) } else { text }
    };
    let mut sums =
        vec![count(passed, "passed", Colour::Green), count(failed, "failed", Colour::Red)];
    if skipped > 0 {
        sums.push(count(skipped, "skipped", Colour::Yellow));
    }
    if blessed > 0 {
        sums.push(count(blessed, "blessed", Colour::Yellow));
    }
    text += &format!("{} in {}\n", sums.join(", "), time(took));
    text
}

/// A reason, moved to the right, with the lines of differences in colour.
fn shown(reason: &str, style: &Style) -> String {
    let mut text = String::new();
    for line in reason.lines() {
        let line = match line {
            removed if removed.starts_with("- ") => style.paint(Colour::Red, removed),
            added if added.starts_with("+ ") => style.paint(Colour::Green, added),
            line => line.to_owned(),
        };
        text += format!("  {line}").trim_end();
        text.push('\n');
    }
    text
}

/// With three digits or so.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.000_1 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Report;

    fn tested() -> Vec<Tested> {
        let result = |name: &str, kind, outcome| CaseResult {
            name: name.to_owned(),
            kind,
            outcome,
            time: Duration::from_micros(1234),
            memory: 1 << 20,
        };
        let results = vec![
            result("good", Kind::Case, Outcome::Passed),
            result("bad", Kind::Case, Outcome::Failed("it differs\n\n- a\n+ b".to_owned())),
            result("tombstone", Kind::Property, Outcome::Skipped("not here".to_owned())),
        ];
        let report = Report { handler: "weather".to_owned(), results };
        vec![Tested { folder: "handlers/weather".into(), report }]
    }

    #[test]
    fn every_test_has_a_line_with_time_and_memory() {
        assert_eq!(
            handler(&tested()[0], &Style { colours: false }),
            "weather  handlers/weather\n  \
             ok       good       case        1.23 ms    1.0 MiB\n  \
             FAILED   bad        case        1.23 ms    1.0 MiB\n  \
             skipped  tombstone  property  not here\n\n"
        );
    }

    #[test]
    fn failures_are_explained_before_the_sum() {
        let took = Duration::from_millis(420);
        assert_eq!(
            summary(&tested(), took, &Style { colours: false }),
            "weather/bad failed\n\n  it differs\n\n  - a\n  + b\n\n\
             1 passed, 1 failed, 1 skipped in 420 ms\n"
        );
    }

    #[test]
    fn colours_only_add_to_the_text() {
        let coloured = summary(&tested(), Duration::ZERO, &Style { colours: true });
        assert!(coloured.contains("\u{1b}[31m- a\u{1b}[0m"), "{coloured:?}");
        let mut plain = coloured;
        for code in ["0", "1", "2", "31", "32", "33"] {
            plain = plain.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(plain, summary(&tested(), Duration::ZERO, &Style { colours: false }));
    }

    #[test]
    fn times_have_about_three_digits() {
        for (nanos, text) in [
            (1_400, "1 µs"),
            (250_000, "0.25 ms"),
            (42_000_000, "42 ms"),
            (1_234_000_000, "1.23 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanos)), text);
        }
    }
}
