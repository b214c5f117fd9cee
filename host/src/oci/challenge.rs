//! What a registry asks for when it answers 401: a password, or a token from somewhere.

use http_auth::{ChallengeRef, ParamValue};
use ureq::http::HeaderMap;
use ureq::http::header::WWW_AUTHENTICATE;

/// How a registry wants to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token, which another server hands out.
    Bearer(TokenSource),
    /// With a user and a password.
    Basic,
}

/// Where a token is from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TokenSource {
    /// The address to ask.
    pub(super) realm: String,
    /// Who the token is for.
    pub(super) service: Option<String>,
    /// What it allows.
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// The challenge among these headers that can be met; a token is preferred.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|text| text.to_str().ok());
        let parsed = texts.filter_map(|text| http_auth::parse_challenges(text).ok()).flatten();
        let mut basic = None;
        for challenge in parsed {
            if challenge.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = parameter(&challenge, "realm")
            {
                let service = parameter(&challenge, "service");
                let scope = parameter(&challenge, "scope");
                return Some(Self::Bearer(TokenSource { realm, service, scope }));
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value): &(&str, ParamValue<'_>)| value.to_unescaped())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[&'static str]) -> Option<Challenge> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        Challenge::read(&map)
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let bearer =
            r#"Bearer realm="https://auth.io/token",service="r.io",scope="repository:a:pull""#;
        let source = TokenSource {
            realm: "https://auth.io/token".to_owned(),
            service: Some("r.io".to_owned()),
            scope: Some("repository:a:pull".to_owned()),
        };
        assert_eq!(read(&["Basic realm=\"x\"", bearer]), Some(Challenge::Bearer(source)));
        assert_eq!(read(&["Negotiate", "basic realm=x"]), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_met_is_none() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Negotiate"]), None);
        assert_eq!(read(&["Bearer service=\"a\""]), None);
        assert_eq!(read(&["\"\"\""]), None);
    }
}
