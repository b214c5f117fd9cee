//! The admin listener: what operators ask a running host, of itself and of its fleet.
//!
//! The verbs of `lockstep handler` and `lockstep deploy` over HTTP: each request is answered by
//! [`Fleet`], off the threads that serve, and each answer that is not a success is a problem. The
//! routes and the OpenAPI document that describes them are one thing, and so are a route's scope
//! and what the document says of it. Knows nothing of workers beyond what [`HandlerStatuses`]
//! tells, and nothing of components beyond what an [`Inspector`] says.

mod answer;
mod asked;
mod body;
mod changes;
mod deploy;
mod document;
mod form;
mod host;
mod logs;
mod look;
mod offsets;
mod problems;
mod query;
mod web;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn;
use bytes::Bytes;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::document::{changing, deploying, looking};
use crate::fleet::{self, Fleet, Parcel};
use crate::status::HandlerStatus;

/// Requests about the fleet that are worked on at once: each has a thread while it waits.
const REQUESTS: usize = 32;
/// Components that are taken in at once: each is in memory until it is deployed.
const UPLOADS: usize = 2;
/// Requests that read logs at once: each has a thread as long as it follows them.
const READERS: usize = 16;

/// Knows what the handlers of this host are doing.
pub trait HandlerStatuses: Send + Sync {
    /// All handlers, by name. Must not block: it is called on the thread that serves.
    fn handlers(&self) -> Vec<HandlerStatus>;
}

/// Says what this host could not run.
pub trait Inspector: Send + Sync {
    /// Checks all that this host would check before it ran the handler. Changes nothing; takes up
    /// to seconds, on the caller's thread.
    fn inspect(&self, parcel: &Parcel) -> Result<(), fleet::Error>;
}

/// What the admin listener needs.
pub struct AdminState {
    /// The host's id within its fleet.
    pub host_id: String,
    /// The fleet's.
    pub cluster_id: String,
    /// What the host's handlers are doing.
    pub statuses: Arc<dyn HandlerStatuses>,
    /// `None` for a host that takes no part in deployments.
    pub fleet: Option<Operations>,
}

/// What is needed to operate a fleet.
pub struct Operations {
    /// The fleet, in nobody's name yet.
    pub fleet: Fleet,
    /// Looks at what is to be deployed.
    pub inspector: Arc<dyn Inspector>,
}

/// The routes of the admin listener.
pub struct Routes {
    /// To be put behind a [`crate::auth::Gate`].
    pub guarded: Router,
    /// For everybody: they tell nothing about this host.
    pub open: Router,
}

/// What all routes share.
struct Admin {
    state: AdminState,
    requests: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    /// Whether the registry was found or made.
    is_prepared: AtomicBool,
    /// The OpenAPI document, once it is made.
    document: OnceLock<Bytes>,
}

/// The routes, and the document that describes them.
pub fn routes(state: AdminState) -> Routes {
    let admin = Arc::new(Admin {
        state,
        requests: Arc::new(Semaphore::new(REQUESTS)),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        readers: Arc::new(Semaphore::new(READERS)),
        is_prepared: AtomicBool::new(false),
        document: OnceLock::new(),
    });
    let (guarded, described) =
        document::empty().merge(guarded()).with_state(Arc::clone(&admin)).split_for_parts();
    let (open, more) = OpenApiRouter::default()
        .routes(routes!(document::document))
        .with_state(Arc::clone(&admin))
        .split_for_parts();
    admin.document.get_or_init(|| document::rendered(described.merge_from(more)));
    Routes { guarded: guarded.layer(from_fn(web::refuse)), open }
}

/// Every route here says which scope it takes: [`looking`] or [`changing`].
fn guarded() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::default()
        .routes(document::of_host(routes!(host::host)))
        .routes(looking(routes!(look::list)))
        .routes(looking(routes!(look::status)))
        .routes(looking(routes!(look::history)))
        .routes(looking(routes!(logs::logs)))
        .routes(deploying(routes!(deploy::deploy)))
        .routes(changing(routes!(changes::pause)))
        .routes(changing(routes!(changes::resume)))
        .routes(changing(routes!(changes::restart)))
        .routes(changing(routes!(changes::scale)))
        .routes(changing(routes!(changes::delete)))
        .routes(changing(routes!(offsets::rollback)))
        .routes(changing(routes!(offsets::reset)))
}
