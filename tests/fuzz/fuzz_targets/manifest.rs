//! `handler.toml`: what is taken is within its bounds and is the same when it is written again;
//! what is refused is named.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lockstep::config::{HostConfig, cross_check};
use lockstep::deployment::manifest;
use lockstep::handler::Handler;
use lockstep_fuzz::{errors, memory, tables};

const FILE: &str = "handlers/weather/handler.toml";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new(FILE);
    match memory::bounded(data.len(), || manifest::parse(file, text)) {
        Ok(handler) => {
            let again = tables::rewritten(text).expect("a manifest is a table");
            assert_eq!(manifest::parse(file, &again).as_ref(), Ok(&handler));
            check(handler);
        }
        Err(error) => errors::check(&error, file),
    }
});

/// What the rest of the host relies upon.
fn check(handler: Handler) {
    assert!(!handler.name.is_empty() && !handler.group.is_empty() && !handler.from.is_empty());
    assert!(handler.from.iter().all(|topic| !handler.to.contains(topic)));
    assert!(!handler.from.contains(&handler.dead_letter_topic));
    assert!(handler.batch.events > 0 && handler.batch.bytes > 0 && handler.workers > 0);
    assert!(handler.rollback_after != Some(0) && !handler.limits.time.is_zero());
    for failed in [1, 2, 7, u32::MAX] {
        for random in [0.0, 0.5, 0.999_999_999] {
            assert!(handler.retry.backoff(failed, random) <= handler.retry.max);
        }
    }
    let config = HostConfig { handlers: vec![FILE.into()], ..HostConfig::default() };
    if let Err(error) = cross_check(&config, &[handler]) {
        errors::check(&error, &error.file);
    }
}
