//! Lockstep: a serverless-style host for WebAssembly event handlers on Kafka.
//!
//! Outputs, dead letters and offsets move in lockstep: one batch of events is one transaction.
//! The README of the project explains the parts and the invariants between them.

pub mod admin;
pub mod audit;
pub mod auth;
pub mod board;
pub mod cli;
pub mod config;
pub mod deployment;
pub mod digest;
pub mod event;
mod failpoint;
pub mod fleet;
pub mod handler;
pub mod handler_log;
pub mod health;
pub mod http;
pub mod ingest;
pub mod log;
pub mod moment;
pub mod oci;
pub mod panics;
mod private_file;
pub mod problem;
pub mod property;
pub mod reload;
pub mod retry;
pub mod revision;
pub mod runner;
pub mod scaffold;
pub mod server;
pub mod signals;
pub mod signature;
pub mod status;
pub mod stop;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod toolchain;
pub mod topic;
pub mod wasm;
pub mod watch;
pub mod worker;
