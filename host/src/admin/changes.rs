//! The routes that change how a handler runs.

use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::asked::{Asked, Named};
use super::body::Body;
use super::query::{Asks, OnHosts, Wait, Waiting};
use crate::deployment::one_host::HostOperation;
use crate::deployment::operation::Operation;
use crate::fleet::Changed;
use crate::problem::Problem;

/// How many workers a handler is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    /// Workers on each host, from 1 to 64; `null`: as many as the manifest says.
    #[schema(required = true, minimum = 1, maximum = 64)]
    #[serde(deserialize_with = "workers")]
    workers: Option<u32>,
}

fn workers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match Option::<u32>::deserialize(deserializer)? {
        Some(n) if !(1..=64).contains(&n) => Err(serde::de::Error::custom(format!(
            "{n} workers are out of range: use 1 to 64, or null for as many as the manifest says"
        ))),
        workers => Ok(workers),
    }
}

/// Stop the workers of a handler, on all hosts or on one
///
/// They finish their transactions; events wait until the handler is resumed.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/pause", operation_id = "pauseHandler", tag = "handlers",
    params(Named, OnHosts),
    responses(
        (status = 200, description = "All hosts that are there have done it", body = Changed),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn pause(
    asked: Asked,
    named: Named,
    Asks(asks): Asks<OnHosts>,
) -> Result<Answer<Changed>, Problem> {
    change(asked, named, HostOperation::Pause.on(asks.host), asks.wait).await
}

/// Start the workers of a paused handler
///
/// It goes on where it stopped.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/resume", operation_id = "resumeHandler", tag = "handlers",
    params(Named, OnHosts),
    responses(
        (status = 200, description = "All hosts that are there have done it", body = Changed),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn resume(
    asked: Asked,
    named: Named,
    Asks(asks): Asks<OnHosts>,
) -> Result<Answer<Changed>, Problem> {
    change(asked, named, HostOperation::Resume.on(asks.host), asks.wait).await
}

/// Stop and start the workers of a handler
///
/// Partitions that wait at an event go on with it.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/restart", operation_id = "restartHandler",
    tag = "handlers", params(Named, OnHosts),
    responses(
        (status = 200, description = "All hosts that are there have done it", body = Changed),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn restart(
    asked: Asked,
    named: Named,
    Asks(asks): Asks<OnHosts>,
) -> Result<Answer<Changed>, Problem> {
    change(asked, named, HostOperation::Restart.on(asks.host), asks.wait).await
}

/// Change how many workers a handler has on each host
///
/// No more of them work at once, in the whole fleet, than its source topics have partitions. A
/// deployment brings back the number of the manifest.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/scale", operation_id = "scaleHandler", tag = "handlers",
    params(Named, OnHosts), request_body = Scale,
    responses(
        (status = 200, description = "All hosts that are there have done it", body = Changed),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn scale(
    asked: Asked,
    named: Named,
    Asks(asks): Asks<OnHosts>,
    Body(scale): Body<Scale>,
) -> Result<Answer<Changed>, Problem> {
    change(asked, named, HostOperation::Scale(scale.workers).on(asks.host), asks.wait).await
}

/// End a handler on all hosts
///
/// Topics, their events and the group's offsets stay: deployed again under the same name, it goes
/// on where it stopped.
#[utoipa::path(
    delete, path = "/v1/handlers/{name}", operation_id = "deleteHandler", tag = "handlers",
    params(Named, Waiting),
    responses(
        (status = 200, description = "All hosts that are there have done it", body = Changed),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn delete(
    asked: Asked,
    named: Named,
    Asks(waiting): Asks<Waiting>,
) -> Result<Answer<Changed>, Problem> {
    change(asked, named, Operation::Delete, waiting.wait).await
}

/// Does it, and waits.
pub(super) async fn change(
    asked: Asked,
    named: Named,
    operation: Operation,
    wait: Wait,
) -> Result<Answer<Changed>, Problem> {
    asked
        .work(move |fleet| {
            let patience = wait.patience();
            let of = fleet.change(&named.name, &operation, patience.as_ref())?;
            Ok(Answer { is_done: patience.is_some() && of.late.is_empty(), of })
        })
        .await
}
