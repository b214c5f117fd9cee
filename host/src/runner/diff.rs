//! What differs between two texts, line by line, with what stands around it.

use similar::{ChangeTag, TextDiff};

/// Equal lines that are shown around a difference.
const CONTEXT: usize = 4;
/// Lines of a difference that anybody reads.
const LONGEST: usize = 120;
/// Characters of a line that anybody reads.
const WIDEST: usize = 400;

/// The lines that differ: `-` is expected, `+` is what came, a blank stands for both.
pub(super) fn lines(expected: &str, actual: &str) -> String {
    let diff = TextDiff::from_lines(expected, actual);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            lines.push("  …".to_owned());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            lines.push(format!("{sign} {}", narrow(change.value().trim_end_matches('\n'))));
        }
    }
    limited(lines)
}

/// A text as it is, unless it is too long for anybody to read.
pub(super) fn readable(text: &str) -> String {
    limited(text.lines().map(|line| format!("  {}", narrow(line))).collect())
}

fn limited(mut lines: Vec<String>) -> String {
    if lines.len() > LONGEST {
        let more = lines.len() - LONGEST;
        lines.truncate(LONGEST);
        lines.push(format!("  … {more} more lines"));
    }
    lines.join("\n")
}

fn narrow(line: &str) -> String {
    match line.char_indices().nth(WIDEST) {
        None => line.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} more bytes)", &line[..end], line.len() - end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_its_surroundings() {
        let text = |changed: &str| {
            let line = |n: u32| if n == 10 { changed.to_owned() } else { n.to_string() };
            (0..20).map(line).collect::<Vec<_>>().join("\n")
        };
        let shown = lines(&text("old"), &text("new"));
        assert_eq!(shown, "  6\n  7\n  8\n  9\n- old\n+ new\n  11\n  12\n  13\n  14");
        assert_eq!(lines("same", "same"), "");
    }

    #[test]
    fn what_is_too_long_to_read_is_cut_and_counted() {
        let shown = readable(&"x\n".repeat(LONGEST + 5));
        assert!(shown.ends_with("\n  … 5 more lines"), "{shown}");
        let shown = lines("", &"x".repeat(WIDEST + 7));
        assert!(shown.ends_with("… (7 more bytes)"), "{shown}");
    }
}
