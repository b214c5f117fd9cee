//! What the host that answers is doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use crate::status::HandlerStatus;

/// A host.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Host {
    /// Its id within the fleet.
    host: String,
    /// The fleet's id.
    cluster_id: String,
    /// The release of Lockstep that it runs.
    version: &'static str,
    /// What its handlers and their workers are doing.
    handlers: Vec<HandlerStatus>,
}

/// What this host is doing
///
/// Its handlers, from the registry or from its own configuration, worker by worker.
#[utoipa::path(
    get, path = "/v1/host", operation_id = "getHost", tag = "host",
    responses((status = 200, description = "The host and its workers", body = Host)),
)]
pub(super) async fn host(State(admin): State<Arc<Admin>>) -> Json<Host> {
    Json(Host {
        host: admin.state.host_id.clone(),
        cluster_id: admin.state.cluster_id.clone(),
        version: env!("CARGO_PKG_VERSION"),
        handlers: admin.state.statuses.handlers(),
    })
}
