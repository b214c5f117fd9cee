//! Bodies of requests, as JSON.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::Admin;
use crate::http::SlowBody;
use crate::problem::{Kind, Problem};

/// The largest body in JSON, in bytes.
const MAX: usize = 64 << 10;
const JSON: &str = "application/json";

/// A body that has to be there.
pub(super) struct Body<T>(pub(super) T);

/// A body that may be left out: then everything is as by default.
pub(super) struct Optional<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Admin>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Admin>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        is_json(&parts.headers)?;
        decode(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<Arc<Admin>> for Optional<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Admin>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        is_json(&parts.headers)?;
        decode(&bytes).map(Self)
    }
}

async fn read(body: axum::body::Body) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, MAX).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| unreadable(&*error, MAX as u64))
}

/// The problem with a body that cannot be read to its end.
pub(super) fn unreadable(error: &(dyn std::error::Error + 'static), max: u64) -> Problem {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return too_large("the body", max);
        }
        if error.is::<SlowBody>() {
            let detail = "the body did not arrive in time, and nothing was changed; \
                          `read_timeout` under [http] in the host's configuration says how long \
                          it may take";
            let close = HeaderValue::from_static("close");
            return Problem::new(Kind::Timeout, detail).header(CONNECTION, close);
        }
        cause = error.source();
    }
    Problem::new(Kind::BadRequest, format!("the body could not be read: {error}"))
}

/// The problem with something that exceeds a limit in bytes.
pub(super) fn too_large(what: &str, max: u64) -> Problem {
    let detail = format!("{what} exceeds the limit of {max} bytes; nothing was changed");
    Problem::new(Kind::TooLarge, detail).with("limit", max)
}

/// The media type decides: a web page could send others without being asked for permission.
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    let detail = format!("the content-type is {given:?}; send JSON as {JSON:?}");
    Err(Problem::new(Kind::UnsupportedMediaType, detail))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let decoded = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string());
    let ended = |value| json.end().map(|()| value).map_err(|error| error.to_string());
    decoded.and_then(ended).map_err(|error| {
        Problem::new(Kind::BadRequest, format!("the body is not as it should be: {error}"))
    })
}
