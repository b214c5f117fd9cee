//! Reads the value of an event, within the bounds of one event and of all events together.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::queue_full;
use crate::http::SlowBody;
use crate::problem::{Kind, Problem};

/// The bytes of values in memory at once: those being read and those that wait for the log.
#[derive(Clone, Debug)]
pub(super) struct Memory(Arc<Semaphore>);

/// A share of the memory, given back when dropped.
pub(super) type Share = OwnedSemaphorePermit;

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes what has arrived, not what was announced: announcing costs a client nothing.
    fn take(&self, bytes: usize) -> Result<Share, Problem> {
        let bytes = u32::try_from(bytes).map_err(|_| queue_full())?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| queue_full())
    }
}

/// Reads a value of at most `max` bytes. Nothing is read of a body that announces more.
pub(super) async fn read(
    mut body: Body,
    max: usize,
    memory: &Memory,
) -> Result<(Vec<u8>, Share), Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(too_large(max));
    }
    let mut share = memory.take(0)?;
    let mut value = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(unreadable)?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > max - value.len() {
            return Err(too_large(max));
        }
        share.merge(memory.take(data.len())?);
        value.extend_from_slice(&data);
    }
    Ok((value, share))
}

fn too_large(max: usize) -> Problem {
    let detail = format!(
        "the body exceeds the limit of {max} bytes; send a smaller event, or raise `max_body` \
         under `[http]` in the host's configuration"
    );
    Problem::new(Kind::TooLarge, detail).with("limit", max)
}

fn unreadable(error: axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if error.is::<SlowBody>() {
            let detail = "the body did not arrive in time; the event was not written";
            return Problem::new(Kind::Timeout, detail)
                .header(header::CONNECTION, HeaderValue::from_static("close"));
        }
        cause = error.source();
    }
    Problem::new(Kind::BadRequest, format!("the body could not be read: {error}"))
}
