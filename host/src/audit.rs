//! Exactly once, looked at from outside: what happened in a run, and whether it kept the promises.
//!
//! A run is a [`history`]: what was written to the source topics, what `read_committed` readers
//! saw, which offsets a group had committed, which faults were made. The history says nothing of
//! how a host works inside, so a host that is wrong about itself cannot make it look right. The
//! [`observer`] watches, the [`recorder`] keeps what it saw, the [`oracle`] judges.

pub mod history;
pub mod observer;
pub mod oracle;
pub mod recorder;
