//! A request about the fleet: who asks, which handler it is about, and a thread to work on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::problems::{log_unreachable, of};
use super::{Admin, Inspector};
use crate::auth::Caller;
use crate::fleet::{self, Fleet};
use crate::problem::{Kind, Problem};

/// How long the log may take to say that it is there, before it is asked for anything else.
const PING: Duration = Duration::from_secs(5);
/// When a request that found no place is worth another try, in seconds.
const RETRY_S: u32 = 1;

/// The fleet, as it is for whoever asks.
pub(super) struct Asked {
    /// In the name of who asks.
    fleet: Fleet,
    admin: Arc<Admin>,
    inspector: Arc<dyn Inspector>,
}

/// The handler that a request is about.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    /// The handler's name
    #[param(example = "weather")]
    pub(super) name: String,
}

impl FromRequestParts<Arc<Admin>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, admin).await?;
        let Some(operations) = &admin.state.fleet else {
            let detail = "this host takes no part in deployments (`deployments = false` in its \
                          configuration): ask another host of the fleet, or this one for \
                          /v1/host";
            return Err(Problem::new(Kind::DeploymentsOff, detail));
        };
        // As it will stand in the registry.
        let who = caller.id().map_or_else(|| "anonymous".to_owned(), |id| format!("token-{id}"));
        let by = format!("{who}@{}", admin.state.host_id);
        Ok(Self {
            fleet: operations.fleet.in_the_name_of(by),
            admin: Arc::clone(admin),
            inspector: Arc::clone(&operations.inspector),
        })
    }
}

impl FromRequestParts<Arc<Admin>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let path = Path::<Self>::from_request_parts(parts, admin).await;
        path.map(|Path(named)| named)
            .map_err(|error| Problem::new(Kind::BadRequest, error.body_text()))
    }
}

impl Asked {
    /// Works on it on a thread that may block. Goes on when whoever asks has gone: nothing is left
    /// half-way.
    pub(super) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&Fleet) -> Result<T, fleet::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.admin.requests).try_acquire_owned();
        let place = place.map_err(|_| busy("too many requests are being worked on"))?;
        let worked = tokio::task::spawn_blocking(move || {
            let ready = self.prepare().map_err(log_unreachable);
            let done = ready.and_then(|()| work(&self.fleet).map_err(of));
            drop(place);
            done
        });
        worked.await.unwrap_or_else(|error| {
            tracing::error!("a request made the host panic: {error}");
            let detail = "the host has a defect; its log says more. The outcome is unknown";
            Err(Problem::new(Kind::Internal, detail))
        })
    }

    /// Sees to it that the log answers and has a registry.
    fn prepare(&self) -> anyhow::Result<()> {
        let store = self.fleet.store();
        store.log().ping(PING)?;
        if !self.admin.is_prepared.load(Ordering::Relaxed) {
            store.prepare()?;
            self.admin.is_prepared.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Looks at what is to be deployed.
    pub(super) fn inspector(&self) -> Arc<dyn Inspector> {
        Arc::clone(&self.inspector)
    }

    /// The fleet.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// A place for one who reads logs.
    pub(super) fn reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.admin.readers).try_acquire_owned();
        place.map_err(|_| busy("as many requests as may read logs do so already"))
    }

    /// A place for a component in memory.
    pub(super) fn upload(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.admin.uploads).try_acquire_owned();
        place.map_err(|_| busy("others deploy at the moment"))
    }
}

fn busy(why: &str) -> Problem {
    let detail = format!("{why}, and nothing was done; try again");
    Problem::new(Kind::Busy, detail).retry_after(RETRY_S)
}
