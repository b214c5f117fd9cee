//! The logs of handlers, in the topic `logs`: what their guests wrote and what the hosts say about
//! them, written by each host and read by whoever wants to know.
//!
//! [`LogRecord`] is what stands in the topic, [`ask`] finds and follows it. Written once, never
//! changed, and gone after a day: nothing depends on it.

mod ask;
mod reading;
mod record;

pub use ask::{LogsError, ask};
use reading::read;
pub use reading::{Following, Wanted};
pub use record::LogRecord;
