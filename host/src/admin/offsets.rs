//! The routes that go back: to an earlier revision, and to earlier events.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::answer::Answer;
use super::asked::{Asked, Named};
use super::body::{Body, Optional};
use super::changes::change;
use super::query::{Asks, Wait, Waiting};
use crate::deployment::operation::Operation;
use crate::fleet::{Changed, Error, Fleet, Seek};
use crate::log::ReadFrom;
use crate::problem::{Kind, Problem};

/// What to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rollback {
    /// The revision; the one before the active one when it is left out.
    to: Option<u64>,
    /// Handle again what the active revision has handled; the outputs are written again.
    rewind: bool,
    /// Only say what it would do. Only with `rewind`.
    dry_run: bool,
}

/// Where a handler is to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    /// `earliest`, `latest`, an offset, or a time after `@`: RFC 3339, or milliseconds since 1970.
    #[schema(value_type = String, example = "@2026-01-31T12:00:00Z")]
    to: Place,
    /// Only say what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// A place in a topic, as a number or in words.
#[derive(Debug)]
struct Place(ReadFrom);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected earliest, latest, an offset or a time after @")]
        enum Form {
            Offset(u64),
            Words(String),
        }
        let words = match Form::deserialize(deserializer)? {
            Form::Offset(offset) => offset.to_string(),
            Form::Words(words) => words,
        };
        words.parse().map(Self).map_err(D::Error::custom)
    }
}

/// What it would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Planned {
    /// The handler.
    name: String,
    /// The revision that would go on.
    revision: u64,
    /// In how many partitions the offset would be set.
    partitions: usize,
    /// How many events would be handled again.
    events_again: i64,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Sought {
    /// It was only asked what it would do.
    Planned(Planned),
    /// It was done.
    Changed(Changed),
}

/// Go back to an earlier revision
///
/// The hosts take it up between two transactions. With `rewind` the handler rests while its
/// offsets are set back to where the active revision took each partition over; that it rests is
/// waited for in any case, and up to 30 s at least.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/rollback", operation_id = "rollbackHandler",
    tag = "handlers", params(Named, Waiting), request_body = Option<Rollback>,
    responses(
        (status = 200, description = "All hosts that are there have done it, or what it would do",
         body = Sought),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn rollback(
    asked: Asked,
    named: Named,
    Asks(waiting): Asks<Waiting>,
    Optional(rollback): Optional<Rollback>,
) -> Result<Answer<Sought>, Problem> {
    let Rollback { to, rewind, dry_run } = rollback;
    if rewind {
        let plan = move |fleet: &Fleet| fleet.plan_rewind(&named.name, to);
        return seek(asked, plan, dry_run, waiting.wait).await;
    }
    if dry_run {
        let detail = "dry_run says how many events would be handled again: it goes with rewind";
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    let Answer { is_done, of } =
        change(asked, named, Operation::Rollback(to), waiting.wait).await?;
    Ok(Answer { is_done, of: Sought::Changed(of) })
}

/// Set where a handler goes on
///
/// In all partitions of its source topics. Back means that events are handled again, and their
/// outputs written again; forward means that events are never handled. The handler rests on all
/// hosts meanwhile, which is waited for in any case, and up to 30 s at least.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/reset", operation_id = "resetHandler", tag = "handlers",
    params(Named, Waiting), request_body = Reset,
    responses(
        (status = 200, description = "All hosts that are there have done it, or what it would do",
         body = Sought),
        (status = 202, description = "It is in the registry; hosts are late", body = Changed),
    ),
)]
pub(super) async fn reset(
    asked: Asked,
    named: Named,
    Asks(waiting): Asks<Waiting>,
    Body(reset): Body<Reset>,
) -> Result<Answer<Sought>, Problem> {
    let Reset { to: Place(to), dry_run } = reset;
    let plan = move |fleet: &Fleet| fleet.plan_reset(&named.name, to);
    seek(asked, plan, dry_run, waiting.wait).await
}

async fn seek(
    asked: Asked,
    plan: impl FnOnce(&Fleet) -> Result<Seek, Error> + Send + 'static,
    dry_run: bool,
    wait: Wait,
) -> Result<Answer<Sought>, Problem> {
    asked
        .work(move |fleet| {
            let seek = plan(fleet)?;
            if dry_run {
                return Ok(Answer { is_done: true, of: Sought::Planned(planned(&seek)) });
            }
            let patience = wait.patience();
            let of = fleet.seek(&seek, &wait.needed(), patience.as_ref())?;
            // One that stays paused has no host to wait for.
            let is_done = of.late.is_empty() && (patience.is_some() || seek.stays_paused());
            Ok(Answer { is_done, of: Sought::Changed(of) })
        })
        .await
}

fn planned(seek: &Seek) -> Planned {
    Planned {
        name: seek.name.clone(),
        revision: seek.revision,
        partitions: seek.partitions(),
        events_again: seek.events_again,
    }
}
