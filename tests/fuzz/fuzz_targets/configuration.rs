//! `lockstep.toml`: what is taken is the same when it is written again; what is refused is named.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockstep::config::HostConfig;
use lockstep_fuzz::{errors, memory, tables};

/// Relative paths of the corpus begin here.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lockstep.toml");

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new(FILE);
    match memory::bounded(data.len(), || HostConfig::parse(file, text)) {
        Ok(config) => {
            let again = tables::rewritten(text).expect("a configuration is a table");
            let again = HostConfig::parse(file, &again).expect("it is the same");
            check_same(&config, &again);
            check(&config);
        }
        Err(error) => errors::check(&error, file),
    }
});

/// `Debug` shows all but secrets, so these are looked at besides.
fn check_same(config: &HostConfig, again: &HostConfig) {
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
    match (&config.kafka, &again.kafka) {
        (Some(kafka), Some(other)) => {
            let all = [&kafka.common, &kafka.consumer, &kafka.producer];
            assert_eq!(all, [&other.common, &other.consumer, &other.producer]);
        }
        (kafka, other) => assert!(kafka.is_none() && other.is_none()),
    }
}

/// What the rest of the host relies upon.
fn check(config: &HostConfig) {
    let HostConfig { cluster_id, host_id, http, topics, .. } = config;
    assert!(!cluster_id.is_empty() && !host_id.is_empty());
    assert!(!config.shutdown_deadline.is_zero() && !http.read_timeout.is_zero());
    assert!(http.max_body > 0 && http.queue > 0);
    assert!(http.ingest != http.admin || http.ingest.port() == 0);
    assert!(topics.iter().all(|topic| topic.spec.partitions > 0 && !topic.spec.name.is_empty()));
    let names = || topics.iter().map(|topic| &topic.spec.name);
    assert!(names().enumerate().all(|(index, name)| !names().skip(index + 1).any(|n| n == name)));
    if let Some(kafka) = &config.kafka {
        assert!(!kafka.brokers().is_empty());
    }
}
