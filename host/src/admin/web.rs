//! Keeps web pages out.
//!
//! A page in an operator's browser can send requests to any listener on the operator's machine,
//! also such as change something. Where a token is asked for, it has none to send along. Where
//! none is, or the browser adds a client certificate by itself, whatever comes from a page is
//! refused: a browser says so in these headers, and no page can make it keep silent.

use axum::extract::Request;
use axum::http::HeaderName;
use axum::http::header::ORIGIN;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::Caller;
use crate::problem::{Kind, Problem};

/// How the page is related to what it asks; `none` when a person typed the address.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Answers 403 to a page without a token.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    let has_token =
        request.extensions().get::<Caller>().is_some_and(|caller| caller.id().is_some());
    let headers = request.headers();
    let site = headers.get(SEC_FETCH_SITE);
    let is_page = headers.contains_key(ORIGIN) || site.is_some_and(|site| site != "none");
    if has_token || !is_page {
        return next.run(request).await;
    }
    let detail = "web pages may not use the admin API without a token; see `tokens` under [auth] \
                  in the host's configuration";
    Problem::new(Kind::Forbidden, detail).into_response()
}
