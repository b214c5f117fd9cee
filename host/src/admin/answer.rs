//! Answers about what was changed: done, or on its way.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What became of a change.
pub(super) struct Answer<T> {
    /// Whether every host that is there has done it.
    pub(super) is_done: bool,
    /// What there is to say of it.
    pub(super) of: T,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let status = if self.is_done { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(self.of)).into_response()
    }
}
