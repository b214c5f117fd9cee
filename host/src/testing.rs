//! What tests of several parts need.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// What this thread logs while `run` runs, as text.
pub(crate) fn logged(run: impl FnOnce()) -> String {
    let log = Captured::default();
    let copy = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || copy.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    let bytes = log.0.lock().expect("not poisoned").clone();
    String::from_utf8(bytes).expect("UTF-8")
}

/// A log in memory.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
