//! Child processes under the guardian: killed when dropped, their output kept for messages.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lockstep::audit::history::Bounds;
use rustix::process::{Pid, Signal, kill_process};

use crate::guardian;

/// A running program whose stderr (and stdout, after it) is collected line by line.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
    ended: Option<ExitStatus>,
}

#[derive(Default)]
struct Lines {
    state: Mutex<Collected>,
    changed: Condvar,
}

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    open: usize,
}

impl Process {
    /// Starts the program and collects what it prints.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {name}: {error}"));
        guardian::watch(child.id());
        let lines = Arc::new(Lines::default());
        lines.lock().open = 2;
        collect(child.stdout.take().expect("stdout was piped"), Arc::clone(&lines));
        collect(child.stderr.take().expect("stderr was piped"), Arc::clone(&lines));
        Self { name: name.to_owned(), child, lines, ended: None }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().lines.clone()
    }

    /// Everything printed so far, as one text for a failure message.
    pub fn output(&self) -> String {
        let mut text = format!("--- output of {} ---\n", self.name);
        for line in &self.lines.lock().lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// Waits for a printed line that `wanted` turns into something. `None` when the process
    /// closed its output, or the time is over, without such a line.
    pub fn find_line<T>(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut seen = 0;
        let mut state = self.lines.lock();
        loop {
            for line in &state.lines[seen..] {
                if let Some(found) = wanted(line) {
                    return Some(found);
                }
            }
            seen = state.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open == 0 {
                return None;
            }
            let wait = self.lines.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none()
            && let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, signal)
                .unwrap_or_else(|error| panic!("failed to signal {}: {error}", self.name));
        }
    }

    /// Kills the process as `kill -9` does, and waits until it is gone.
    pub fn kill9(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            self.wait(Duration::from_secs(30));
        }
    }

    /// Waits for the end of the process; panics with its output when it does not end in time.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end within {within:?}\n{}",
                self.name,
                self.output()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status, when the process has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("the child is ours");
            if self.ended.is_some() {
                guardian::forget(self.pid());
            }
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// How a process ended, in a form that tests compare: the exit code, or minus the signal.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

fn collect(pipe: impl Read + Send + 'static, lines: Arc<Lines>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while let Ok(1..) = pipe.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.lock().lines.push(text);
            lines.changed.notify_all();
            line.clear();
        }
        lines.lock().open -= 1;
        lines.changed.notify_all();
    });
}

/// The most memory a process has held so far, in bytes (`VmHWM`).
pub fn peak_memory(pid: u32) -> u64 {
    status_field(pid, "VmHWM:") * 1024
}

/// A number of `/proc/<pid>/status`; 0 when the process is gone.
fn status_field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}

/// The processor time a process has used so far, its threads included.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the name, may hold anything; the ones after it are numbers.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

/// What a process uses at this moment.
pub fn resources(pid: u32) -> Bounds {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Bounds {
        memory_bytes: status_field(pid, "VmRSS:") * 1024,
        file_descriptors: files as u64,
        threads: status_field(pid, "Threads:"),
    }
}
