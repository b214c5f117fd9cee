//! Lines that a handler's guests wrote, on their way into the host's log: shortened, escaped and
//! no more than so many in a second. What is left out is counted, and said when the second is over.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::kept_lines::KeptLines;
use super::reminder::Reminder;
use crate::handler::Handler;

/// The time in which `limits.log_lines_per_second` lines are written.
const WINDOW: Duration = Duration::from_secs(1);

/// Which stream of the guest a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one handler, shared by all its instances.
pub(super) struct LogLines {
    handler: String,
    line_bytes: usize,
    budget: Mutex<Budget>,
    /// Where lines go instead of the host's log.
    kept: Option<KeptLines>,
    /// What reminds this log, which is the second, of the lines that it dropped.
    reminder: Option<(Reminder, Weak<Self>)>,
}

/// How many lines this second may still have.
struct Budget {
    per_second: u32,
    since: Instant,
    written: u32,
    dropped: u64,
}

impl LogLines {
    /// The log of `handler`, within its limits.
    pub(super) fn new(handler: &Handler) -> Self {
        Self {
            handler: handler.label(),
            line_bytes: handler.limits.log_line_bytes,
            budget: Mutex::new(Budget::new(handler.limits.log_lines_per_second, Instant::now())),
            kept: None,
            reminder: None,
        }
    }

    /// The same, with all lines kept and none logged.
    pub(super) fn keeping(handler: &Handler, kept: &KeptLines) -> Self {
        let mut lines = Self::new(handler);
        lines.kept = Some(kept.clone());
        lines
    }

    /// The same, told of what it drops even when no other line follows.
    pub(super) fn reminded_by(mut self, reminder: Reminder) -> Arc<Self> {
        Arc::new_cyclic(|this| {
            self.reminder = Some((reminder, Weak::clone(this)));
            self
        })
    }

    /// The length at which lines are cut, in bytes.
    pub(super) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Writes a line, unless this second has had its share.
    pub(super) fn write(&self, stream: Stream, line: &str) {
        if let Some(kept) = &self.kept {
            return kept.push(line);
        }
        let Admission { admitted, dropped, due } = self.budget().admit(Instant::now());
        self.report(dropped);
        if let (Some(due), Some((reminder, this))) = (due, &self.reminder) {
            reminder.remind(due, Weak::clone(this));
        }
        if !admitted {
            return;
        }
        let handler = self.handler.as_str();
        match stream {
            Stream::Stdout => {
                tracing::info!(target: "handler", handler, stream = "stdout", "{line}")
            }
            Stream::Stderr => {
                tracing::warn!(target: "handler", handler, stream = "stderr", "{line}")
            }
        }
    }

    /// Says how many lines were dropped in a second that is over.
    pub(super) fn tell_dropped(&self, now: Instant) {
        let dropped = self.budget().take_dropped(now);
        self.report(dropped);
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, dropped: u64) {
        if dropped > 0 {
            let handler = self.handler.as_str();
            tracing::warn!(
                target: "handler",
                handler,
                dropped,
                "lines of output dropped: more than limits.log_lines_per_second"
            );
        }
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        let dropped = self.budget.get_mut().unwrap_or_else(PoisonError::into_inner).dropped;
        self.report(dropped);
    }
}

/// The answer to a line.
#[derive(Debug, PartialEq, Eq)]
struct Admission {
    /// Whether it may be written now.
    admitted: bool,
    /// Lines dropped in a second before, the first time that is known.
    dropped: u64,
    /// When to say how many lines of this second were dropped, for the first of them.
    due: Option<Instant>,
}

impl Budget {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, since: now, written: 0, dropped: 0 }
    }

    fn admit(&mut self, now: Instant) -> Admission {
        let dropped = self.take_dropped(now);
        if self.is_over(now) {
            self.since = now;
            self.written = 0;
        }
        let admitted = self.written < self.per_second;
        let mut due = None;
        if admitted {
            self.written += 1;
        } else {
            due = (self.dropped == 0).then_some(self.since + WINDOW);
            self.dropped += 1;
        }
        Admission { admitted, dropped, due }
    }

    /// How many lines were dropped, once their second is over.
    fn take_dropped(&mut self, now: Instant) -> u64 {
        if self.is_over(now) { std::mem::take(&mut self.dropped) } else { 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

/// The text of a line: bytes that are not UTF-8 are replaced, and characters that could make one
/// line look like several, or reorder it, are escaped. `cut` bytes were left out at its end.
pub(super) fn printable(line: &[u8], cut: usize) -> String {
    let text = String::from_utf8_lossy(line);
    let mut printable = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if is_forging(c) {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    if cut > 0 {
        // Writing to a String cannot fail.
        let _ = write!(printable, "… ({cut} bytes cut)");
    }
    printable
}

/// Control characters except the tab, line and paragraph separators, and what changes the
/// direction of text.
fn is_forging(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another_or_move_the_cursor() {
        assert_eq!(printable(b"a\r\n\x1b[2Jb\tc", 0), "a\\r\\n\\u{1b}[2Jb\tc");
        assert_eq!(printable("x\u{202e}y".as_bytes(), 0), "x\\u{202e}y");
    }

    #[test]
    fn what_is_not_utf8_is_replaced_and_what_is_cut_is_said() {
        assert_eq!(printable(b"a\xffb", 7), "a\u{fffd}b… (7 bytes cut)");
    }

    /// Whether the line may be written, what was dropped before, and whether to be reminded.
    fn admit(budget: &mut Budget, now: Instant) -> (bool, u64, bool) {
        let Admission { admitted, dropped, due } = budget.admit(now);
        (admitted, dropped, due.is_some())
    }

    #[test]
    fn lines_beyond_the_share_of_a_second_are_counted_and_reported_once() {
        let start = Instant::now();
        let mut budget = Budget::new(2, start);
        let half = start + Duration::from_millis(500);
        let verdicts: Vec<_> = (0..4).map(|_| admit(&mut budget, half)).collect();
        assert_eq!(
            verdicts,
            [(true, 0, false), (true, 0, false), (false, 0, true), (false, 0, false)]
        );
        assert_eq!(admit(&mut budget, start + WINDOW), (true, 2, false));
        assert_eq!(admit(&mut budget, start + WINDOW), (true, 0, false));
    }

    #[test]
    fn a_handler_without_a_share_logs_nothing() {
        let start = Instant::now();
        let mut budget = Budget::new(0, start);
        assert_eq!(admit(&mut budget, start), (false, 0, true));
        assert_eq!(admit(&mut budget, start + WINDOW), (false, 1, true));
    }

    #[test]
    fn what_was_dropped_is_told_although_the_guest_falls_silent() -> anyhow::Result<()> {
        let log = LogLines {
            kept: None,
            handler: "weather@1".to_owned(),
            line_bytes: 100,
            budget: Mutex::new(Budget::new(0, Instant::now())),
            reminder: None,
        };
        let log = log.reminded_by(Reminder::start()?);
        log.write(Stream::Stdout, "one");
        assert_eq!(log.budget().dropped, 1);
        let deadline = Instant::now() + Duration::from_secs(30);
        while log.budget().dropped > 0 {
            anyhow::ensure!(Instant::now() < deadline, "nobody told of the line");
            std::thread::yield_now();
        }
        Ok(())
    }
}
