//! The routes that look at the handlers of the fleet.

use axum::Json;

use super::asked::{Asked, Named};
use crate::fleet::{FleetHandler, RevisionLine, Status};
use crate::problem::Problem;

/// List the handlers of the fleet
///
/// Those that are deployed, and those that hosts have in their own configuration.
#[utoipa::path(
    get, path = "/v1/handlers", operation_id = "listHandlers", tag = "handlers",
    responses((status = 200, description = "The handlers, by name", body = Vec<FleetHandler>)),
)]
pub(super) async fn list(asked: Asked) -> Result<Json<Vec<FleetHandler>>, Problem> {
    asked.work(|fleet| fleet.handlers()).await.map(Json)
}

/// Show how a handler is
///
/// On each host that is there, and how far it is in each partition.
#[utoipa::path(
    get, path = "/v1/handlers/{name}", operation_id = "getHandler", tag = "handlers",
    params(Named),
    responses((status = 200, description = "How it is", body = Status)),
)]
pub(super) async fn status(asked: Asked, named: Named) -> Result<Json<Status>, Problem> {
    asked.work(move |fleet| fleet.handler(&named.name)).await.map(Json)
}

/// Show the revisions of a handler
///
/// The newest first, each with the offsets that it has handled.
#[utoipa::path(
    get, path = "/v1/handlers/{name}/history", operation_id = "getHandlerHistory",
    tag = "handlers", params(Named),
    responses((status = 200, description = "Its revisions", body = Vec<RevisionLine>)),
)]
pub(super) async fn history(
    asked: Asked,
    named: Named,
) -> Result<Json<Vec<RevisionLine>>, Problem> {
    asked.work(move |fleet| fleet.history(&named.name)).await.map(Json)
}
