//! What tests of several parts need.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

thread_local! {
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What this thread logs while `run` runs, as text.
///
/// One subscriber serves all tests: with one for each, tracing may remember for good that nobody
/// listens, when a thread of another test is the first to come by.
pub(crate) fn logged(run: impl FnOnce()) -> String {
    static SUBSCRIBED: Once = Once::new();
    SUBSCRIBED.call_once(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| ThisThread).init();
        tracing::callsite::rebuild_interest_cache();
    });
    LOG.set(Some(Vec::new()));
    run();
    String::from_utf8(LOG.take().unwrap_or_default()).expect("logs are UTF-8")
}

/// Writes to where the thread collects its log, if it does.
struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
