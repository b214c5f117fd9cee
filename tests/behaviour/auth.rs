//! Tokens: who gets in, who does not, and what they are told; made, listed and revoked by
//! commands while hosts run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use lockstep_tests::cli::{self, Ran};
use lockstep_tests::host::Host;
use lockstep_tests::http::{self, Answer};
use lockstep_tests::log::LogKind;
use lockstep_tests::process::Process;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::wait::eventually;

/// A world whose hosts ask for tokens.
struct Guarded {
    world: Scenario,
    input: String,
}

/// A route, and the scope that it takes.
struct Route {
    method: &'static str,
    url: String,
    scope: String,
}

impl Guarded {
    fn new(name: &str) -> Self {
        let mut world = Scenario::new(LogKind::Embedded, name);
        let (input, output) = (world.topic("in", 1), world.topic("out", 1));
        world.open_to_ingest(&[&input]);
        world.deploy(Manifest::guest("identity").from(&[&input]).to(&[&output]));
        world.configure("auth.tokens = \"tokens.toml\"");
        Self { world, input }
    }

    fn file(&self) -> PathBuf {
        self.world.directory().join("tokens.toml")
    }

    /// `lockstep token` with these arguments, in words.
    #[track_caller]
    fn run(&self, args: &str) -> Ran {
        cli::finish(&mut self.command(args), b"")
    }

    fn command(&self, args: &str) -> Command {
        let mut command = cli::command(["token"]);
        command.args(args.split(' ')).arg("--config").arg(self.world.config("host-1"));
        command
    }

    /// A new token.
    #[track_caller]
    fn token(&self, args: &str) -> String {
        let token = self.run(&format!("create {args}")).ok();
        assert_eq!(token.lines().count(), 1, "nothing but the token: {token}");
        token.trim().to_owned()
    }

    /// All the routes of a host that are not open to everybody.
    fn routes(&self, host: &Host) -> [Route; 2] {
        let route = |method, url, scope: &str| Route { method, url, scope: scope.to_owned() };
        [
            route("POST", host.events_url(&self.input), &format!("ingest:{}", self.input)),
            route("GET", format!("{}/v1/host", host.admin), "handlers:read"),
        ]
    }
}

impl Route {
    /// What a request with this `Authorization` is answered.
    #[track_caller]
    fn ask(&self, authorization: Option<&str>) -> Answer {
        let headers: Vec<_> =
            authorization.map(|value| ("authorization", value)).into_iter().collect();
        match self.method {
            "POST" => http::post(&self.url, &headers, b"x"),
            _ => http::get_with(&self.url, &headers),
        }
    }

    #[track_caller]
    fn with(&self, token: &str) -> Answer {
        self.ask(Some(&format!("Bearer {token}")))
    }
}

#[track_caller]
fn is_unauthorized(answer: &Answer) -> String {
    assert_eq!(answer.authenticate.as_deref(), Some("Bearer"), "{answer:?}");
    answer.problem("unauthorized", 401)
}

fn id(token: &str) -> &str {
    token.split('_').nth(1).expect("the form of a token")
}

#[test]
fn every_route_but_health_takes_a_token_with_its_scope() {
    let guarded = Guarded::new("every-route");
    let admin = guarded.token("--scope admin");
    let expired = guarded.token("--scope admin --expires 1ms");
    let other = guarded.token("--scope ingest:another-topic");
    let own = [
        guarded.token(&format!("--scope ingest:{}", guarded.input)),
        guarded.token("--scope handlers:read --expires 1h"),
    ];
    let host = Host::launch(&guarded.world.config("host-1"), &[("LOCKSTEP_LOG", "trace")]);
    host.wait_until_ready();
    let wrong = format!("{}00000000", &admin[..admin.len() - 8]);
    let stranger = admin.replace(id(&admin), "stranger");
    for (route, own) in guarded.routes(&host).iter().zip(&own) {
        is_unauthorized(&route.ask(None));
        for malformed in ["Bearer", "Bearer ", "Basic YTpi", admin.as_str(), "Bearer a b"] {
            is_unauthorized(&route.ask(Some(malformed)));
        }
        let detail = is_unauthorized(&route.with(&wrong));
        assert_eq!(
            is_unauthorized(&route.with(&stranger)),
            detail,
            "one is not told from the other"
        );
        assert!(is_unauthorized(&route.with(&expired)).contains("expired"));
        let refused = route.with(&other);
        assert!(refused.problem("forbidden", 403).contains(&route.scope), "{refused:?}");
        assert_eq!(refused.json()["scope"], route.scope);
        assert_eq!(route.with(own).status, 200);
        assert_eq!(route.with(&admin).status, 200);
    }
    for listener in [&host.ingest, &host.admin] {
        for path in ["livez", "readyz"] {
            assert_eq!(http::get(&format!("{listener}/{path}")).status, 200);
        }
    }
    assert_eq!(guarded.world.read(&guarded.input).len(), 2, "what was refused is not stored");
    for secret in [&admin, &wrong, &expired, &other, &own[0], &own[1]] {
        let secret = secret.rsplit('_').next().unwrap_or_default();
        assert!(!host.output().contains(secret), "a secret is logged");
    }
    assert!(host.output().contains(id(&own[0])), "who asked is logged");
}

#[test]
fn a_running_host_takes_new_tokens_and_refuses_revoked_ones() {
    let guarded = Guarded::new("revoked");
    let (first, kept) = (guarded.token("--scope admin"), guarded.token("--scope admin"));
    let host = guarded.world.start();
    let [post, handlers] = guarded.routes(&host);
    assert_eq!((post.with(&first).status, handlers.with(&first).status), (200, 200));
    assert!(guarded.run(&format!("revoke {}", id(&first))).ok().contains(id(&first)));
    eventually("the revoked token is refused", || post.with(&first).status == 401);
    is_unauthorized(&handlers.with(&first));
    assert_eq!(post.with(&kept).status, 200);
    let late = guarded.token("--scope admin");
    eventually("the new token is taken", || post.with(&late).status == 200);
    // The last one, too.
    for token in [&kept, &late] {
        guarded.run(&format!("revoke {}", id(token))).ok();
    }
    eventually("nobody gets in", || {
        post.with(&kept).status == 401 && post.with(&late).status == 401
    });
}

#[test]
fn a_file_that_breaks_keeps_the_old_tokens_and_is_reported_once() {
    let guarded = Guarded::new("broken-file");
    let token = guarded.token("--scope admin");
    let host = guarded.world.start();
    let [post, _] = guarded.routes(&host);
    let good = fs::read_to_string(guarded.file()).expect("the file is there");
    fs::write(guarded.file(), good.replace("admin", "nonsense")).expect("the file is ours");
    let words = ["ERROR", "stay as they were", "tokens.toml", "tokens[0].scopes[0]", "scope"];
    host.logged(&words);
    assert_eq!(post.with(&token).status, 200);
    // A second look at the same file would have said it again by the time of the next change.
    fs::remove_file(guarded.file()).expect("the file is ours");
    host.logged(&["ERROR", "tokens", "there is no file"]);
    assert_eq!(post.with(&token).status, 200);
    assert_eq!(host.output().matches("tokens[0].scopes[0]").count(), 1, "{}", host.output());
    let other = guarded.token("--scope admin");
    eventually("the mended file counts", || {
        post.with(&token).status == 401 && post.with(&other).status == 200
    });
}

#[test]
fn a_file_that_others_can_read_is_warned_about() {
    let guarded = Guarded::new("readable");
    guarded.token("--scope admin");
    let mode = |mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(guarded.file(), permissions).expect("the file is ours");
    };
    let made = fs::metadata(guarded.file()).expect("the file is there").permissions().mode();
    assert_eq!(made & 0o777, 0o600);
    let host = guarded.world.start();
    assert!(!host.output().contains("chmod"), "{}", host.output());
    mode(0o644);
    host.logged(&["WARN", "tokens.toml", "chmod 600"]);
}

#[test]
fn a_host_without_its_file_of_tokens_says_how_to_make_it() {
    let guarded = Guarded::new("no-file");
    let config = guarded.world.config("host-1");
    let words = ["auth.tokens", "tokens.toml", "lockstep token create"];
    cli::finish(&mut Host::command(&config), b"").fails(2, &words);
    let mut check = cli::command(["check", "--config"]);
    let check = cli::finish(check.arg(&config), b"");
    assert!(check.code == 2 && words.iter().all(|word| check.stdout.contains(word)), "{check:?}");
    guarded.run("list").fails(3, &["tokens.toml", "lockstep token create"]);
    guarded.run("revoke abc").fails(3, &["tokens.toml"]);
}

#[test]
fn tokens_are_listed_without_what_is_secret() {
    let guarded = Guarded::new("listed");
    let shop = guarded.token("--scope ingest:b --scope ingest:a --note shop --expires 30d");
    let admin = guarded.token("--scope admin");
    let listed = guarded.run("list --output json").json();
    assert_eq!(listed[0]["id"], id(&shop));
    assert_eq!(listed[0]["scopes"], serde_json::json!(["ingest:a", "ingest:b"]));
    assert_eq!((&listed[0]["note"], &listed[1]["id"]), (&"shop".into(), &id(&admin).into()));
    assert!(listed[0]["expires"].is_string() && listed[1]["expires"].is_null(), "{listed}");
    assert!(listed[1]["created"].as_str().is_some_and(|time| time.ends_with('Z')), "{listed}");
    let text = guarded.run("list").ok();
    for part in ["shop", "ingest:a ingest:b", "never", id(&admin)] {
        assert!(text.contains(part), "{part:?} is not listed: {text}");
    }
    let file = fs::read_to_string(guarded.file()).expect("the file is there");
    for token in [shop, admin] {
        let secret = token.rsplit('_').next().unwrap_or_default().to_owned();
        assert!(secret.len() >= 22, "128 bits at least: {secret}");
        let seen = format!("{listed}{text}{file}");
        assert!(!seen.contains(&secret), "{seen}");
    }
}

#[test]
fn commands_at_the_same_time_lose_no_token() {
    let guarded = Guarded::new("at-once");
    guarded.world.config("host-1");
    let create = || {
        let file = guarded.file();
        let mut command = cli::command(["token", "create", "--scope", "admin", "--file"]);
        cli::finish(command.arg(file), b"").ok()
    };
    let mut made: Vec<_> = thread::scope(|threads| {
        let running: Vec<_> = (0..12).map(|_| threads.spawn(create)).collect();
        running.into_iter().map(|thread| thread.join().expect("it succeeds")).collect()
    });
    let listed = guarded.run("list --output json").json();
    let mut ids: Vec<_> =
        listed.as_array().into_iter().flatten().filter_map(|t| t["id"].as_str()).collect();
    ids.sort_unstable();
    made.sort_unstable();
    assert_eq!(ids, made.iter().map(|token| id(token)).collect::<Vec<_>>());
}

#[test]
fn wrong_commands_say_what_is_wrong() {
    let guarded = Guarded::new("wrong-commands");
    guarded.run("create").fails(2, &["--scope"]);
    guarded.run("create --scope everything").fails(2, &["everything", "handlers:write"]);
    guarded.run("create --scope admin --expires soon").fails(2, &["soon", "30d"]);
    guarded.run("create --scope admin --file other.toml").fails(2, &["--file", "--config"]);
    assert!(!guarded.file().exists(), "nothing was made");
    let token = guarded.token("--scope admin");
    guarded.run("revoke nobody").fails(3, &["nobody", id(&token)]);
    let other = Scenario::new(LogKind::Embedded, "no-auth");
    let mut command = cli::command(["token", "create", "--scope", "admin", "--config"]);
    let ran = cli::finish(command.arg(other.config("host-1")), b"");
    ran.fails(2, &["host-1.toml", "auth.tokens", "[auth]"]);
}

/// What `lockstep check` says of listeners that other machines reach; nothing is started.
fn check_exposed(security: &str) -> Ran {
    let mut world = Scenario::new(LogKind::Embedded, "exposed");
    world.configure("[http]\ningest = \"0.0.0.0:8080\"\nadmin = \"[::]:8081\"");
    world.configure(security);
    let tokens = world.directory().join("tokens.toml");
    fs::write(tokens, "tokens = []").expect("the scenario's directory is ours");
    let mut command = cli::command(["check", "--output", "json", "--config"]);
    cli::finish(command.arg(world.config("host-1")), b"")
}

#[test]
fn a_listener_that_others_reach_is_refused_unless_somebody_is_asked_for_or_it_is_said() {
    let refused = check_exposed("");
    assert_eq!(refused.code, 2, "{refused:?}");
    for (listener, address) in [("ingest", "0.0.0.0:8080"), ("admin", "[::]:8081")] {
        let key = format!("\"http.{listener}\"");
        let tls = format!("[http.{listener}_tls]");
        for word in [&key, address, "tokens", "client_ca", &tls, "anonymous = true"] {
            assert!(refused.stdout.contains(word), "{word:?} is not said: {}", refused.stdout);
        }
    }
    check_exposed("auth.anonymous = true").ok();
    check_exposed("auth.tokens = \"tokens.toml\"").ok();
    let both = check_exposed("[auth]\nanonymous = true\ntokens = \"tokens.toml\"");
    assert!(both.code == 2 && both.stdout.contains("auth.anonymous"), "{both:?}");
}

#[test]
fn a_host_that_others_reach_does_not_start_without_asking_for_anything() {
    for (listener, args) in
        [("ingest", ["--ingest", "0.0.0.0:0"]), ("admin", ["--admin", "[::]:0"])]
    {
        let world = Scenario::new(LogKind::Embedded, "not-started");
        let mut command = Host::command(&world.config("host-1"));
        let ran = cli::finish(command.args(args), b"");
        ran.fails(2, &[&format!("http.{listener}"), args[1], "tokens", "anonymous = true"]);
        assert!(!world.data_dir().exists(), "nothing was started");
    }
}

#[test]
fn a_host_on_this_machine_alone_needs_no_tokens_and_says_nothing_of_it() {
    let mut world = Scenario::new(LogKind::Embedded, "loopback");
    let input = world.topic("in", 1);
    world.open_to_ingest(&[&input]);
    world.configure("http.ingest = \"127.0.0.2:0\"");
    let mut command = Host::command(&world.config("host-1"));
    let host = Process::start("lockstep run", &mut command);
    let ready = |line: &str| line.contains(" ready ").then(|| line.to_owned());
    host.find_line(lockstep_tests::wait::DEADLINE, ready).expect("it becomes ready");
    assert!(!host.output().contains("WARN"), "{}", host.output());
}
