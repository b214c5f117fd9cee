//! Command lines that a person can paste: quoting, and how this program is called.

use std::path::Path;

/// `text` as one word for a POSIX shell, always in single quotes: what stands in them is taken
/// literally by every shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `text` as one word, quoted only when it has to be.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// How this program can be called again: `lockstep` when that name leads to it, otherwise as it
/// was invoked.
pub(super) fn program() -> String {
    let this = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let named = which::which("lockstep").ok().and_then(|path| path.canonicalize().ok());
    if this.is_some() && this == named {
        return "lockstep".to_owned();
    }
    let invoked = std::env::args_os().next();
    let path = invoked.as_deref().map_or(Path::new("lockstep"), Path::new);
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["", "it's", "{\"a\": \"$HOME `x` \\\\ !\"}", "a\nb", "*", "-n", "''"] {
            for quoted in [quoted(text), word(text)] {
                let shell =
                    Command::new("sh").args(["-c", &format!("printf %s {quoted}")]).output();
                assert_eq!(shell.map(|o| o.stdout).ok(), Some(text.as_bytes().to_vec()));
            }
        }
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(word("target/release/lockstep"), "target/release/lockstep");
        assert_eq!(word("my data"), "'my data'");
    }
}
