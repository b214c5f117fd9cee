//! Lines that guests wrote, kept for somebody who asks instead of being logged: a test that shows
//! them when it fails. The last ones, no more than anybody reads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept.
const KEPT: usize = 100;

/// What the guests of one instance wrote. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct KeptLines(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    dropped: usize,
}

impl KeptLines {
    /// Adds a line and lets go of the oldest when there are too many.
    pub(super) fn push(&self, line: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
            kept.dropped += 1;
        }
        kept.lines.push_back(line.to_owned());
    }

    /// Hands over the lines since the last call, oldest first; a first line says how many before
    /// them were let go.
    pub fn take(&self) -> Vec<String> {
        let Kept { lines, dropped } =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let missing = (dropped > 0).then(|| format!("… {dropped} lines before these"));
        missing.into_iter().chain(lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_the_rest_is_counted() {
        let kept = KeptLines::default();
        (0..KEPT + 2).for_each(|n| kept.push(&n.to_string()));
        let lines = kept.take();
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!((lines[0].as_str(), lines[1].as_str()), ("… 2 lines before these", "2"));
        assert!(kept.take().is_empty());
    }
}
