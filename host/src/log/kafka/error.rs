//! The classes of transaction errors, in the order in which librdkafka wants them checked.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What to do after a failed transactional call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The producer is unusable: make a new one.
    Fatal,
    /// Abort the transaction and begin again.
    Abort,
    /// Make the same call again.
    Retry,
}

/// Classifies; what is in no class is fatal.
pub(super) fn class(error: &KafkaError) -> Class {
    match error {
        KafkaError::Transaction(e) if e.is_fatal() => Class::Fatal,
        KafkaError::Transaction(e) if e.txn_requires_abort() => Class::Abort,
        KafkaError::Transaction(e) if e.is_retriable() => Class::Retry,
        KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Class::Retry,
        _ => Class::Fatal,
    }
}

/// Whether the broker refuses the record itself, so that no repetition helps.
pub(super) fn refuses_record(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::PolicyViolation
    )
}

/// Whether another producer took over the transactional id, or the broker ended the transaction.
pub(super) fn fenced(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_fence)
}

/// See [`fenced`].
pub(super) fn is_fence(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}
