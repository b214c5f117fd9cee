//! `GET /v1/handlers/{name}/logs`: what a handler writes on all hosts of the fleet, and what the
//! hosts say about it, one JSON object a line, or as server-sent events.
//!
//! Read from the log by a thread of its own for each request, so that whoever serves never waits;
//! there are only so many at once. Following ends when the client goes or the host stops.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use utoipa::IntoParams;

use super::asked::{Asked, Named};
use crate::deployment::logs::{self, Following, LogRecord, LogsError, Wanted};
use crate::event::now_ms;
use crate::fleet::Fleet;
use crate::http::Lasting;
use crate::moment;
use crate::problem::{Kind, Problem};
use crate::stop::Stop;

/// Lines when nothing is said.
const TAIL: usize = 100;
/// Pieces that wait for a slow client.
const QUEUE: usize = 16;
/// How long one read waits, and so the longest that a stop goes unnoticed.
const WAIT: Duration = Duration::from_millis(200);
/// How often server-sent events say that the connection is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// The parameters of the request.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    /// Whether to go on with what comes, until the client goes or the host stops
    #[serde(default)]
    follow: bool,
    /// From when on: an age such as `10m`, or a time of RFC 3339
    #[param(example = "10m")]
    since: Option<String>,
    /// The last so many lines [default: 100, or all where `since` is given]
    tail: Option<usize>,
    /// Those of this host
    host: Option<String>,
    /// Those of this revision
    revision: Option<u64>,
}

/// What the lines come as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `application/x-ndjson`
    Lines,
    /// `text/event-stream`
    Events,
}

/// What comes first, and all that comes later.
type Opened = (Vec<LogRecord>, mpsc::Receiver<Bytes>);

/// Read what a handler writes
///
/// The lines that its components write on all hosts, and what the hosts say about it: one JSON
/// object a line, or as server-sent events where `text/event-stream` is accepted.
#[utoipa::path(
    get, path = "/v1/handlers/{name}/logs", operation_id = "readHandlerLogs", tag = "handlers",
    params(Named, Params),
    responses((
        status = 200, description = "The lines, oldest first",
        content((String = "application/x-ndjson"), (String = "text/event-stream")),
    )),
)]
pub(super) async fn logs(
    asked: Asked,
    named: Named,
    params: Result<Query<Params>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bad = |detail: String| Problem::new(Kind::BadRequest, detail);
    let Query(params) = params.map_err(|rejection| bad(rejection.body_text()))?;
    let since = params.since.as_deref().map(|since| moment::since(since, now_ms())).transpose();
    let since = since.map_err(|expected| bad(format!("the parameter \"since\": {expected}")))?;
    let wanted = Wanted {
        handler: Some(named.name),
        host: params.host,
        revision: params.revision,
        since,
        tail: params.tail.or(since.is_none().then_some(TAIL)),
    };
    let place = asked.reader()?;
    let form = Form::of(&headers);
    let (first, later) = open(asked.fleet().clone(), wanted, params.follow, form, place).await?;
    let first = form.bytes(&first);
    let body = Body::new(Stream { first: Some(first).filter(|b| !b.is_empty()), later });
    let head = [(CONTENT_TYPE, form.media_type()), (CACHE_CONTROL, "no-store")];
    let mut response = (head, body).into_response();
    response.extensions_mut().insert(Lasting);
    Ok(response)
}

/// Reads on a thread of its own.
async fn open(
    fleet: Fleet,
    wanted: Wanted,
    follow: bool,
    form: Form,
    place: OwnedSemaphorePermit,
) -> Result<Opened, Problem> {
    let (answer, answered) = oneshot::channel();
    let read = move || {
        let _place = place;
        let (pieces, later) = mpsc::channel(QUEUE);
        match logs::ask(fleet.store(), wanted) {
            Err(error) => drop(answer.send(Err(problem(error)))),
            // Nobody waits any more when sending fails.
            Ok((first, following)) => {
                if answer.send(Ok((first, later))).is_ok() && follow {
                    self::follow(following, form, &pieces, fleet.stop());
                }
            }
        }
    };
    let thread = thread::Builder::new().name("read-logs".to_owned()).spawn(read);
    let failed = |reason: String| Problem::new(Kind::Internal, reason);
    thread.map_err(|error| failed(format!("failed to start a thread that reads: {error}")))?;
    answered.await.map_err(|_| failed("the thread that read has ended".to_owned()))?
}

/// Hands over what comes, until nobody listens any more.
fn follow(mut following: Following, form: Form, pieces: &mpsc::Sender<Bytes>, stop: &Stop) {
    let mut said = Instant::now();
    while !stop.requested() && !pieces.is_closed() {
        let piece = match following.next(WAIT) {
            Ok(records) if !records.is_empty() => form.bytes(&records),
            Ok(_) if form == Form::Events && said.elapsed() > ALIVE => Bytes::from_static(b":\n\n"),
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!("a client stops following logs: {error:#}");
                return;
            }
        };
        said = Instant::now();
        if pieces.blocking_send(piece).is_err() {
            return;
        }
    }
}

fn problem(error: LogsError) -> Problem {
    match error {
        LogsError::Unknown { .. } => Problem::new(Kind::UnknownHandler, error.to_string()),
        LogsError::Log(error) => Problem::new(Kind::LogUnreachable, format!("{error:#}")),
    }
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let events = accepted.flat_map(|value| value.split(','));
        let mut types =
            events.map(|accepted| accepted.split(';').next().unwrap_or_default().trim());
        match types.any(|media| media.eq_ignore_ascii_case(Self::Events.media_type())) {
            true => Self::Events,
            false => Self::Lines,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    fn bytes(self, records: &[LogRecord]) -> Bytes {
        let mut text = String::new();
        for record in records {
            // It has text keys and no number that JSON cannot write, so it always can be written.
            let Ok(line) = serde_json::to_string(record) else { continue };
            match self {
                Self::Lines => text.extend([&line, "\n"]),
                Self::Events => text.extend(["data: ", &line, "\n\n"]),
            }
        }
        text.into()
    }
}

/// The body of an answer.
struct Stream {
    first: Option<Bytes>,
    later: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => self.later.poll_recv(context).map(|piece| piece.map(|p| Ok(Frame::data(p)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::handler_log::{Entry, Severity};

    #[test]
    fn lines_are_objects_and_events_only_where_they_are_asked_for() {
        for (accept, form) in [
            ("*/*", Form::Lines),
            ("application/x-ndjson", Form::Lines),
            ("text/html, Text/Event-Stream;q=0.9", Form::Events),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert!(Form::of(&headers) == form, "{accept}");
        }
        let entry = Entry::now("weather", Some(7), Severity::Info, "two\nlines");
        let record = LogRecord { host: "host-1".to_owned(), entry };
        let lines = Form::Lines.bytes(&[record.clone(), record.clone()]);
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
        let event = Form::Events.bytes(&[record]);
        assert!(event.starts_with(b"data: {\"time\":") && event.ends_with(b"}\n\n"));
    }
}
