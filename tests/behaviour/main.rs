//! The promises of Lockstep, tested from outside: the real program, real brokers, real faults.
//!
//! Each behaviour is one function named in words and runs on both logs, as `on_kafka::…` and
//! `on_embedded::…`; `cargo test -p lockstep-tests on_embedded` needs no Java. See
//! `lockstep_tests::scenario` for the world a test gets.

/// Makes one test for each behaviour on each log.
macro_rules! on_both_logs {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_embedded {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(lockstep_tests::scenario::Scenario::new(
                    lockstep_tests::log::LogKind::Embedded,
                    stringify!($behaviour),
                ));
            })+
        }
        mod on_kafka {
            $(#[test]
            fn $behaviour() {
                super::$behaviour(lockstep_tests::scenario::Scenario::new(
                    lockstep_tests::log::LogKind::Kafka,
                    stringify!($behaviour),
                ));
            })+
        }
    };
}

mod admin_api;
mod amplification;
mod architecture;
mod audit;
mod auth;
mod broker_down;
mod bytes;
mod cases;
mod command_line;
mod compaction;
mod configuration;
mod crashes;
mod dead_letters;
mod deploy;
mod deploy_faults;
mod dev;
mod dev_watch;
mod faults;
mod fleet;
mod group_reset;
mod guide;
mod handler_logs;
mod harness;
mod hostile;
mod ingest;
mod languages;
mod limits;
mod mistakes;
mod oci;
mod on_fault;
mod outputs;
mod ownership;
mod policies;
mod positions;
mod properties;
mod rebalances;
mod sandbox;
mod security;
mod signatures;
mod start;
mod supervision;
mod swap;
mod three_hosts;
mod tls;
mod topics;
mod transactions;
mod writers;
mod zombies;
