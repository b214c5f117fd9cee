//! Problem details for HTTP answers, as RFC 9457 has them.
//!
//! Every answer that is not a success is one of these: a stable `type` for programs, and a
//! `detail` for people that names the thing, the place and the fix. Never carries event data.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// The media type of every problem.
pub const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// What every `type` begins with; the kind's slug follows.
pub const TYPE_PREFIX: &str = "urn:lockstep:problem:";

/// The problems there are. The slug and the status of a kind never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense: parameters, path or body.
    BadRequest,
    /// A header of the request makes no sense.
    BadHeader,
    /// Nobody knows who is asking: there is no token, or none that is good.
    Unauthorized,
    /// Whoever is asking may not do this.
    Forbidden,
    /// The topic is not open to ingest, or the log has none of that name.
    UnknownTopic,
    /// There is no handler of this name.
    UnknownHandler,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    Timeout,
    /// Things are not such that this could be done: others came between, it is so already, or
    /// there is nothing to do it with.
    Conflict,
    /// Hosts of the fleet cannot do it.
    HostsRefuse,
    /// The event, the form or the body exceeds what is taken.
    TooLarge,
    /// The body is encoded in a way that is not undone here.
    UnsupportedEncoding,
    /// The media type is not the one that is taken.
    UnsupportedMediaType,
    /// The log refuses the event, and will again.
    Refused,
    /// What is to be deployed cannot run.
    Invalid,
    /// A defect of the host.
    Internal,
    /// The host takes no part in deployments.
    DeploymentsOff,
    /// Too many events wait; try again later.
    QueueFull,
    /// Too many requests are being worked on; try again later.
    Busy,
    /// The log did not confirm; the outcome is unknown.
    LogUnreachable,
    /// The host cannot do its work at the moment.
    NotReady,
}

impl Kind {
    /// Status, slug and title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::BadHeader => (StatusCode::BAD_REQUEST, "bad-header", "Bad header"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::UnknownTopic => (StatusCode::NOT_FOUND, "unknown-topic", "Unknown topic"),
            Self::UnknownHandler => (StatusCode::NOT_FOUND, "unknown-handler", "Unknown handler"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Self::HostsRefuse => (StatusCode::CONFLICT, "hosts-refuse", "Hosts refuse"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large"),
            Self::UnsupportedEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-encoding",
                "Unsupported content encoding",
            ),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported media type",
            ),
            Self::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "refused", "Refused by the log"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid handler"),
            Self::DeploymentsOff => {
                (StatusCode::NOT_IMPLEMENTED, "deployments-off", "Takes no part in deployments")
            }
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error")
            }
            Self::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "Queue full"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            Self::LogUnreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, "log-unreachable", "Log unreachable")
            }
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready"),
        }
    }

    /// The HTTP status of this kind.
    pub const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// A few words for it.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }

    /// The last part of the `type`.
    pub const fn slug(self) -> &'static str {
        self.parts().1
    }
}

/// One problem, ready to be answered. Boxed inside, so that results stay small.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this kind; `detail` is a sentence for the reader.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self(Box::new(Inner { kind, detail, members: Map::new(), headers: HeaderMap::new() }))
    }

    /// Adds an extension member, for programs that want a part of the detail.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers.insert(name, value.into());
        self
    }

    /// Says when another attempt is worthwhile.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, seconds)
    }

    /// What kind of problem it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { kind, detail, members, mut headers } = *self.0;
        let (status, slug, title) = kind.parts();
        let mut body = Map::new();
        body.insert("type".to_owned(), format!("{TYPE_PREFIX}{slug}").into());
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), status.as_u16().into());
        body.insert("detail".to_owned(), detail.into());
        body.extend(members);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        let mut response = Json(body).into_response();
        response.headers_mut().extend(headers);
        *response.status_mut() = status;
        response
    }
}

/// Answers a path that does not exist.
pub(crate) async fn not_found(uri: Uri) -> Problem {
    Problem::new(Kind::NotFound, format!("there is nothing at {:?}", uri.path()))
}

/// Answers a method that the path does not have; axum adds `Allow`. `OPTIONS` merely asks what
/// is allowed.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let path = uri.path();
    let detail = format!("{path:?} does not take {method}; the Allow header says what it takes");
    Problem::new(Kind::MethodNotAllowed, detail).into_response()
}
