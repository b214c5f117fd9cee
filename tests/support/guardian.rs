//! Nothing outlives a test run: one `sh` waits on a pipe whose other end this process holds.
//!
//! When this process ends, for whatever reason (normally, Ctrl-C, `kill -9`), the pipe closes and
//! the shell kills the watched processes and removes the watched directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Pids are few and change often, so they are one string; directories may contain blanks, so
/// they are the positional parameters.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
pids=' '
set --
while IFS= read -r line; do
    what=${line#* }
    case $line in
        'watch '*) pids="$pids$what " ;;
        'forget '*) case $pids in *" $what "*) pids="${pids%% $what *} ${pids#* $what }" ;; esac ;;
        'remove '*) set -- "$@" "$what" ;;
    esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for directory; do rm -rf -- "$directory"; sleep 0.2; rm -rf -- "$directory"; done
"#;

/// Kills this process when the test run ends, unless it is forgotten before.
pub fn watch(pid: u32) {
    tell(&format!("watch {pid}"));
}

/// The process has ended: its pid may soon be someone else's.
pub fn forget(pid: u32) {
    tell(&format!("forget {pid}"));
}

/// Removes this directory when the test run ends.
pub fn remove_at_end(directory: &Path) {
    tell(&format!("remove {}", directory.display()));
}

fn tell(line: &str) {
    static GUARDIAN: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let pipe = GUARDIAN.get_or_init(|| Mutex::new(start()));
    let mut pipe = pipe.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    writeln!(pipe, "{line}").expect("the guardian shell reads until this process ends");
}

/// Starts a guardian, which acts when the pipe is closed. Others than its own test want
/// [`watch`].
#[expect(clippy::zombie_processes, reason = "the guardian outlives this process")]
pub fn start() -> ChildStdin {
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C in the terminal goes to the tests, not to their guardian
        .spawn()
        .expect("sh must be on the PATH");
    shell.stdin.take().expect("stdin was piped")
}
