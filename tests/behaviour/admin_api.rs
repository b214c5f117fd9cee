//! The admin API: what `lockstep handler` and `lockstep deploy` do, over HTTP.

use std::collections::BTreeSet;
use std::fs;

use lockstep::event::Consumed;
use lockstep_tests::broker::Broker;
use lockstep_tests::event::{Has, event};
use lockstep_tests::fleet::Fleet;
use lockstep_tests::host::Host;
use lockstep_tests::http;
use lockstep_tests::log::LogKind;
use lockstep_tests::operator::{Operator, nothing, token};
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;
use serde_json::{Value, json};

on_both_logs![
    a_handler_lives_over_http,
    events_are_handled_again_over_http,
    what_cannot_be_done_is_a_problem_and_changes_nothing,
    what_cannot_run_is_refused_over_http_before_anything_is_written,
    handlers_of_a_hosts_own_configuration_are_shown,
];

/// The methods that a path of the document may have.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn a_handler_lives_over_http(world: Scenario) {
    let fleet = Fleet::new(world, 2);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    let deployed = operator.deploy("identity", "");
    assert_eq!(deployed.status, 200, "{deployed:?}");
    let deployed = deployed.json();
    assert_eq!((&deployed["revision"], &deployed["hosts"]), (&json!(1), &json!(["host-1"])));
    assert!(deployed["digest"].as_str().is_some_and(|d| d.starts_with("sha256:")), "{deployed}");
    assert_eq!(fleet.answered_by(), 1);
    let again = operator.deploy("identity", "").json();
    assert_eq!((&again["revision"], &again["changed"]), (&json!(1), &json!(false)));

    let listed = operator.ask("GET", "/v1/handlers", "", b"").json();
    let only = &listed[0];
    assert_eq!((&only["name"], &only["state"]), (&json!(fleet.name), &json!("active")));
    assert_eq!(only["deployed_by"], "anonymous@host-1");
    eventually("the list names the host", || {
        operator.ask("GET", "/v1/handlers", "", b"").json()[0]["hosts"] == json!(["host-1"])
    });
    let status = operator.look("").json();
    assert_eq!((&status["revision"], &status["paused"]), (&json!(1), &json!(false)));
    assert_eq!(status["hosts"][0]["state"], "running");
    let partition = &status["partitions"][0];
    assert_eq!((&partition["topic"], &partition["lag"]), (&json!(fleet.input), &json!(0)));

    let workers = || host.handler(&fleet.name)["workers"].as_array().map(Vec::len);
    assert_eq!(operator.done("/scale", &json!({ "workers": 2 }))["hosts"], json!(["host-1"]));
    assert_eq!(workers(), Some(2));
    operator.done("/scale", &json!({ "workers": null }));
    assert_eq!(workers(), Some(1));
    assert_eq!(operator.done("/pause", &nothing())["paused"], true);
    assert_eq!(operator.look("").json()["hosts"][0]["state"], "paused");
    assert_eq!(operator.done("/resume", &nothing())["paused"], false);
    operator.done("/restart", &nothing());
    host.logged(&["worker stopped", &fleet.name]);

    let second = operator.deploy("stamp", "limits.memory = \"32MiB\"").json();
    assert_eq!(second["revision"], 2);
    assert!(second["changes"].to_string().contains("limits.memory"), "{second}");
    assert_eq!(fleet.answered_by(), 2);
    let history = operator.look("/history").json();
    assert_eq!((&history[0]["revision"], &history[0]["active"]), (&json!(2), &json!(true)));
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert_eq!(operator.done("/rollback", &nothing())["revision"], 1);
    assert_eq!(fleet.answered_by(), 1);
    assert_eq!(operator.done("/rollback", &json!({ "to": 2 }))["revision"], 2);
    let late = operator.post("/restart?wait=0s", &nothing());
    assert_eq!((late.status, &late.json()["hosts"]), (202, &json!([])), "nobody was waited for");

    let deleted = operator.delete();
    assert_eq!((deleted.status, &deleted.json()["revision"]), (200, &json!(null)), "{deleted:?}");
    operator.look("").problem("unknown-handler", 404);
    operator.delete().problem("unknown-handler", 404);
    assert_eq!(operator.ask("GET", "/v1/handlers", "", b"").json(), json!([]));
}

fn events_are_handled_again_over_http(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    let revisions = || -> Vec<u64> {
        let by = |output: &Consumed| output.last_header("lockstep-handler").unwrap_or_default();
        let number = |by: String| by.rsplit_once('@').and_then(|(_, number)| number.parse().ok());
        fleet.world.read(&fleet.output).iter().filter_map(|output| number(by(output))).collect()
    };
    assert_eq!(operator.deploy("identity", "").status, 200);
    fleet.world.produce(["a", "b"].map(|text| event(&fleet.input, text)));
    fleet.world.wait_for(&fleet.output, 2);
    operator.post("/rollback", &json!({ "to": 9, "rewind": true })).problem("conflict", 409);
    assert_eq!(operator.deploy("stamp", "").status, 200);
    operator.post("/rollback", &json!({ "rewind": true })).problem("conflict", 409);
    fleet.world.produce(["c", "d", "e"].map(|text| event(&fleet.input, text)));
    fleet.world.wait_for(&fleet.output, 5);

    let dry = json!({ "rewind": true, "dry_run": true });
    eventually("all is committed", || {
        operator.post("/rollback", &dry).json()["events_again"].as_i64() >= Some(3)
    });
    assert_eq!(operator.done("/rollback", &dry)["revision"], 1);
    assert_eq!(operator.look("").json()["revision"], 2, "who asks first changes nothing");
    let done = operator.done("/rollback", &json!({ "rewind": true }));
    assert_eq!((&done["revision"], &done["paused"]), (&json!(1), &json!(false)), "{done}");
    fleet.world.wait_for(&fleet.output, 8);
    assert_eq!(revisions(), [1, 1, 2, 2, 2, 1, 1, 1]);

    let dry = operator.done("/reset", &json!({ "to": "earliest", "dry_run": true }));
    assert_eq!((&dry["partitions"], revisions().len()), (&json!(1), 8), "{dry}");
    operator.done("/reset", &json!({ "to": "earliest" }));
    fleet.world.wait_for(&fleet.output, 13);
    operator.done("/reset", &json!({ "to": "latest" }));
    operator.done("/reset", &json!({ "to": "@2000-01-01T00:00:00Z" }));
    fleet.world.wait_for(&fleet.output, 18);
    // What is paused stays so.
    operator.done("/pause", &nothing());
    assert_eq!(operator.done("/reset", &json!({ "to": 0 }))["paused"], true);
    assert_eq!(revisions()[8..], [1; 10]);
}

fn what_cannot_be_done_is_a_problem_and_changes_nothing(world: Scenario) {
    let fleet = Fleet::new(world, 1);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    for below in ["", "/history"] {
        operator.look(below).problem("unknown-handler", 404);
    }
    for (below, body) in [
        ("/pause", nothing()),
        ("/resume", nothing()),
        ("/restart", nothing()),
        ("/scale", json!({ "workers": 2 })),
        ("/rollback", nothing()),
        ("/rollback", json!({ "rewind": true })),
        ("/reset", json!({ "to": "latest" })),
    ] {
        let detail = operator.post(below, &body).problem("unknown-handler", 404);
        assert!(detail.contains(&fleet.name), "{detail}");
    }
    assert_eq!(operator.deploy("identity", "").status, 200);
    operator.post("/resume", &nothing()).problem("conflict", 409);
    operator.post("/rollback", &nothing()).problem("conflict", 409);
    operator.post("/rollback", &json!({ "to": 7 })).problem("conflict", 409);
    let component = fs::read(lockstep_tests::build::guest("stamp")).expect("a guest");
    let manifest = operator.manifest("");
    let parts = [("manifest", manifest.as_bytes()), ("component", &*component)];
    let between = operator.deploy_form("?base=0", &parts);
    assert!(between.problem("conflict", 409).contains("came between"), "{between:?}");
    assert_eq!(between.json()["revision"], 1);

    for (below, body, word) in [
        ("/scale", json!({}), "workers"),
        ("/scale", json!({ "workers": 65 }), "1 to 64"),
        ("/scale", json!({ "workers": 1, "threads": 2 }), "threads"),
        ("/rollback", json!({ "to": "first" }), "to"),
        ("/rollback", json!({ "dry_run": true }), "rewind"),
        ("/reset", json!({}), "to"),
        ("/reset", json!({ "to": "yesterday" }), "earliest"),
        ("/reset", json!({ "to": -1 }), "earliest"),
        ("/pause?wait=soon", nothing(), "wait=soon"),
        ("/pause?wait=1h", nothing(), "10m"),
        ("/pause?await=1s", nothing(), "await"),
    ] {
        let detail = operator.post(below, &body).problem("bad-request", 400);
        assert!(detail.contains(word), "{word:?} is not in {detail}");
    }
    let path = format!("/v1/handlers/{}/reset", fleet.name);
    operator.ask("POST", &path, "text/plain", b"{}").problem("unsupported-media-type", 415);
    operator.ask("POST", &path, "application/json", b"{").problem("bad-request", 400);
    let long = vec![b' '; 100 << 10];
    operator.ask("POST", &path, "application/json", &long).problem("too-large", 413);
    operator.ask("PUT", "/v1/handlers", "", b"").problem("method-not-allowed", 405);
    assert_eq!(fleet.answered_by(), 1);
    assert_eq!(operator.look("/history").json().as_array().map(Vec::len), Some(1));
}

fn what_cannot_run_is_refused_over_http_before_anything_is_written(world: Scenario) {
    let mut fleet = Fleet::new(world, 1);
    // A handler of the host's own goes first.
    let own = Manifest::guest("identity").from(&[&fleet.input]).to(&[&fleet.output]);
    let own = fleet.world.deploy(own);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    let component = fs::read(lockstep_tests::build::guest("stamp")).expect("a guest");
    let invalid = |manifest: &str, component: &[u8], words: &[&str]| {
        let parts = [("manifest", manifest.as_bytes()), ("component", component)];
        let detail = operator.deploy_form("", &parts).problem("invalid", 422);
        words.iter().for_each(|word| assert!(detail.contains(word), "{word:?}: {detail}"));
    };
    let manifest = operator.manifest("group = \"another\"");
    invalid(&manifest, b"garbage", &["not WebAssembly"]);
    invalid("name = ", &component, &["TOML"]);
    invalid(&operator.manifest("limits.memory = \"much\""), &component, &["limits.memory"]);
    invalid(&manifest.replace(&fleet.name, "other"), &component, &["\"other\"", &fleet.name]);
    let nowhere = manifest.replace(&fleet.output, "nowhere-at-all");
    invalid(&nowhere, &component, &["nowhere-at-all", "topic create"]);
    // Two of one group would each see a part of the topic.
    invalid(&operator.manifest(&format!("group = {:?}", own.group)), &component, &[&own.group]);
    let wrong = fs::read(lockstep_tests::build::guest("wrong-world")).expect("a guest");
    invalid(&manifest, &wrong, &["export"]);

    let signed: [(&str, &[u8]); 3] =
        [("manifest", manifest.as_bytes()), ("component", &component), ("signature", b"x")];
    operator.deploy_form("", &signed).problem("invalid", 422);
    let parts: [(&str, &[u8]); 3] =
        [("manifest", manifest.as_bytes()), ("component", &component), ("mistake", b"x")];
    operator.deploy_form("", &parts).problem("bad-request", 400);
    let detail = operator.deploy_form("", &parts[..1]).problem("bad-request", 400);
    assert!(detail.contains("component"), "{detail}");
    operator.deploy_form("", &[parts[0], parts[1], parts[0]]).problem("bad-request", 400);
    let large = vec![b'#'; (1 << 20) + 1];
    operator.deploy_form("", &[("manifest", &large)]).problem("too-large", 413);
    let path = format!("/v1/handlers/{}/deploy", fleet.name);
    operator.ask("POST", &path, "application/json", b"{}").problem("unsupported-media-type", 415);
    operator.look("/history").problem("unknown-handler", 404);
    let own_name = format!("/v1/handlers/{}/deploy", own.name);
    let (content_type, body) = http::form(&[
        ("manifest", manifest.replace(&fleet.name, &own.name).as_bytes()),
        ("component", &component),
    ]);
    let refused = operator.ask("POST", &own_name, &content_type, &body);
    assert!(refused.problem("invalid", 422).contains("configuration of this host"), "{refused:?}");
}

fn handlers_of_a_hosts_own_configuration_are_shown(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let own = world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
    let host = world.start();
    let get = |path: &str| http::get(&format!("{}{path}", host.admin));
    eventually("the fleet hears of it", || {
        let listed = get("/v1/handlers").json();
        listed[0]["name"] == own.name.as_str() && listed[0]["state"] == "configured"
    });
    let status = get(&format!("/v1/handlers/{}", own.name)).json();
    assert_eq!((&status["revision"], &status["hosts"][0]["host"]), (&json!(0), &json!("host-1")));
    let shown = get("/v1/host").json();
    assert_eq!(
        (&shown["host"], &shown["cluster_id"]),
        (&json!("host-1"), &json!(world.cluster_id()))
    );
    assert_eq!(shown["handlers"][0]["name"], own.name.as_str());
}

/// The document that a host serves.
fn document(host: &Host) -> Value {
    let answer = http::get(&format!("{}/openapi.json", host.admin));
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    answer.json()
}

/// Path, method and description of everything that the document names.
fn operations(document: &Value) -> Vec<(&str, &'static str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        let of = |method: &&'static str| Some((path.as_str(), *method, item.get(*method)?));
        all.extend(METHODS.iter().filter_map(of));
    }
    all
}

#[test]
fn every_route_of_the_document_takes_a_token_with_its_scope() {
    let mut world = Scenario::new(LogKind::Embedded, "every-route-of-the-document");
    world.configure("auth.tokens = \"tokens.toml\"");
    let config = world.config("host-1");
    let [admin, other, read] =
        ["admin", "ingest:another", "handlers:read"].map(|scope| token(&config, scope));
    let fleet = Fleet::new(world, 1);
    let host = fleet.world.start();
    let document = document(&host);
    let wrong = format!("{}00000000", &admin[..admin.len() - 8]);
    let operator = |token: &str| Operator::new(&fleet, &host).with_token(token);
    let mut guarded = 0;
    for (path, method, operation) in operations(&document) {
        if path == "/openapi.json" {
            continue;
        }
        guarded += 1;
        let scope = operation["security"][0]["token"][0].as_str().expect(path).to_owned();
        let (method, path) = (method.to_uppercase(), path.replace("{name}", &fleet.name));
        let ask = |operator: Operator<'_>| operator.ask(&method, &path, "", b"");
        for answer in [ask(Operator::new(&fleet, &host)), ask(operator("x")), ask(operator(&wrong))]
        {
            assert_eq!(answer.authenticate.as_deref(), Some("Bearer"), "{method} {path}");
            answer.problem("unauthorized", 401);
        }
        let narrow = if scope == "handlers:write" { [&other, &read] } else { [&other; 2] };
        for token in narrow {
            let refused = ask(operator(token));
            refused.problem("forbidden", 403);
            assert_eq!(refused.json()["scope"], scope, "{method} {path}");
        }
        let let_in = ask(operator(&admin)).status;
        assert!(![401, 403, 405, 500].contains(&let_in), "{method} {path}: {let_in}");
    }
    assert!(guarded >= 12, "{guarded}");
    let by = operator(&admin);
    assert_eq!(by.deploy("identity", "").status, 200);
    let history = by.look("/history").json();
    let id = admin.split('_').nth(1).expect("the form of a token");
    assert_eq!(history[0]["deployed_by"], format!("token-{id}@host-1"), "{history}");
}

#[test]
fn the_document_is_sound() {
    let host = Scenario::new(LogKind::Embedded, "the-document").start();
    let document = document(&host);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    for field in ["title", "version"] {
        assert!(document["info"][field].is_string(), "{}", document["info"]);
    }
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id), "{method} {path}: {id:?}");
        assert!(operation["summary"].is_string(), "{method} {path}");
        let responses = operation["responses"].as_object().expect(path);
        assert!(responses.contains_key("200"), "{method} {path}");
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "4") {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
        }
        let named: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        let in_path = named.iter().any(|parameter| parameter["in"] == "path");
        assert_eq!(in_path, path.contains('{'), "{method} {path}");
    }
    let scheme = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    let mut unresolved = Vec::new();
    visit(&document, &mut |reference| {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        if document.pointer(pointer).is_none() || pointer.is_empty() {
            unresolved.push(reference.to_owned());
        }
    });
    assert!(unresolved.is_empty(), "{unresolved:?}");
}

/// Calls `seen` with every `$ref`.
fn visit(value: &Value, seen: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| match value.as_str() {
            Some(reference) if key == "$ref" => seen(reference),
            _ => visit(value, seen),
        }),
        Value::Array(items) => items.iter().for_each(|item| visit(item, seen)),
        _ => {}
    }
}

#[test]
fn web_pages_are_kept_out_where_nobody_asks_for_tokens() {
    let world = Scenario::new(LogKind::Embedded, "web-pages");
    let host = world.start();
    let url = format!("{}/v1/handlers/x/pause", host.admin);
    for header in [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")] {
        http::post(&url, &[header], b"").problem("forbidden", 403);
    }
    http::post(&url, &[("sec-fetch-site", "none")], b"").problem("unknown-handler", 404);
}

#[test]
fn a_host_without_deployments_says_so_and_shows_itself() {
    let mut world = Scenario::new(LogKind::Embedded, "no-deployments");
    world.configure("deployments = false");
    let fleet = Fleet::new(world, 1);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    for answer in [operator.look(""), operator.delete(), operator.deploy("identity", "")] {
        assert!(answer.problem("deployments-off", 501).contains("deployments = false"));
    }
    assert_eq!(operator.ask("GET", "/v1/host", "", b"").json()["handlers"], json!([]));
}

#[test]
fn what_another_host_cannot_run_is_taken_back_over_http() {
    let mut fleet = Fleet::new(Scenario::new(LogKind::Kafka, "another-cannot"), 1);
    let first = fleet.world.start_as("host-1");
    let own = Manifest::guest("identity").from(&[&fleet.input]).to(&[&fleet.output]);
    let name = fleet.name.clone();
    fleet.world.deploy(own.with(&format!("name = {name:?}")));
    let _second = fleet.world.start_as("host-2");
    let operator = Operator::new(&fleet, &first);
    eventually("the first host hears of the second", || {
        operator.look("").json()["hosts"][0]["host"] == "host-2"
    });
    let refused = operator.deploy("stamp", "");
    assert!(refused.problem("hosts-refuse", 409).contains("taken back"), "{refused:?}");
    assert_eq!(refused.json()["reasons"][0]["host"], "host-2", "{refused:?}");
}

#[test]
fn a_log_that_does_not_answer_is_a_problem_of_its_own() {
    let broker = Broker::start();
    let fleet = Fleet::new(Scenario::at_broker(&broker.address(), "silent-log"), 1);
    let host = fleet.world.start();
    let operator = Operator::new(&fleet, &host);
    assert_eq!(operator.deploy("identity", "").status, 200);
    broker.stop();
    let answer = operator.post("/pause", &nothing());
    answer.problem("log-unreachable", 503);
    assert!(answer.retry_after.is_some(), "{answer:?}");
    assert_eq!(operator.ask("GET", "/v1/host", "", b"").status, 200);
}
