//! A request body that has to be complete by a deadline, and tells when nobody wants its rest.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::Activity;

/// The body did not arrive in time. What a handler finds in the sources of its read error.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
pub struct SlowBody;

/// Fails with [`SlowBody`] when the deadline passes before the end.
#[derive(Debug)]
pub(super) struct DeadlineBody {
    inner: Incoming,
    deadline: Instant,
    activity: Arc<Activity>,
    ended: bool,
    /// Made when the body is waited for: most bodies arrive with their heads.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl DeadlineBody {
    pub(super) fn new(inner: Incoming, deadline: Instant, activity: Arc<Activity>) -> Self {
        Self { inner, deadline, activity, ended: false, sleep: None }
    }
}

impl Drop for DeadlineBody {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.activity.abandoned();
        }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.ended = frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = this.deadline;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().poll(cx).map(|()| Some(Err(SlowBody.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
