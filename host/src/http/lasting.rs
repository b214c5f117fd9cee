//! Answers that go on after their heads: while one lasts, its connection is not idle.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use super::activity::InFlight;

/// The extension of an answer whose body may take long, such as one that follows something.
/// Without it a connection counts as idle once the head is there.
#[derive(Clone, Copy, Debug)]
pub struct Lasting;

/// The body of such an answer.
struct LastingBody {
    inner: Body,
    _in_flight: InFlight,
}

/// Keeps the request in flight until the answer's body has ended, where the answer says that it
/// lasts.
pub(super) fn hold(response: Response, in_flight: InFlight) -> Response {
    match response.extensions().get::<Lasting>() {
        Some(Lasting) => {
            response.map(|inner| Body::new(LastingBody { inner, _in_flight: in_flight }))
        }
        None => response,
    }
}

impl hyper::body::Body for LastingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
