//! Tokens from their making to the answer of a route: over real connections, with a real file.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use http_body_util::Full;
use tempfile::TempDir;

use super::*;
use crate::config::testing::KeyTable;
use crate::http::testing::{Answer, Client, Server};
use crate::reload::Reloaded;

const VALID: &str = r#"
[[tokens]]
id = "k7p2m9qx"
hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
scopes = ["ingest:orders", "handlers:read"]
created = "2026-01-31T12:00:00Z"
expires = "2027-01-31T12:00:00Z"
note = "shop"
"#;

fn scope(text: &str) -> Scope {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A file of tokens in a folder of its own.
fn file() -> (TempDir, TokenFile) {
    let folder = TempDir::new().unwrap();
    let file = TokenFile::at(folder.path().join("tokens.toml"));
    (folder, file)
}

fn new(scopes: &[&str]) -> NewToken {
    let scopes = scopes.iter().map(|text| scope(text)).collect();
    NewToken { scopes, expires: None, note: None }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn every_broken_key_of_a_file_is_named_with_its_fix() {
    let folder = TempDir::new().unwrap();
    let table = KeyTable {
        file: folder.path().join("tokens.toml"),
        valid: VALID,
        load: |file| Tokens::load(file).map(drop),
        cases: &[
            ("tokens[0].id", "k7p2m9qx", r#" 3 | "" | "a b" | "A" "#),
            ("tokens[0].hash", "token create", r#" 3 | "" | "sha256:ba78" | "md5:00" "#),
            ("tokens[0].scopes[0]", "\"ingest:orders\"", r#" 3 | "" | "ingest" | "all" "#),
            ("tokens[0].scopes[1]", "\"ingest:orders\"", r#" 3 | "handlers" "#),
            ("tokens[0].created", "2026-01-31T12:00:00Z", r#" 3 | "" | "today" "#),
            ("tokens[0].expires", "2026-01-31T12:00:00Z", r#" 3 | "" | "30d" "#),
            ("tokens[0].note", "for example", r#" 3 | "a\nb" "#),
        ],
        required: &[
            ("tokens[0].id", "id = "),
            ("tokens[0].hash", "token create"),
            ("tokens[0].scopes", "scopes = ["),
            ("tokens[0].created", "created = "),
        ],
        free: &[],
    };
    table.check();
}

#[test]
fn an_id_that_appears_twice_is_refused() {
    let (_folder, file) = file();
    fs::write(file.path(), VALID.repeat(2)).unwrap();
    let error = Tokens::load(file.path()).unwrap_err();
    assert_eq!(error.key, "tokens[1].id");
}

#[test]
fn what_is_created_is_listed_and_found_and_what_is_revoked_is_not() {
    let (_folder, file) = file();
    let (one, entry) = file.create(new(&["ingest:orders"])).unwrap();
    let note = Some("the \"shop\"".to_owned());
    let (two, _) = file.create(NewToken { note: note.clone(), ..new(&["admin"]) }).unwrap();
    let entries = file.entries().unwrap();
    let ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
    assert_eq!(ids, [one.id(), two.id()]);
    assert_eq!((&entries[0].hash, &entries[0].scopes), (&entry.hash, &entry.scopes));
    assert_eq!(entries[1].note, note);
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(!text.contains(one.expose()), "{text}");
    assert!(!text.contains(one.expose().rsplit('_').next().unwrap()), "{text}");

    let callers = |token: &Token| {
        let tokens = Tokens::load(file.path()).unwrap();
        tokens.caller(token.expose(), SystemTime::now()).map(|caller| caller.id().is_some())
    };
    assert_eq!(callers(&one), Ok(true));
    assert!(matches!(file.revoke(one.id()).unwrap(), Revoked::Gone(gone) if gone.id == *one.id()));
    assert!(callers(&one).is_err() && callers(&two).is_ok());
    let unknown = file.revoke(one.id()).unwrap();
    assert_eq!(unknown, Revoked::Unknown(vec![two.id().clone()]));
}

#[test]
fn a_new_file_is_for_its_owner_only_and_a_change_keeps_permissions_and_links() {
    let (folder, file) = file();
    file.create(new(&["admin"])).unwrap();
    assert_eq!(mode(file.path()), 0o600);
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.toml");
    symlink(file.path(), &link).unwrap();
    TokenFile::at(&link).create(new(&["admin"])).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((mode(file.path()), file.entries().unwrap().len()), (0o640, 2));
    let names: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 2, "nothing is left behind: {names:?}");
}

#[test]
fn a_broken_file_is_not_overwritten() {
    let (_folder, file) = file();
    fs::write(file.path(), "[[tokens]]\nid = 3").unwrap();
    assert!(file.create(new(&["admin"])).is_err());
    assert!(file.revoke(&"a".parse().unwrap()).is_err());
    assert_eq!(fs::read_to_string(file.path()).unwrap(), "[[tokens]]\nid = 3");
}

#[test]
fn changes_at_the_same_time_lose_nothing() {
    let (_folder, file) = file();
    let gone = file.create(new(&["admin"])).unwrap().0;
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..5).for_each(|_| drop(file.create(new(&["admin"])).unwrap())));
        }
        threads.spawn(|| drop(file.revoke(gone.id()).unwrap()));
    });
    let entries = file.entries().unwrap();
    assert_eq!(entries.len(), 20);
    assert!(entries.iter().all(|entry| entry.id != *gone.id()));
}

/// A route for everybody with a token, one for readers, and one for writers.
async fn serving(tokens: Option<Tokens>) -> (Server, Client) {
    let router = Router::new()
        .route("/any", get(async || "ok"))
        .route("/read", get(async || "ok").route_layer(require(Scope::HandlersRead)))
        .route("/write", get(async || "ok").route_layer(require(Scope::HandlersWrite)))
        .route("/who", get(async |caller: Caller| caller.id().unwrap_or("anybody").to_owned()));
    let gate = tokens.map_or_else(Gate::open, |tokens| Gate::with_tokens(Reloaded::new(tokens)));
    let open = Router::new()
        .route("/open", get(async || "ok"))
        .route("/forgotten", get(async || "ok").route_layer(require(Scope::HandlersRead)));
    let server = Server::serving(gate.guard(router).merge(open)).await;
    let client = server.http1().await;
    (server, client)
}

async fn ask(client: &mut Client, path: &str, headers: &[&str]) -> Answer {
    let mut request = Request::get(path);
    for value in headers {
        request = request.header("authorization", *value);
    }
    client.send(request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn who_is_not_known_gets_no_further_than_the_gate() {
    let (_folder, file) = file();
    let (token, _) = file.create(new(&["admin"])).unwrap();
    let (other, _) = file.create(new(&["admin"])).unwrap();
    let past = Some(SystemTime::now() - Duration::from_secs(1));
    let (late, _) = file.create(NewToken { expires: past, ..new(&["admin"]) }).unwrap();
    let (_server, mut client) = serving(Some(Tokens::load(file.path()).unwrap())).await;
    let bearer = |token: &str| format!("Bearer {token}");
    let good = bearer(token.expose());
    let mut details = Vec::new();
    let wrong = format!("{}0000", &token.expose()[..token.expose().len() - 4]);
    let unknown = token.expose().replace(token.id().as_str(), "unknown0");
    let mixed = token.expose().replace(token.id().as_str(), other.id().as_str());
    for headers in [
        &[] as &[&str],
        &[token.expose()],
        &[&good, &good],
        &["Basic YTpi"],
        &["Bearer"],
        &["Bearer "],
        &[&bearer(&wrong)],
        &[&bearer(&unknown)],
        &[&bearer(&mixed)],
        &[&bearer(&"x".repeat(10_000))],
        &[&bearer(late.expose())],
    ] {
        for path in ["/any", "/read", "/who"] {
            let answer = ask(&mut client, path, headers).await;
            details.push(answer.problem(401, "unauthorized"));
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{headers:?}");
        }
        assert_eq!(ask(&mut client, "/open", headers).await.body, "ok");
        ask(&mut client, "/forgotten", headers).await.problem(401, "unauthorized");
    }
    assert!(details.iter().all(|detail| !detail.contains(token.expose())), "{details:?}");
    let of = |at: usize| &details[3 * at];
    assert!([7, 8, 9].iter().all(|at| of(*at) == of(6)), "unknown is not told from wrong");
    assert!(of(10).contains("expired at"), "{}", of(10));
    assert_eq!(
        ask(&mut client, "/any", &[&format!("bearer  {}", token.expose())]).await.body,
        "ok"
    );
}

#[tokio::test]
async fn who_lacks_a_scope_is_told_which() {
    let (_folder, file) = file();
    let [ingest, read, write, admin] = ["ingest:*", "handlers:read", "handlers:write", "admin"]
        .map(|scope| file.create(new(&[scope])).unwrap().0);
    let (_server, mut client) = serving(Some(Tokens::load(file.path()).unwrap())).await;
    for (token, may_read, may_write) in
        [(ingest, false, false), (read, true, false), (write, true, true), (admin, true, true)]
    {
        let header = format!("Bearer {}", token.expose());
        assert_eq!(ask(&mut client, "/who", &[&header]).await.body, token.id().as_str());
        for (path, scope, may) in
            [("/read", "handlers:read", may_read), ("/write", "handlers:write", may_write)]
        {
            let answer = ask(&mut client, path, &[&header]).await;
            if may {
                assert_eq!(answer.body, "ok", "{path}");
                continue;
            }
            let detail = answer.problem(403, "forbidden");
            assert!(detail.contains(scope) && detail.contains(token.id().as_str()), "{detail}");
            assert_eq!(answer.json()["scope"], scope);
        }
    }
}

#[tokio::test]
async fn an_open_gate_lets_everybody_do_everything() {
    let (_server, mut client) = serving(None).await;
    for path in ["/any", "/read", "/write"] {
        assert_eq!(ask(&mut client, path, &[]).await.body, "ok", "{path}");
    }
    assert_eq!(ask(&mut client, "/who", &["Bearer whatever"]).await.body, "anybody");
    // No gate at all is not an open one.
    ask(&mut client, "/forgotten", &[]).await.problem(401, "unauthorized");
}
