//! Whoever operates a fleet over the admin API of one of its hosts.

use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::host::Host;
use crate::http::{self, Answer};
use crate::{build, cli};

/// Asks a host about the handler of a fleet.
pub struct Operator<'a> {
    fleet: &'a Fleet,
    admin: String,
    token: Option<String>,
}

impl<'a> Operator<'a> {
    /// One without a token.
    pub fn new(fleet: &'a Fleet, host: &Host) -> Self {
        Self { fleet, admin: host.admin.clone(), token: None }
    }

    /// One with this token.
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(format!("Bearer {token}")), ..self }
    }

    /// Sends a request to this path.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let token = self.token.as_deref().map(|token| ("authorization", token));
        let content = (!body.is_empty()).then_some(("content-type", content_type));
        let headers: Vec<_> = token.into_iter().chain(content).collect();
        http::send(method, &format!("{}{path}", self.admin), &headers, body)
    }

    /// `GET` of what is below the handler's path.
    #[track_caller]
    pub fn look(&self, below: &str) -> Answer {
        self.ask("GET", &self.path(below), "", b"")
    }

    /// `POST` of JSON below the handler's path; `null` sends no body.
    #[track_caller]
    pub fn post(&self, below: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask("POST", &self.path(below), "application/json", body.as_bytes())
    }

    /// The same, which succeeds on every host.
    #[track_caller]
    pub fn done(&self, below: &str, body: &Value) -> Value {
        let answer = self.post(below, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// `DELETE` of the handler.
    #[track_caller]
    pub fn delete(&self) -> Answer {
        self.ask("DELETE", &self.path(""), "", b"")
    }

    /// Deploys a guest with the fleet's manifest and these lines.
    #[track_caller]
    pub fn deploy(&self, guest: &str, more: &str) -> Answer {
        let component = std::fs::read(build::guest(guest)).expect("a guest can be read");
        self.deploy_form(
            "",
            &[("manifest", self.manifest(more).as_bytes()), ("component", &component)],
        )
    }

    /// Deploys a form with these parts, and this query.
    #[track_caller]
    pub fn deploy_form(&self, query: &str, parts: &[(&str, &[u8])]) -> Answer {
        let (content_type, body) = http::form(parts);
        self.ask("POST", &self.path(&format!("/deploy{query}")), &content_type, &body)
    }

    /// A manifest of the fleet's handler, with these lines.
    pub fn manifest(&self, more: &str) -> String {
        let Fleet { name, input, output, .. } = self.fleet;
        format!("name = {name:?}\nfrom = [{input:?}]\nto = [{output:?}]\n{more}\n")
    }

    fn path(&self, below: &str) -> String {
        format!("/v1/handlers/{}{below}", self.fleet.name)
    }
}

/// A new token with this scope, of the hosts with this configuration.
#[track_caller]
pub fn token(config: &std::path::Path, scope: &str) -> String {
    let mut create = cli::command(["token", "create", "--scope", scope, "--config"]);
    cli::finish(create.arg(config), b"").ok().trim().to_owned()
}

/// No body.
pub fn nothing() -> Value {
    json!(null)
}
