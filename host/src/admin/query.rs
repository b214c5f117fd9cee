//! How long a request waits for the hosts.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::Admin;
use crate::fleet::Patience;
use crate::problem::{Kind, Problem};

/// Used when nothing is said.
const DEFAULT: Duration = Duration::from_secs(30);
/// Nobody waits longer: a request that does keeps a thread and a connection.
const LONGEST: Duration = Duration::from_secs(600);

/// The query of a request.
pub(super) struct Asks<T>(pub(super) T);

/// How long a request waits.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    /// How long to wait for the hosts, up to 10m; `0s` does not wait
    #[param(value_type = Option<String>, default = "30s", example = "30s")]
    #[serde(default)]
    pub(super) wait: Wait,
}

/// How long a request waits, and where it is to have an effect.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OnHosts {
    /// How long to wait for the hosts, up to 10m; `0s` does not wait
    #[param(value_type = Option<String>, default = "30s", example = "30s")]
    #[serde(default)]
    pub(super) wait: Wait,
    /// Only on this host; on all when it is left out
    #[param(example = "host-2")]
    pub(super) host: Option<String>,
}

/// A time to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Wait(Duration);

impl Wait {
    /// `None` when nobody is waited for.
    pub(super) fn patience(self) -> Option<Patience<'static>> {
        (!self.0.is_zero()).then(|| Patience::of(self.0))
    }

    /// For what has to be waited for in any case.
    pub(super) fn needed(self) -> Patience<'static> {
        Patience::of(self.0.max(DEFAULT))
    }
}

impl Default for Wait {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl TryFrom<String> for Wait {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match humantime::parse_duration(&text) {
            Ok(time) if time <= LONGEST => Ok(Self(time)),
            Ok(_) => Err(format!("wait={text} is too long: wait 10m at most, and ask again")),
            Err(error) => Err(format!(
                "wait={text} is no time: {error}; use for example wait=30s, or wait=0s not to wait"
            )),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Admin>> for Asks<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, admin).await;
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| Problem::new(Kind::BadRequest, error.body_text()))
    }
}
