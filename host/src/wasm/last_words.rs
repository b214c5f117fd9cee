//! What a guest said on stderr before it failed, reduced to what explains the failure.
//!
//! The lines themselves went to the log as they came; this is for the message of the failure.

use std::collections::VecDeque;

/// How a Rust guest begins its last words.
const PANIC: &str = "panicked at ";
/// How a Python guest begins them; the error itself comes last.
const TRACEBACK: &str = "Traceback (most recent call last)";
/// What a Rust guest adds, and nobody can follow in a sandbox.
pub(super) const HINT: &str = "note: run with `RUST_BACKTRACE";
/// The longest text, in bytes.
const MAX_BYTES: usize = 1024;

/// The last words of a guest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LastWords {
    /// A panic or an uncaught error, which says all there is to say.
    Error(String),
    /// Something else, which may explain it.
    Lines(String),
}

impl LastWords {
    /// What these last lines of stderr come to; `None` when there are none.
    pub(super) fn of(said: &VecDeque<String>) -> Option<Self> {
        let lines: Vec<&str> = said
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty() && !line.starts_with(HINT))
            .collect();
        let begins = |words: &str| lines.iter().rposition(|line| line.contains(words));
        if let Some(panic) = begins(PANIC) {
            let text = joined(&lines[panic..]);
            let begin = text.find(PANIC).unwrap_or(0);
            return Some(Self::Error(cut(&text[begin..])));
        }
        if begins(TRACEBACK).is_some() {
            return lines.last().map(|line| Self::Error(cut(line)));
        }
        (!lines.is_empty()).then(|| Self::Lines(cut(&joined(&lines))))
    }
}

/// One line of several: a line that ends in a colon is continued by the next.
fn joined(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        match text.chars().next_back() {
            None => {}
            Some(':') => text.push(' '),
            Some(_) => text += "; ",
        }
        text += line;
    }
    text
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<LastWords> {
        LastWords::of(&lines.iter().map(|&line| line.to_owned()).collect())
    }

    fn error(text: &str) -> Option<LastWords> {
        Some(LastWords::Error(text.to_owned()))
    }

    #[test]
    fn a_panic_is_its_place_and_message_without_the_hint() {
        let said = of(&[
            "loading",
            "thread '<unnamed>' panicked at src/lib.rs:5:9:",
            "no such unit",
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
        ]);
        assert_eq!(said, error("panicked at src/lib.rs:5:9: no such unit"));
    }

    #[test]
    fn a_panic_of_several_lines_becomes_one() {
        let said = of(&[
            "thread '<unnamed>' panicked at src/lib.rs:5:9:",
            "assertion `left == right` failed",
            "  left: 1",
            " right: 2",
        ]);
        let text =
            "panicked at src/lib.rs:5:9: assertion `left == right` failed; left: 1; right: 2";
        assert_eq!(said, error(text));
    }

    #[test]
    fn of_a_traceback_the_error_is_what_counts() {
        let said = of(&[
            "Traceback (most recent call last):",
            "  File \"/0/app.py\", line 7, in handle",
            "ValueError: no such unit",
        ]);
        assert_eq!(said, error("ValueError: no such unit"));
    }

    #[test]
    fn without_an_error_the_last_words_are_all_of_them() {
        assert_eq!(of(&["a", " ", "b"]), Some(LastWords::Lines("a; b".to_owned())));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn long_words_are_cut() {
        let Some(LastWords::Lines(text)) = of(&[&"é".repeat(2_000)]) else {
            panic!("it said something")
        };
        assert!(text.len() <= MAX_BYTES + '…'.len_utf8() && text.ends_with('…'));
    }
}
