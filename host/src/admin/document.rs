//! The OpenAPI document: made of the routes, so that it says what they do.
//!
//! The scope of a route and the problems that it may answer are put into its description here,
//! where the scope is also asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi as _, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::Admin;
use crate::auth::{self, Scope};
use crate::problem::{CONTENT_TYPE_PROBLEM, Kind};

/// The name of the security scheme.
const TOKEN: &str = "token";

/// A route in the making.
pub(super) type Route = UtoipaMethodRouter<Arc<Admin>>;

/// What any request may be answered.
const ALWAYS: [Kind; 4] = [Kind::Unauthorized, Kind::Forbidden, Kind::BadRequest, Kind::Internal];
/// What a request about the fleet may be answered.
const OF_FLEET: [Kind; 4] =
    [Kind::UnknownHandler, Kind::DeploymentsOff, Kind::Busy, Kind::LogUnreachable];
/// What a request that changes something may be answered.
const OF_CHANGE: [Kind; 5] =
    [Kind::Conflict, Kind::HostsRefuse, Kind::TooLarge, Kind::Timeout, Kind::UnsupportedMediaType];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Lockstep admin API",
        description = "Looks at the handlers of a fleet and changes how they run, as `lockstep \
                       handler` and `lockstep deploy` do. Any host of the fleet answers for all \
                       of it. Every answer that is not a success is a problem of RFC 9457.",
    ),
    components(schemas(Problem)),
    tags(
        (name = "handlers", description = "The handlers of the fleet"),
        (name = "host", description = "The host that answers"),
    ),
    modifiers(&TokenScheme)
)]
struct Described;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_with(Components::new);
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(
            "A token of `lockstep token create`, where the host asks for tokens. The scopes that \
             an operation takes stand beside it; wider ones include narrower ones."
                .to_owned(),
        );
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    }
}

/// What went wrong, as RFC 9457 has it. There may be more members than these.
#[derive(Serialize, ToSchema)]
struct Problem {
    /// Which kind of problem it is, for programs: never changes.
    #[serde(rename = "type")]
    #[schema(example = "urn:lockstep:problem:unknown-handler")]
    kind: String,
    /// The kind of problem, for people.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and how to mend it.
    detail: String,
    /// Of a conflict with hosts: what they say.
    reasons: Option<Vec<crate::fleet::HostReason>>,
    /// Of a token that does not suffice: the scope that is missing.
    scope: Option<String>,
}

/// A document without routes.
pub(super) fn empty() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::with_openapi(Described::openapi())
}

/// A route that looks at this host.
pub(super) fn of_host(route: Route) -> Route {
    taking(&Scope::HandlersRead, &[], route)
}

/// A route that looks at the fleet.
pub(super) fn looking(route: Route) -> Route {
    taking(&Scope::HandlersRead, &OF_FLEET, route)
}

/// A route that changes something.
pub(super) fn changing(route: Route) -> Route {
    taking(&Scope::HandlersWrite, &[&OF_FLEET[..], &OF_CHANGE].concat(), route)
}

/// A route that takes a component.
pub(super) fn deploying(route: Route) -> Route {
    let problems = [&OF_FLEET[..], &OF_CHANGE, &[Kind::Invalid]].concat();
    taking(&Scope::HandlersWrite, &problems, route)
}

/// Lets nobody through without this scope, and says so.
fn taking(scope: &Scope, kinds: &[Kind], mut route: Route) -> Route {
    describe(&mut route, |path, operation| {
        let needed = SecurityRequirement::new(TOKEN, [scope.to_string()]);
        operation.security = Some(vec![needed]);
        for kind in ALWAYS.iter().chain(kinds) {
            if may_answer(path, operation, *kind) {
                add(operation, *kind);
            }
        }
    });
    let (schemas, paths, router) = route;
    (schemas, paths, router.route_layer(auth::require(scope.clone())))
}

fn describe(route: &mut Route, mut with: impl FnMut(&str, &mut Operation)) {
    for (path, item) in &mut route.1.paths {
        let PathItem { get, put, post, delete, patch, .. } = item;
        let operations = [get, put, post, delete, patch].into_iter().flatten();
        operations.for_each(|operation| with(path, operation));
    }
}

/// Some problems are only of requests that name a handler, or that have a body.
fn may_answer(path: &str, operation: &Operation, kind: Kind) -> bool {
    match kind {
        Kind::UnknownHandler => path.contains('{'),
        Kind::TooLarge | Kind::Timeout | Kind::UnsupportedMediaType => {
            operation.request_body.is_some()
        }
        _ => true,
    }
}

/// Adds a problem that an operation may answer, under its status.
fn add(operation: &mut Operation, kind: Kind) {
    let responses = &mut operation.responses.responses;
    let text = format!("{}: `{}`", kind.title(), kind.slug());
    match responses.get_mut(kind.status().as_str()) {
        Some(RefOr::T(known)) => known.description = format!("{}; {text}", known.description),
        _ => drop(responses.insert(kind.status().as_str().to_owned(), problem(text).into())),
    }
}

fn problem(description: String) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description);
    response.content(CONTENT_TYPE_PROBLEM, content).build()
}

/// The document as it is served.
pub(super) fn rendered(mut api: OpenApi) -> Bytes {
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    // Plain data with text keys: nothing in it cannot be written.
    serde_json::to_vec_pretty(&api).map(Bytes::from).unwrap_or_default()
}

/// This description
///
/// The OpenAPI document of this listener. Takes no token: it tells nothing about this host.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe", tag = "host", security(()),
    responses((status = 200, description = "The OpenAPI document", body = serde_json::Value)),
)]
pub(super) async fn document(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let document = admin.document.get().cloned().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], document)
}
