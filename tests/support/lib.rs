//! What the behavioural tests and the benchmarks share: real brokers, real hosts, both logs.
//!
//! Knows the host only from outside, as a program with a command line, a configuration and
//! HTTP; what lies in Kafka it reads with a client of its own. Fixtures panic: a test that
//! cannot be set up has failed.

pub mod broker;
pub mod build;
pub mod certificates;
pub mod chaos;
pub mod cli;
pub mod cluster;
pub mod developer;
pub mod embedded;
pub mod event;
pub mod fleet;
pub mod folders;
pub mod guardian;
pub mod host;
pub mod http;
pub mod inputs;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod log;
pub mod oci_registry;
pub mod oci_tokens;
pub mod operator;
pub mod paths;
pub mod process;
pub mod produce_request;
pub mod proxy;
pub mod scenario;
pub mod seam;
pub mod secured;
pub mod sight;
pub mod tls;
pub mod tools;
pub mod trial;
pub mod wait;
