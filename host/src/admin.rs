//! The admin listener: what operators ask a running host.
//!
//! Reads only. Knows nothing of workers beyond what [`HandlerStatuses`] tells.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::health::{self, Readiness};
use crate::status::HandlerStatus;

/// Knows what the handlers of this host are doing.
pub trait HandlerStatuses: Send + Sync {
    /// All handlers, by name. Must not block: it is called on the thread that serves.
    fn handlers(&self) -> Vec<HandlerStatus>;
}

/// `GET /v1/handlers`, `/livez` and `/readyz`.
pub fn router(handlers: Arc<dyn HandlerStatuses>, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        .route("/v1/handlers", get(list))
        .with_state(handlers)
        .merge(health::router(readiness))
}

async fn list(State(handlers): State<Arc<dyn HandlerStatuses>>) -> Json<Vec<HandlerStatus>> {
    Json(handlers.handlers())
}
