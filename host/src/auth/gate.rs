//! Before the routes: who is asking, and whether that is enough.
//!
//! The [`Gate`] of a listener finds out who asks, and answers 401 when it cannot. [`require`]
//! and [`Caller::may`] answer 403 when who asks may not. A request that never came through a gate
//! has no caller and is refused like one without a token.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{FromFnLayer, Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::scope::Scope;
use super::tokens::{Denied, Tokens, time_text};
use crate::problem::{Kind, Problem};
use crate::reload::Reloaded;

const SCHEME: &str = "Bearer";

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(Who);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// Whoever reaches the listener.
    Anybody,
    /// Whoever has this token.
    Token { id: Arc<str>, scopes: Arc<[Scope]> },
}

impl Caller {
    pub(super) fn token(id: Arc<str>, scopes: Arc<[Scope]>) -> Self {
        Self(Who::Token { id, scopes })
    }

    /// The id of the token; `None` where no tokens are asked for.
    pub fn id(&self) -> Option<&str> {
        match &self.0 {
            Who::Anybody => None,
            Who::Token { id, .. } => Some(id),
        }
    }

    /// Whether this may be done; the problem names the scope that is missing.
    pub fn may(&self, scope: &Scope) -> Result<(), Problem> {
        match &self.0 {
            Who::Anybody => Ok(()),
            Who::Token { scopes, .. } if scopes.iter().any(|own| own.includes(scope)) => Ok(()),
            Who::Token { id, .. } => {
                let detail = format!(
                    "the token {id:?} lacks the scope {:?}; use one that has it, or make one with \
                     `lockstep token create --scope {scope}`",
                    scope.to_string()
                );
                Err(Problem::new(Kind::Forbidden, detail).with("scope", scope.to_string()))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Problem>> + Send {
        ready(parts.extensions.get::<Self>().cloned().ok_or_else(no_token))
    }
}

/// Stands before all the routes of a listener that are not open to everybody. Cloning shares the
/// tokens.
#[derive(Clone, Debug)]
pub struct Gate(Option<Reloaded<Tokens>>);

impl Gate {
    /// Lets everybody do everything.
    pub fn open() -> Self {
        Self(None)
    }

    /// Lets in who has one of these tokens, as they are at the time of the request.
    pub fn with_tokens(tokens: Reloaded<Tokens>) -> Self {
        Self(Some(tokens))
    }

    /// Puts the gate before these routes.
    pub fn guard(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), admit))
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(tokens) = &self.0 else { return Ok(Caller(Who::Anybody)) };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let first = given.next().ok_or_else(no_token)?;
        let token = bearer(first).filter(|_| given.next().is_none()).ok_or_else(malformed)?;
        tokens.get().caller(token, SystemTime::now()).map_err(|denied| match denied {
            Denied::Unknown => unknown(),
            Denied::Expired(since) => expired(since),
        })
    }
}

async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.caller(request.headers()) {
        Ok(caller) => {
            if let Some(id) = caller.id() {
                tracing::Span::current().record("token", id);
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The layer that [`require`] makes.
pub type Require = FromFnLayer<Check, Scope, (State<Scope>, Caller, Request)>;
type Check = fn(State<Scope>, Caller, Request, Next) -> Checked;
type Checked = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Lets nobody through to a route who lacks this scope:
/// `get(list).route_layer(auth::require(Scope::HandlersRead))`, or for all the routes of a router
/// alike. Behind a gate, a route without it is open to whoever has any token.
pub fn require(scope: Scope) -> Require {
    from_fn_with_state(scope, check)
}

fn check(State(scope): State<Scope>, caller: Caller, request: Request, next: Next) -> Checked {
    Box::pin(async move {
        match caller.may(&scope) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    })
}

/// The token in a header, whose scheme may be written in any case.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_matches(' '))
}

fn no_token() -> Problem {
    unauthorized(
        "requests need a token here: send it as `Authorization: Bearer lockstep_…`; \
         `lockstep token create` makes one",
    )
}

fn malformed() -> Problem {
    unauthorized(
        "the Authorization header is not understood: send one, of the form \
         `Authorization: Bearer lockstep_…`",
    )
}

fn unknown() -> Problem {
    unauthorized("the token is not known here; it may have been revoked. Use another one")
}

fn expired(since: SystemTime) -> Problem {
    unauthorized(format!("the token has expired at {}; use another one", time_text(since)))
}

fn unauthorized(detail: impl Into<String>) -> Problem {
    let scheme = HeaderValue::from_static(SCHEME);
    Problem::new(Kind::Unauthorized, detail).header(WWW_AUTHENTICATE, scheme)
}
