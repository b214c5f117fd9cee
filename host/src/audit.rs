//! Exactly once, looked at from outside: what happened in a run, and whether it kept the promises.
//!
//! A run is a [`history`]: what was written to the source topics, what `read_committed` readers
//! saw, which offsets a group had committed, which faults were made. The history says nothing of
//! how a host works inside, so a host that is wrong about itself cannot make it look right. The
//! [`observer`] watches, the [`recorder`] keeps what it saw, the [`oracle`] judges.
//!
//! [`course`] is all of it in one go, for any component on any log: it deploys a [`subject`] at a
//! [`site`] of its own, drives load, makes the faults of a [`plan`], and asks the component itself
//! what the results should be. A [`report`] says how it went.

pub mod course;
mod faults;
pub mod history;
mod hosts;
mod inputs;
mod load;
mod model;
pub mod observer;
pub mod oracle;
pub mod plan;
pub mod recorder;
pub mod recovery;
pub mod report;
pub mod site;
pub mod subject;

pub use hosts::HostConfig;
