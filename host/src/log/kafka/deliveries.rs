//! What became of the records of a transaction: failures, by the input that a record came from.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};

use super::client::Redacting;
use super::error::refuses_record;

/// Collects failed deliveries. With `delivery.report.only.error` there are no others.
pub(super) struct Deliveries {
    shared: Redacting,
    failures: Mutex<HashMap<usize, RDKafkaErrorCode>>,
}

impl Deliveries {
    pub(super) fn new(shared: Redacting) -> Self {
        Self { shared, failures: Mutex::default() }
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<usize, RDKafkaErrorCode>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those of the transaction before.
    pub(super) fn clear(&self) {
        self.failures().clear();
    }

    /// Why deliveries failed: the first failure purges the records behind it, which says less.
    pub(super) fn cause(&self) -> Option<RDKafkaErrorCode> {
        self.failures().values().min_by_key(|code| is_purge(code)).copied()
    }

    /// Whether records were given up, and none of them says why.
    pub(super) fn is_purged(&self) -> bool {
        self.cause().is_some_and(|code| is_purge(&code))
    }

    /// The inputs whose records the broker refuses, and why.
    pub(super) fn refused(&self) -> (Vec<usize>, Option<RDKafkaErrorCode>) {
        let failures = self.failures();
        let mut refused = failures.iter().filter(|(_, code)| refuses_record(**code)).peekable();
        let code = refused.peek().map(|(_, code)| **code);
        (refused.map(|(input, _)| *input).collect(), code)
    }
}

fn is_purge(code: &RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.shared.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.shared.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    /// The index of the input that the record came from.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, input: usize) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let mut failures = self.failures();
            // A refusal says more than the purge of its siblings that follows it.
            let known = failures.get(&input).copied();
            if known.is_none_or(|known| !refuses_record(known)) {
                failures.insert(input, code);
            }
        }
    }
}
