//! The admin listener: what operators ask a running host.
//!
//! Reads only, by callers with the scope for it. Knows nothing of workers beyond what
//! [`HandlerStatuses`] tells.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::auth::{self, Scope};
use crate::status::HandlerStatus;

/// Knows what the handlers of this host are doing.
pub trait HandlerStatuses: Send + Sync {
    /// All handlers, by name. Must not block: it is called on the thread that serves.
    fn handlers(&self) -> Vec<HandlerStatus>;
}

/// `GET /v1/handlers`, to be put behind a [`auth::Gate`].
pub fn router(handlers: Arc<dyn HandlerStatuses>) -> Router {
    let list = get(list).route_layer(auth::require(Scope::HandlersRead));
    Router::new().route("/v1/handlers", list).with_state(handlers)
}

async fn list(State(handlers): State<Arc<dyn HandlerStatuses>>) -> Json<Vec<HandlerStatus>> {
    Json(handlers.handlers())
}
