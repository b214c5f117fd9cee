//! The last thing that went wrong with a connection to a broker.
//!
//! A call that fails says only that its time was over: librdkafka tells the reason (a password
//! that is refused, a certificate that is missing) aside, once, and repeats it only twice a
//! minute. Texts come here without secrets.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// In the text of an error: the other side ended TLS and said why. With TLS 1.3 it refuses a
/// client certificate only after the handshake, which librdkafka takes for a lost connection.
const TLS_ALERT: &str = "SSL alert number";

/// What went wrong lately with the connections of all clients.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Option<Reason>>);

struct Reason {
    text: String,
    /// When it came, if the other side refused the client itself: trying again does not help.
    refused: Option<Instant>,
}

impl Trouble {
    /// A client reported this error, with these words.
    pub(super) fn note(&self, error: &KafkaError, text: String) {
        let refused = match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SSL
                | RDKafkaErrorCode::SaslAuthenticationFailed,
            ) => Some(Instant::now()),
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
                text.contains(TLS_ALERT).then(Instant::now)
            }
            // A summary, or nothing that concerns a connection.
            _ => return,
        };
        *self.0.lock() = Some(Reason { text, refused });
    }

    /// A broker answered.
    pub(super) fn is_over(&self) {
        *self.0.lock() = None;
    }

    /// The reason in words.
    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().as_ref().map(|reason| reason.text.clone())
    }

    /// Whether a broker refused a client, or a client a broker, that recently.
    pub(super) fn refused_within(&self, time: Duration) -> bool {
        let reason = self.0.lock();
        reason.as_ref().and_then(|reason| reason.refused).is_some_and(|at| at.elapsed() < time)
    }
}
