//! Requests to a host, as `curl` would send them.

use std::io::{BufRead as _, BufReader};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::HeaderMap;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The header `content-type`.
    pub content_type: String,
    /// The header `retry-after`, when there is one.
    pub retry_after: Option<String>,
    /// The header `www-authenticate`, when there is one.
    pub authenticate: Option<String>,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: &HeaderMap, body: String) -> Self {
        let header = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            status,
            body,
            content_type: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after"),
            authenticate: header("www-authenticate"),
        }
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}: {self:?}"))
    }

    /// Asserts that this is a problem of this kind and status, and gives its detail.
    #[track_caller]
    pub fn problem(&self, kind: &str, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.content_type.starts_with("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["type"], format!("urn:lockstep:problem:{kind}"), "{self:?}");
        assert_eq!(json["status"], status, "{self:?}");
        assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{self:?}");
        json["detail"].as_str().unwrap_or_default().to_owned()
    }
}

/// `GET`; the error is that of the connection.
pub fn try_get(url: &str) -> Result<Answer, ureq::Error> {
    agent().get(url).call().and_then(answer)
}

/// `GET` with headers.
#[track_caller]
pub fn get_with(url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.call().and_then(answer);
    answer.unwrap_or_else(|error| panic!("failed to get {url}: {error}"))
}

/// `GET`.
#[track_caller]
pub fn get(url: &str) -> Answer {
    try_get(url).unwrap_or_else(|error| panic!("failed to get {url}: {error}"))
}

/// `GET` of what goes on: returns once the answer has begun, and gives its lines as they come.
#[track_caller]
pub fn follow(url: &str, headers: &[(&str, &str)]) -> Receiver<String> {
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.call().unwrap_or_else(|error| panic!("failed to get {url}: {error}"));
    assert_eq!(response.status(), 200, "{response:?}");
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok)
        {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// `POST`; the error is that of the connection.
pub fn try_post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, ureq::Error> {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send(body).and_then(answer)
}

/// `POST`.
#[track_caller]
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_post(url, headers, body).unwrap_or_else(|error| panic!("failed to post to {url}: {error}"))
}

/// Any method, with headers and a body.
#[track_caller]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let well_formed = "the request is well-formed";
    let sent = match body {
        [] => agent().run(request.body(()).expect(well_formed)),
        body => agent().run(request.body(body).expect(well_formed)),
    };
    let answer = sent.and_then(answer);
    answer.unwrap_or_else(|error| panic!("failed to {method} {url}: {error}"))
}

/// The content type and the bytes of a form with these parts.
pub fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "lockstep-tests-5f0c2a9e";
    let mut body = Vec::new();
    for (name, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// No pool: a host that was killed must not leave connections behind for the next one.
fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_idle_connections(0)
            .proxy(None)
            .build()
            .into()
    })
}

fn answer(response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let (parts, mut body) = response.into_parts();
    let body = body.read_to_string()?;
    Ok(Answer::new(parts.status.as_u16(), &parts.headers, body))
}
