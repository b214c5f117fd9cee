//! Requests to one registry, in the name of whoever is logged in, and what its refusals mean.

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::{Agent, Body, RequestBuilder};

use super::challenge::{Challenge, TokenSource};
use super::docker_config::{self, Login};
use super::reference::{self, Reference};
use super::{Options, http, manifest};

/// The longest manifest: what the distribution specification asks of registries.
const MAX_MANIFEST: u64 = 4 << 20;
/// The longest answer that is not content: a token, or the words of an error.
const MAX_ANSWER: u64 = 1 << 20;
/// The longest part of a registry's own words that is shown.
const MAX_WORDS: usize = 300;

/// One registry, for as long as a pull takes.
pub(super) struct Registry<'a> {
    reference: &'a Reference,
    options: &'a Options,
    agent: Agent,
    tls: bool,
    authorization: Option<String>,
    /// What is known of the user; looked up when the registry asks for one.
    login: Option<Login>,
}

/// A request that can be made again, with another authorization.
pub(super) type Call<'c> = &'c dyn Fn(&Agent, Option<&str>) -> Result<Response<Body>, ureq::Error>;

/// The request with this authorization, if there is any.
pub(super) fn with<B>(
    request: RequestBuilder<B>,
    authorization: Option<&str>,
) -> RequestBuilder<B> {
    match authorization {
        Some(authorization) => request.header(AUTHORIZATION, authorization),
        None => request,
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize, Default)]
struct Words {
    #[serde(default)]
    errors: Vec<Word>,
}

#[derive(Deserialize)]
struct Word {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl<'a> Registry<'a> {
    pub(super) fn new(reference: &'a Reference, options: &'a Options) -> anyhow::Result<Self> {
        let tls = options.transport.is_tls(reference.is_loopback());
        let agent = http::agent(options, tls, reference.is_loopback())?;
        Ok(Self { reference, options, agent, tls, authorization: None, login: None })
    }

    /// The document behind a tag or a digest; the caller checks it.
    pub(super) fn manifest(&mut self, version: &str) -> anyhow::Result<Vec<u8>> {
        let what = format!("{:?} at {version:?}", self.reference.repository());
        let url = self.url(&format!("manifests/{version}"));
        let response = self.get(&url, &manifest::ACCEPTED.join(", "), &what)?;
        http::read_at_most(response, MAX_MANIFEST)
            .with_context(|| format!("failed to read the manifest of {what}"))
    }

    /// The content of this digest and size; the caller checks the digest.
    pub(super) fn blob(&mut self, digest: &str, size: u64) -> anyhow::Result<Vec<u8>> {
        let what = format!("blob {digest} of {:?}", self.reference.repository());
        let url = self.url(&format!("blobs/{digest}"));
        let response = self.get(&url, "*/*", &what)?;
        http::read_exactly(response, size).with_context(|| format!("failed to read {what}"))
    }

    /// The registry itself: `https://ghcr.io`.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.reference.api())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.origin(), self.reference.repository())
    }

    fn get(&mut self, url: &str, accept: &str, what: &str) -> anyhow::Result<Response<Body>> {
        let response = self.exchange(&|agent, authorization| {
            with(agent.get(url).header(ACCEPT, accept), authorization).call()
        })?;
        match response.status() {
            StatusCode::OK => Ok(response),
            _ => Err(self.refusal(response, what)),
        }
    }

    /// Makes a request, and makes it once more when the registry first asks who it is from.
    pub(super) fn exchange(&mut self, call: Call<'_>) -> anyhow::Result<Response<Body>> {
        let response = self.ask(call)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.authorize(response.headers())?;
        self.ask(call)
    }

    fn ask(&self, call: Call<'_>) -> anyhow::Result<Response<Body>> {
        let registry = self.reference.registry();
        let answer = call(&self.agent, self.authorization.as_deref()).map_err(http::failure);
        answer.with_context(|| format!("failed to reach the registry {registry:?}"))
    }

    /// Gets what the registry asks for, after it answered 401.
    fn authorize(&mut self, headers: &HeaderMap) -> anyhow::Result<()> {
        let registry = self.reference.registry();
        if self.login.is_none() {
            let file = self.options.docker_config.clone();
            let file = file.unwrap_or_else(docker_config::default_file);
            self.login = Some(docker_config::login(&file, self.reference)?);
        }
        let authorization = match (Challenge::read(headers), &self.login) {
            (Some(Challenge::Bearer(source)), _) => {
                let context = || format!("failed to get a token for the registry {registry:?}");
                format!("Bearer {}", self.token(&source).with_context(context)?)
            }
            (Some(Challenge::Basic), Some(Login::Password(password))) => password.basic(),
            (Some(Challenge::Basic), _) => {
                bail!("the registry {registry:?} wants a user and a password: {}", self.who())
            }
            (None, _) => bail!(
                "the registry {registry:?} wants another authentication than a password or a \
                 bearer token"
            ),
        };
        self.authorization = Some(authorization);
        Ok(())
    }

    /// Asks for a token, as the user when there is one.
    fn token(&self, source: &TokenSource) -> anyhow::Result<String> {
        let realm = &source.realm;
        self.check_realm(realm)?;
        let scope = format!("repository:{}:pull", self.reference.repository());
        let scope = source.scope.as_ref().unwrap_or(&scope);
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = &source.service {
            request = request.query("service", service);
        }
        let basic = match &self.login {
            Some(Login::Password(password)) => Some(password.basic()),
            _ => None,
        };
        let response = with(request, basic.as_deref()).call().map_err(http::failure);
        let response = response.with_context(|| format!("failed to reach {realm:?}"))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                bail!("{realm:?} refuses one: {}", self.who())
            }
            status => bail!("{realm:?} answered {status}{}", words(response)),
        }
        let answer = http::read_at_most(response, MAX_ANSWER)?;
        // The cause would cite the answer, which has a secret in it.
        let token: Token = serde_json::from_slice(&answer)
            .map_err(|_| anyhow!("{realm:?} answered something else than a token in JSON"))?;
        let token = token.token.or(token.access_token).filter(|token| !token.is_empty());
        let token = token.with_context(|| format!("{realm:?} answered without a token"))?;
        let fits = token.chars().all(|c| c.is_ascii_graphic());
        ensure!(fits, "{realm:?} answered with a token that fits in no header");
        Ok(token)
    }

    /// A password goes to another server only over TLS, or on this machine, or when asked.
    fn check_realm(&self, realm: &str) -> anyhow::Result<()> {
        let uri: Uri = realm.parse().map_err(|_| anyhow!("it names {realm:?}, which is no URL"))?;
        let here = uri.host().is_some_and(reference::is_loopback);
        let plain = self.options.transport.is_plain() || here;
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if plain && !self.tls => Ok(()),
            _ => bail!("it names {realm:?}, and a token is fetched with https only"),
        }
    }

    /// In whose name it is asked, and how to change that.
    fn who(&self) -> String {
        let registry = self.reference.registry();
        match &self.login {
            Some(Login::Password(password)) => format!(
                "the password of user {:?} in {:?} is wrong, or may not do this",
                password.user, password.file
            ),
            Some(Login::Unusable(reason)) => reason.clone(),
            Some(Login::None(file)) => format!(
                "nobody is logged in; `docker login {registry}` keeps a password in {file:?}"
            ),
            None => "it was asked without a password".to_owned(),
        }
    }

    /// What an answer means that is none.
    pub(super) fn refusal(&self, response: Response<Body>, what: &str) -> anyhow::Error {
        let registry = self.reference.registry();
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let wait = wait.map(|wait| format!(" in {wait:?}")).unwrap_or_default();
        let words = words(response);
        match status {
            StatusCode::NOT_FOUND => anyhow!("the registry {registry:?} has no {what}{words}"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                anyhow!("the registry {registry:?} refuses {what}: {}{words}", self.who())
            }
            StatusCode::TOO_MANY_REQUESTS => {
                anyhow!("the registry {registry:?} wants fewer requests; try again{wait}{words}")
            }
            _ => anyhow!("the registry {registry:?} answered {status} for {what}{words}"),
        }
    }
}

/// What the registry says of its refusal, when it says it as the specification asks.
fn words(response: Response<Body>) -> String {
    let body = http::read_at_most(response, MAX_ANSWER).unwrap_or_default();
    let words: Words = serde_json::from_slice(&body).unwrap_or_default();
    let Some(first) = words.errors.first() else { return String::new() };
    let text = format!("{}: {}", first.code, first.message);
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    format!(" ({shown})")
}
