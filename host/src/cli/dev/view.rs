//! The area that stays at the bottom of the terminal, as lines. Pure.

use std::time::Instant;

use console::{Style, measure_text_width};

use super::screen::{Phase, Shown, State, Trouble};
use crate::status::WorkerState;

/// Lines of a trouble that are shown at least, if it has so many.
const TROUBLE_LINES: usize = 3;
/// Columns beyond which nothing is lined up.
const WIDE: usize = 100;

/// The lines for a terminal of this size. They may be longer than it is wide: whoever shows them
/// cuts them.
pub(super) fn lines(state: &State, (columns, rows): (usize, usize), now: Instant) -> Vec<String> {
    // Most of the terminal is for the lines that scroll, unless it is needed for a trouble.
    let room = rows.saturating_sub(1).max(1);
    let handlers: Vec<_> =
        state.handlers.iter().map(|shown| handler(shown, columns, now)).collect();
    let mut lines = vec![rule(state, columns)];
    let fixed = 1 + handlers.len();
    let troubled = state.handlers.iter().filter(|shown| shown.trouble.is_some()).count();
    // What came out gives way to what is wrong.
    let wanted: usize = state.handlers.iter().map(|h| h.outputs.len() + h.dead_letters.len()).sum();
    let shows_flow = fixed + wanted + troubled * (TROUBLE_LINES + 1) <= room;
    let flow = if shows_flow { wanted } else { 0 };
    let share = room.saturating_sub(fixed + flow).checked_div(troubled).unwrap_or(0);
    for (head, shown) in handlers.into_iter().zip(&state.handlers) {
        lines.push(head);
        if shows_flow {
            let faint = Style::new().for_stderr().dim();
            lines.extend(shown.outputs.iter().map(|line| format!("  → {}", faint.apply_to(line))));
            let sad = Style::new().for_stderr().yellow();
            lines.extend(
                shown.dead_letters.iter().map(|line| format!("  ✗ {}", sad.apply_to(line))),
            );
        }
        if let Some(trouble) = &shown.trouble {
            lines.extend(trouble_lines(trouble, share.min(room / 2)));
        }
    }
    lines.truncate(room);
    lines
}

/// A line that parts the area from the log above it, and says where events are sent to.
fn rule(state: &State, columns: usize) -> String {
    let text = match &state.ingest {
        Some(ingest) => format!("── Ctrl-C stops · events to {ingest} "),
        None => "── Ctrl-C stops ".to_owned(),
    };
    let rest = columns.saturating_sub(1).min(WIDE).saturating_sub(measure_text_width(&text));
    Style::new().for_stderr().dim().apply_to(format!("{text}{}", "─".repeat(rest))).to_string()
}

fn handler(shown: &Shown, columns: usize, now: Instant) -> String {
    let revision = shown.status.as_ref().map(|status| format!("@{}", status.revision));
    let label = format!("{}{}", shown.name, revision.unwrap_or_default());
    let (colour, words) = state(shown, now);
    let left =
        format!("{}  {}", Style::new().for_stderr().bold().apply_to(label), colour.apply_to(words));
    let right = figures(shown);
    let used = measure_text_width(&left) + measure_text_width(&right);
    let gap = columns.saturating_sub(1).min(WIDE).saturating_sub(used).max(2);
    format!("{left}{}{right}", " ".repeat(gap))
}

/// How the handler is, in a few words.
fn state(shown: &Shown, now: Instant) -> (Style, String) {
    let style = Style::new().for_stderr();
    let busy = |what: &str| {
        let seconds = now.saturating_duration_since(shown.since).as_secs_f64();
        (style.clone().cyan(), format!("{what} {seconds:.1} s"))
    };
    match &shown.phase {
        Phase::Building(line) => {
            let (style, text) = busy("building");
            return (style, format!("{text}  {line}"));
        }
        Phase::Loading => return busy("loading"),
        Phase::Testing => return busy("testing"),
        Phase::Swapping => return busy("swapping"),
        Phase::Idle => {}
    }
    if let Some(trouble) = &shown.trouble {
        return (style.red(), trouble.title.clone());
    }
    let Some(status) = &shown.status else { return (style.dim(), "starting".to_owned()) };
    let halted: Vec<_> = status.workers.iter().flat_map(|worker| &worker.stopped_at).collect();
    let reason = || status.workers.iter().find_map(|worker| worker.last_error.clone());
    if let Some(first) = halted.first() {
        let reason = reason().unwrap_or_default();
        return (style.red(), format!("halted at {first}: {reason}"));
    }
    let is = |state| status.workers.iter().any(|worker| worker.state == state);
    if is(WorkerState::BackingOff) {
        return (style.red(), format!("starts again: {}", reason().unwrap_or_default()));
    }
    if is(WorkerState::Starting) {
        return (style.dim(), "starting".to_owned());
    }
    (style.green(), "running".to_owned())
}

fn figures(shown: &Shown) -> String {
    let workers = || shown.status.iter().flat_map(|status| &status.workers);
    let dead: u64 = workers().map(|worker| worker.dead_letters).sum();
    let (events, rate) = (shown.events(), shown.rate);
    let mut text = match rate {
        rate if rate >= 100.0 => format!("{rate:.0}/s  {events} events"),
        rate => format!("{rate:.1}/s  {events} events"),
    };
    if dead > 0 {
        text += &format!("  {dead} dead");
    }
    text
}

/// The beginning of what is wrong, from where it gets interesting.
fn trouble_lines(trouble: &Trouble, most: usize) -> Vec<String> {
    let all: Vec<_> = trouble.text.lines().filter(|line| !line.trim().is_empty()).collect();
    let is_error = |line: &&str| console::strip_ansi_codes(line).trim_start().starts_with("error");
    let first = all.iter().position(is_error).unwrap_or(0);
    let shown = all[first..].iter().take(most);
    shown.map(|line| format!("  {}\u{1b}[0m", line.replace('\t', "    "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{HandlerStatus, WorkerStatus};

    fn state(names: &[&str]) -> State {
        let handlers = names.iter().map(|name| Shown::named(name)).collect();
        State { ingest: Some("http://127.0.0.1:8080/v1/topics/in/events".to_owned()), handlers }
    }

    fn status(name: &str) -> HandlerStatus {
        let worker = WorkerStatus {
            slot: 0,
            revision: 2,
            state: WorkerState::Running,
            events: 7,
            dead_letters: 1,
            last_error: None,
            stopped_at: Vec::new(),
            partitions: Vec::new(),
        };
        HandlerStatus { name: name.to_owned(), revision: 2, workers: vec![worker] }
    }

    fn shown(state: &State, size: (usize, usize)) -> Vec<String> {
        let lines = lines(state, size, Instant::now());
        lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
    }

    #[test]
    fn a_handler_that_runs_says_its_revision_and_what_came_out() {
        let mut state = state(&["weather"]);
        state.handlers[0].status = Some(status("weather"));
        state.handlers[0].outputs.push_back("out/0/1  k  v".to_owned());
        state.handlers[0].dead_letters.push_back("dead/0/1  permanent: bad".to_owned());
        let lines = shown(&state, (80, 24));
        assert!(lines[0].contains("/v1/topics/in/events"), "{lines:?}");
        assert!(lines[1].starts_with("weather@2  running"), "{lines:?}");
        assert!(lines[1].ends_with("0.0/s  7 events  1 dead"), "{lines:?}");
        assert_eq!(lines[2..], ["  → out/0/1  k  v", "  ✗ dead/0/1  permanent: bad"]);
        let widths = lines.iter().map(|line| measure_text_width(line));
        assert_eq!(widths.max(), Some(79), "the last column stays free: {lines:?}");
    }

    #[test]
    fn a_compiler_is_quoted_from_its_first_error_on_as_far_as_there_is_room() {
        let mut state = state(&["weather", "orders"]);
        let text: String = (0..50).map(|n| format!("  {n}\n")).collect();
        let text = format!("   Compiling weather\n\n\u{1b}[31merror[E0308]\u{1b}[0m: no\n{text}");
        let trouble = Trouble { title: "does not build".to_owned(), text };
        state.handlers[0].trouble = Some(trouble);
        state.handlers[1].status = Some(status("orders"));
        for rows in [24, 10, 5] {
            let lines = shown(&state, (80, rows));
            assert!(lines.len() < rows, "{lines:?}");
            assert!(lines[1].starts_with("weather  does not build"), "{lines:?}");
            assert!(lines[2].starts_with("  error[E0308]: no"), "{lines:?}");
            assert!(rows == 5 || lines.iter().any(|l| l.starts_with("orders@2")), "{lines:?}");
        }
    }

    #[test]
    fn the_smallest_terminal_is_never_filled() {
        let state = state(&["a", "b", "c"]);
        assert_eq!(
            (1..4).map(|rows| shown(&state, (1, rows)).len()).collect::<Vec<_>>(),
            [1, 1, 2]
        );
    }
}
