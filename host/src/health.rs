//! Liveness and readiness.
//!
//! `/livez` says that the process answers and asks nobody else, so that a log which is down
//! does not make an orchestrator restart the host. `/readyz` says whether the host can do its
//! work, and if not, why.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::problem::{Kind, Problem};

/// When a prober may look again.
const RETRY_AFTER_S: u32 = 1;

/// Knows whether the host can do its work.
pub trait Readiness: Send + Sync {
    /// Why the host is not ready, one reason each for people to read; empty when it is. Must
    /// not block: it is called on the thread that serves.
    fn unready(&self) -> Vec<String>;
}

/// `GET /livez` and `GET /readyz`.
pub fn router(readiness: Arc<dyn Readiness>) -> Router {
    Router::new().route("/livez", get(live)).route("/readyz", get(ready)).with_state(readiness)
}

async fn live() -> Response {
    fresh(Json(json!({ "status": "live" })))
}

async fn ready(State(readiness): State<Arc<dyn Readiness>>) -> Response {
    let reasons = readiness.unready();
    if reasons.is_empty() {
        return fresh(Json(json!({ "status": "ready" })));
    }
    let problem = Problem::new(Kind::NotReady, reasons.join("; ")).with("reasons", reasons);
    fresh(problem.retry_after(RETRY_AFTER_S))
}

/// An answer that no cache keeps.
fn fresh(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
