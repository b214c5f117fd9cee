//! What a build writes, line by line, to its end or until it is told to stop.

use std::io::{self, BufRead as _, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::stop::Stop;

/// How often a running build looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(20);

/// How long a build that is asked to stop may clean up behind itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads to the end and tells each line.
pub(super) fn lines(reader: impl Read, mut tell: impl FnMut(&[u8])) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut reader = BufReader::new(reader);
    loop {
        let start = output.len();
        if reader.read_until(b'\n', &mut output)? == 0 {
            return Ok(output);
        }
        tell(&output[start..]);
    }
}

/// The same, and ends the process group that `leader` leads when a stop is requested.
pub(super) fn lines_until(
    reader: impl Read + Send,
    progress: &dyn Fn(&str),
    stop: &Stop,
    leader: &Child,
) -> io::Result<Vec<u8>> {
    let mut writers = Group::of(leader);
    thread::scope(|scope| {
        let (sender, told) = mpsc::channel();
        let reading = scope.spawn(move || {
            // Nobody hears the last lines of a build that is stopped.
            lines(reader, |line| drop(sender.send(String::from_utf8_lossy(line).into_owned())))
        });
        loop {
            if stop.requested() {
                writers.end();
            }
            match told.recv_timeout(GLANCE) {
                Ok(line) => progress(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let panicked = |_| Err(io::Error::other("the thread that reads the output panicked"));
        reading.join().unwrap_or_else(panicked)
    })
}

/// A process group that is to end: asked first, then killed.
struct Group {
    id: Pid,
    asked: Option<Instant>,
}

impl Group {
    /// The group that this child leads.
    fn of(child: &Child) -> Self {
        // Process ids fit: pid_t is an i32.
        Self { id: Pid::from_raw(child.id().cast_signed()), asked: None }
    }

    fn end(&mut self) {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let signal = if asked.elapsed() < PATIENCE { Signal::SIGTERM } else { Signal::SIGKILL };
        // An error says that the group is gone already.
        let _ = killpg(self.id, signal);
    }
}
