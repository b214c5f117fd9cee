//! The logs of handlers, in the topic `logs`: what their guests wrote and what the hosts say about
//! them, written by each host and read by whoever wants to know.
//!
//! [`LogRecord`] is what stands in the topic, [`read`] finds and follows it. Written once, never
//! changed, and gone after a day: nothing depends on it.

mod reading;
mod record;

pub use reading::{Following, Wanted, read};
pub use record::LogRecord;
