//! Takes events over HTTP and appends them to the log.
//!
//! `POST /v1/topics/{topic}/events` takes one event. It answers 2xx only once the log has the
//! event for good, and what it stores is what it was sent, byte for byte. Bounds how many events,
//! and how many bytes of them, wait for the log at once. Knows nothing of handlers, and writes no part of an event to the
//! host's own log.

mod body;
mod request;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::Semaphore;

use self::body::{Memory, Share};
use crate::auth::{Caller, Scope};
use crate::event::{Event, Position};
use crate::log::{AppendError, Log};
use crate::problem::{Kind, Problem};

/// How long the log may take to confirm an event before the client is told that the outcome is
/// unknown.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of values in memory at once; one event always fits.
const MEMORY: usize = 256 * 1024 * 1024;

/// When a client should try again after its event was not taken.
const QUEUE_RETRY_S: u32 = 1;
/// When a client should try again after the log did not confirm.
const LOG_RETRY_S: u32 = 5;

/// What ingest needs.
pub struct IngestState {
    /// Where the events go.
    pub log: Arc<dyn Log>,
    /// The topics that are open to ingest.
    pub topics: OpenTopics,
    /// The largest value of an event, in bytes.
    pub max_body: usize,
    /// Events accepted but not yet confirmed by the log.
    pub queue: usize,
}

/// The topics that are open to ingest. Cloning shares them; more may be opened while the host runs.
#[derive(Clone, Debug, Default)]
pub struct OpenTopics(Arc<RwLock<HashSet<Arc<str>>>>);

struct Ingest {
    log: Arc<dyn Log>,
    topics: OpenTopics,
    max_body: usize,
    confirm_timeout: Duration,
    memory: Memory,
    queue: Arc<Semaphore>,
}

/// The answer to an event that the log has.
#[derive(Serialize)]
struct Accepted {
    topic: String,
    partition: i32,
    offset: i64,
}

/// `POST /v1/topics/{topic}/events`, to be put behind a [`crate::auth::Gate`].
pub fn router(state: IngestState) -> Router {
    router_with(state, CONFIRM_TIMEOUT, MEMORY)
}

fn router_with(state: IngestState, confirm_timeout: Duration, memory: usize) -> Router {
    let ingest = Ingest {
        log: state.log,
        topics: state.topics,
        max_body: state.max_body,
        confirm_timeout,
        memory: Memory::new(memory.max(state.max_body)),
        queue: Arc::new(Semaphore::new(state.queue.clamp(1, Semaphore::MAX_PERMITS))),
    };
    Router::new().route("/v1/topics/{topic}/events", post(accept)).with_state(Arc::new(ingest))
}

async fn accept(
    State(ingest): State<Arc<Ingest>>,
    caller: Caller,
    topic: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Json<Accepted>, Problem> {
    let Path(topic) = topic.map_err(|e| Problem::new(Kind::BadRequest, e.body_text()))?;
    // Asked first: who may not write to a topic is not told whether there is one.
    caller.may(&Scope::Ingest(topic.as_str().into()))?;
    let topic = ingest.topic(&topic)?;
    let (parts, body) = request.into_parts();
    check_encoding(&parts)?;
    let key = request::key(&parts)?;
    let headers = request::headers(&parts.headers)?;
    let (value, share) = body::read(body, ingest.max_body, &ingest.memory).await?;
    let event = Event { topic, key, value: Some(value), headers, timestamp_ms: None };
    let Position { topic, partition, offset } = ingest.append(event, share).await?;
    Ok(Json(Accepted { topic: topic.to_string(), partition, offset }))
}

impl OpenTopics {
    /// These topics are open.
    pub fn new(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self(Arc::new(RwLock::new(names.into_iter().collect())))
    }

    /// Opens one more.
    pub fn open(&self, name: &Arc<str>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(name));
    }

    fn get(&self, name: &str) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl Ingest {
    fn topic(&self, name: &str) -> Result<Arc<str>, Problem> {
        self.topics.get(name).ok_or_else(|| {
            let detail = format!(
                "topic {name:?} is not open to ingest; declare it in the host's configuration \
                 with `ingest = true` under `[[topics]]`"
            );
            Problem::new(Kind::UnknownTopic, detail).with("topic", name)
        })
    }

    async fn append(&self, event: Event, share: Share) -> Result<Position, Problem> {
        let permit = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| queue_full())?;
        let topic = Arc::clone(&event.topic);
        let receipt = self.log.append(event, None).map_err(|e| refusal(&topic, e))?;
        // The event waits for the log even when its client does not: the task keeps its place
        // in the queue, and its share of the memory, until the log has answered.
        let answer = tokio::spawn(async move {
            let result = receipt.wait().await;
            drop((permit, share));
            result
        });
        match tokio::time::timeout(self.confirm_timeout, answer).await {
            Ok(Ok(result)) => result.map_err(|e| refusal(&topic, e)),
            Ok(Err(_)) => Err(unconfirmed("the host stopped waiting")),
            Err(_) => {
                let waited = humantime::format_duration(self.confirm_timeout);
                Err(unconfirmed(&format!("no answer within {waited}")))
            }
        }
    }
}

/// The problem that tells of a failed append.
fn refusal(topic: &str, error: AppendError) -> Problem {
    match error {
        AppendError::UnknownTopic(name) => {
            let detail = format!(
                "topic {name:?} does not exist in the log; create it with \
                 `lockstep topic create {name}`"
            );
            Problem::new(Kind::UnknownTopic, detail).with("topic", name)
        }
        AppendError::TooLarge(reason) => {
            let detail = format!("the event is too large for topic {topic:?}: {reason}");
            Problem::new(Kind::TooLarge, detail).with("topic", topic)
        }
        AppendError::QueueFull => queue_full(),
        AppendError::Unavailable(reason) => {
            tracing::debug!(topic, reason, "the log did not confirm an event");
            unconfirmed(&reason)
        }
        AppendError::Refused(reason) => {
            let detail = format!("the log refuses the event for topic {topic:?}: {reason}");
            Problem::new(Kind::Refused, detail).with("topic", topic)
        }
    }
}

fn queue_full() -> Problem {
    let detail = "too many events wait for the log; this one was not written, send it again";
    Problem::new(Kind::QueueFull, detail).retry_after(QUEUE_RETRY_S)
}

fn unconfirmed(reason: &str) -> Problem {
    let detail = format!(
        "the log did not confirm the event ({reason}); the outcome is unknown: it may have been \
         written, and sending it again may write it twice"
    );
    Problem::new(Kind::LogUnreachable, detail).retry_after(LOG_RETRY_S)
}

/// Encoded bodies are refused: what is stored is what was sent, and a reader of the log could not
/// tell that it has to decode.
fn check_encoding(parts: &Parts) -> Result<(), Problem> {
    let is_identity = |value: &&HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let mut encodings = parts.headers.get_all(header::CONTENT_ENCODING).iter();
    match encodings.find(|value| !is_identity(value)) {
        None => Ok(()),
        Some(encoding) => {
            let detail = format!(
                "content-encoding {encoding:?} is not supported; send the value as it is to be \
                 stored, without the header"
            );
            Err(Problem::new(Kind::UnsupportedEncoding, detail)
                .header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")))
        }
    }
}
