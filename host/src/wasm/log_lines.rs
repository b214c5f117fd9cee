//! Lines that a handler's guests wrote, on their way into the host's log: shortened, escaped and
//! no more than so many in a second. What is left out is counted and said.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::kept_lines::KeptLines;
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
            budget: Mutex::new(Budget {
                per_second: handler.limits.log_lines_per_second,
                since: Instant::now(),
                written: 0,
                dropped: 0,
            }),
            kept: None,
        }
    }

    /// The same, with all lines kept and none logged.
    pub(super) fn keeping(handler: &Handler, kept: &KeptLines) -> Self {
        let mut lines = Self::new(handler);
        lines.kept = Some(kept.clone());
        lines
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
        let (admitted, dropped) =
            self.budget.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        self.report(dropped);
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

impl Budget {
    /// Whether a line may be written now, and how many were dropped in the second before, the
    /// first time that is known.
    fn admit(&mut self, now: Instant) -> (bool, u64) {
        let mut dropped = 0;
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            self.written = 0;
            dropped = std::mem::take(&mut self.dropped);
        }
        let admitted = self.written < self.per_second;
        if admitted {
            self.written += 1;
        } else {
            self.dropped += 1;
        }
        (admitted, dropped)
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

    #[test]
    fn lines_beyond_the_share_of_a_second_are_counted_and_reported_once() {
        let start = Instant::now();
        let mut budget = Budget { per_second: 2, since: start, written: 0, dropped: 0 };
        let half = start + Duration::from_millis(500);
        let verdicts: Vec<_> = (0..4).map(|_| budget.admit(half)).collect();
        assert_eq!(verdicts, [(true, 0), (true, 0), (false, 0), (false, 0)]);
        assert_eq!(budget.admit(start + WINDOW), (true, 2));
        assert_eq!(budget.admit(start + WINDOW), (true, 0));
    }

    #[test]
    fn a_handler_without_a_share_logs_nothing() {
        let start = Instant::now();
        let mut budget = Budget { per_second: 0, since: start, written: 0, dropped: 0 };
        assert_eq!(budget.admit(start), (false, 0));
        assert_eq!(budget.admit(start + WINDOW), (false, 1));
    }
}
