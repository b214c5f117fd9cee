//! Standard output and standard error of one instance: cut into lines and handed to the log.
//!
//! Writing never waits. The last lines of stderr are remembered for the length of a call, because
//! that is where a panicking guest says why.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

use super::last_words::HINT;
use super::limiter::LimitExceeded;
use super::log_lines::{LogLines, Stream, printable};

/// What a guest may write in one call of the host. More is refused, also from a guest that has not
/// asked how much it may: what the host does with the lines no deadline ends.
const WRITE_BYTES: usize = 64 << 10;
/// Lines of stderr that are remembered.
const REMEMBERED_LINES: usize = 16;
/// Bytes of each remembered line.
const REMEMBERED_LINE_BYTES: usize = 512;

/// The output of one instance.
pub(super) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    log: Arc<LogLines>,
    /// Whether anything was written since the last call ended.
    written: AtomicBool,
    lines: Mutex<Lines>,
}

/// Lines that are being written.
#[derive(Default)]
struct Lines {
    stdout: Line,
    stderr: Line,
    /// The last lines of stderr of this call.
    remembered: VecDeque<String>,
}

/// A line without its end.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    /// Bytes left out because the line is too long.
    cut: usize,
}

impl Output {
    /// Output that goes to `log`.
    pub(super) fn new(log: Arc<LogLines>) -> Self {
        let shared = Shared { log, written: AtomicBool::new(false), lines: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// What WASI takes for standard output.
    pub(super) fn stdout(&self) -> impl StdoutStream + 'static {
        Writer { shared: Arc::clone(&self.shared), stream: Stream::Stdout }
    }

    /// What WASI takes for standard error.
    pub(super) fn stderr(&self) -> impl StdoutStream + 'static {
        Writer { shared: Arc::clone(&self.shared), stream: Stream::Stderr }
    }

    /// Ends a call: lines without an end are logged as they are. Returns what the guest said last
    /// on stderr.
    pub(super) fn end_call(&self) -> VecDeque<String> {
        if !self.shared.written.swap(false, Ordering::Relaxed) {
            return VecDeque::new();
        }
        let mut lines = self.shared.lines();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !lines.of(stream).is_empty() {
                lines.end(stream, &self.shared.log);
            }
        }
        std::mem::take(&mut lines.remembered)
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.written.store(true, Ordering::Relaxed);
        let limit = self.log.line_bytes();
        let mut lines = self.lines();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            lines.of(stream).push(&rest[..end], limit);
            lines.end(stream, &self.log);
            rest = &rest[end + 1..];
        }
        lines.of(stream).push(rest, limit);
    }
}

impl Lines {
    fn of(&mut self, stream: Stream) -> &mut Line {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Logs a line that has ended. Blank ones say nothing and would use up the budget, and a hint
    /// at an environment variable leads nowhere in a sandbox.
    fn end(&mut self, stream: Stream, log: &LogLines) {
        let text = self.of(stream).take();
        if text.is_empty() || (stream == Stream::Stderr && text.starts_with(HINT)) {
            return;
        }
        log.write(stream, &text);
        if stream == Stream::Stderr {
            self.remember(text);
        }
    }

    fn remember(&mut self, mut text: String) {
        text.truncate(text.floor_char_boundary(REMEMBERED_LINE_BYTES));
        if self.remembered.len() == REMEMBERED_LINES {
            self.remembered.pop_front();
        }
        self.remembered.push_back(text);
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cut == 0
    }

    fn push(&mut self, bytes: &[u8], limit: usize) {
        let kept = bytes.len().min(limit.saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.cut += bytes.len() - kept;
    }

    fn take(&mut self) -> String {
        let text = printable(self.bytes.trim_ascii_end(), self.cut);
        self.bytes.clear();
        self.cut = 0;
        text
    }
}

/// One stream. WASI makes as many as the guest asks for; they share their lines.
#[derive(Clone)]
struct Writer {
    shared: Arc<Shared>,
    stream: Stream,
}

impl IsTerminal for Writer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Writer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES {
            let exceeded = LimitExceeded::Write { asked: bytes.len(), limit: WRITE_BYTES };
            return Err(StreamError::Trap(exceeded.into()));
        }
        self.shared.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_says_how_much_is_missing() {
        let mut line = Line::default();
        line.push(b"abc", 4);
        line.push(b"def", 4);
        assert_eq!(line.take(), "abcd… (2 bytes cut)");
        assert!(line.is_empty());
    }

    #[test]
    fn the_last_lines_are_remembered_and_no_more() {
        let mut lines = Lines::default();
        for n in 0..REMEMBERED_LINES + 3 {
            lines.remember(n.to_string());
        }
        assert_eq!(lines.remembered.len(), REMEMBERED_LINES);
        assert_eq!(lines.remembered.front().map(String::as_str), Some("3"));
    }
}
