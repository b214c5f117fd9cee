//! The shape of the code: which part may know which, and that nothing made for a test is left
//! without one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstep_tests::paths;

/// A crate, and the modules of the host that may name it.
const OWNERS: &[(&str, &[&str])] = &[
    ("rdkafka", &["log/kafka"]),
    ("rusqlite", &["log/embedded"]),
    ("wasmparser", &["wasm"]),
    ("wasmtime", &["wasm"]),
    ("wasmtime_wasi", &["wasm"]),
    ("axum", &["http", "ingest", "admin", "auth", "health", "problem", "server"]),
    ("clap", &["cli"]),
    ("fail", &["failpoint", "bin"]),
    ("getrandom", &["auth"]),
    ("notify", &["watch"]),
    ("quick_junit", &["cli"]),
    ("http_auth", &["oci"]),
    ("regex_lite", &["runner"]),
    ("ring", &["signature", "tls"]),
    ("rustls", &["oci", "tls"]),
    ("rustls_native_certs", &["oci"]),
    ("rustls_pki_types", &["oci", "signature"]),
    ("ureq", &["oci"]),
    ("similar", &["runner"]),
    ("subtle", &["auth"]),
    ("tokio_rustls", &["tls"]),
    ("multer", &["admin"]),
    ("utoipa", &["admin", "deployment", "fleet", "status"]),
    ("utoipa_axum", &["admin"]),
];

/// A part of the host, and the parts that it must not know: dependencies point one way.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("event", ALL),
    ("topic", ALL),
    ("retry", ALL),
    ("property", ALL),
    ("moment", ALL),
    ("handler_log", ALL),
    ("watch", ALL),
    ("reload", ALL),
    ("private_file", ALL),
    (
        "auth",
        &[
            "cli",
            "server",
            "supervisor",
            "worker",
            "wasm",
            "log",
            "deployment",
            "ingest",
            "admin",
            "http",
        ],
    ),
    (
        "tls",
        &[
            "cli",
            "server",
            "supervisor",
            "worker",
            "wasm",
            "log",
            "deployment",
            "ingest",
            "admin",
            "http",
            "auth",
        ],
    ),
    ("oci", ALL),
    ("signature", ALL),
    (
        "runner",
        &["cli", "server", "supervisor", "worker", "log", "deployment", "ingest", "admin", "http"],
    ),
    (
        "log",
        &[
            "cli",
            "fleet",
            "server",
            "supervisor",
            "worker",
            "wasm",
            "deployment",
            "ingest",
            "admin",
        ],
    ),
    (
        "wasm",
        &[
            "cli",
            "fleet",
            "server",
            "supervisor",
            "worker",
            "deployment",
            "ingest",
            "admin",
            "config",
        ],
    ),
    (
        "handler",
        &["cli", "server", "supervisor", "worker", "wasm", "deployment", "ingest", "admin"],
    ),
    ("revision", &["cli", "server", "supervisor", "worker", "log", "ingest", "admin", "http"]),
    ("worker", &["cli", "fleet", "server", "supervisor", "ingest", "admin", "http"]),
    ("supervisor", &["cli", "fleet", "server", "ingest", "http"]),
    ("ingest", &["cli", "server", "supervisor", "worker", "wasm", "deployment", "handler"]),
    ("admin", &["cli", "server", "wasm", "ingest"]),
    ("http", &["cli", "fleet", "server", "supervisor", "worker", "wasm", "log", "ingest", "admin"]),
    (
        "config",
        &["cli", "fleet", "server", "supervisor", "worker", "wasm", "ingest", "admin", "http"],
    ),
    (
        "deployment",
        &["cli", "fleet", "server", "supervisor", "worker", "wasm", "ingest", "admin", "http"],
    ),
    ("fleet", &["cli", "server", "supervisor", "worker", "ingest", "admin", "http", "auth"]),
    (
        "audit",
        &["cli", "server", "supervisor", "worker", "ingest", "admin", "http", "auth", "board"],
    ),
    ("server", &["cli"]),
];

/// Everything that does something.
const ALL: &[&str] = &[
    "cli",
    "fleet",
    "server",
    "supervisor",
    "worker",
    "runner",
    "wasm",
    "deployment",
    "ingest",
    "admin",
    "http",
    "config",
    "log",
    "handler",
];

/// The Rust files below a folder, with their paths relative to it, without tests.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut folders = vec![folder.to_owned()];
    let mut sources = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the sources can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                let text = fs::read_to_string(&path).expect("sources are text");
                sources.push((name, text));
            }
        }
    }
    sources
}

/// The code of a file, line by line: no comments, and nothing after its tests begin. A `use`
/// that is spread over lines comes as one.
fn code(text: &str) -> Vec<String> {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut lines: Vec<String> = Vec::new();
    let mut in_use = false;
    for line in before_tests.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        match lines.last_mut().filter(|_| in_use) {
            Some(begun) => *begun = format!("{begun} {line}"),
            None => {
                lines.push(line.to_owned());
                in_use =
                    line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ");
            }
        }
        in_use &= !line.ends_with(';');
    }
    lines
}

fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// Whether a file is a module of this name or lies below it.
fn is_of(file: &str, module: &str) -> bool {
    file == format!("{module}.rs") || file.starts_with(&format!("{module}/"))
}

fn is_test(file: &str) -> bool {
    file.split('/').any(|part| matches!(part, "tests.rs" | "tests" | "testing.rs"))
}

#[test]
fn only_the_owner_of_a_crate_names_it() {
    let mut offences = Vec::new();
    for (file, text) in sources(&paths::workspace().join("host/src")) {
        for (name, owners) in OWNERS {
            let owned = owners.iter().any(|owner| is_of(&file, owner));
            if !owned && code(&text).iter().any(|line| names_crate(line, name)) {
                offences.push(format!("{file} names {name}"));
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn dependencies_point_one_way() {
    let mut offences = Vec::new();
    for (file, text) in sources(&paths::workspace().join("host/src")) {
        if is_test(&file) {
            continue;
        }
        let Some((part, forbidden)) = FORBIDDEN.iter().find(|(part, _)| is_of(&file, part)) else {
            continue;
        };
        for line in code(&text) {
            let known = forbidden.iter().filter(|other| uses(&line, other));
            offences.extend(known.map(|other| format!("{file}: {part} knows {other}: {line}")));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn only_the_command_line_knows_of_audits() {
    let mut offences = Vec::new();
    for (file, text) in sources(&paths::workspace().join("host/src")) {
        if !is_of(&file, "audit") && !is_of(&file, "cli") {
            let lines = code(&text).into_iter().filter(|line| uses(line, "audit"));
            offences.extend(lines.map(|line| format!("{file}: {line}")));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

/// Whether a line reaches into this part of the crate.
fn uses(line: &str, part: &str) -> bool {
    line.match_indices("crate::").any(|(at, found)| {
        let after = &line[at + found.len()..];
        match after.strip_prefix('{') {
            Some(list) => items(list).iter().any(|path| first_name(path) == part),
            None => first_name(after) == part,
        }
    })
}

/// The first name of a path, such as `log` of `log::Log`.
fn first_name(path: &str) -> &str {
    let path = path.trim_start();
    path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(path)
}

/// The items of a braced list that has just been opened, up to its end; lists within it belong
/// to their items.
fn items(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            ',' if depth == 0 => {
                items.push(&list[begin..at]);
                begin = at + 1;
            }
            '}' if depth == 0 => {
                items.push(&list[begin..at]);
                break;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    items
}

#[test]
fn a_use_is_seen_however_it_is_written() {
    let text = "use std::fmt;\n// use crate::cli;\nuse crate::{\n    event::{Event, admin},\n    \
                worker::Worker,\n};\nfn f() { crate::server::run() }\n";
    let seen = |part: &str| code(text).iter().any(|line| uses(line, part));
    assert!(["event", "worker", "server"].into_iter().all(seen));
    assert!(!["cli", "admin", "Worker", "fmt", "run"].into_iter().any(seen));
}

#[test]
fn every_guest_and_every_fixture_has_a_test_that_names_it() {
    let guests = paths::tests().join("guests");
    let mut names = BTreeSet::new();
    for folder in [&guests, &guests.join("fixtures")] {
        for entry in fs::read_dir(folder).expect("the guests can be read").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_guest = entry.path().join("Cargo.toml").is_file();
            let is_fixture = folder.ends_with("fixtures") && entry.path().is_file();
            if is_guest || is_fixture {
                names.insert(name);
            }
        }
    }
    let tests: String = sources(&paths::tests().join("behaviour"))
        .into_iter()
        .filter(|(file, _)| file != "architecture.rs")
        .map(|(_, text)| text)
        .collect();
    let unnamed: Vec<_> = names
        .iter()
        .filter(|name| {
            let named = [format!("\"{name}\""), format!("/{name}\"")];
            !named.iter().any(|named| tests.contains(named))
        })
        .collect();
    assert!(unnamed.is_empty(), "no test names {unnamed:?}");
}

#[test]
fn every_file_that_the_readme_cites_exists() {
    let readme = fs::read_to_string(paths::workspace().join("README.md")).expect("a README");
    let mut missing = BTreeSet::new();
    for cited in readme.split('`').skip(1).step_by(2) {
        let looks_like_a_path = !cited.contains([' ', '<', '*', '{', '$', ':', '\n'])
            && !cited.starts_with(['/', '.', '-'])
            && ROOTS.iter().any(|root| cited.starts_with(root));
        if looks_like_a_path && !exists(cited) {
            missing.insert(cited.to_owned());
        }
    }
    for (_, rest) in readme.match_indices("](").map(|(at, _)| readme.split_at(at + 2)) {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        let local = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        if local && !exists(target) {
            missing.insert(target.to_owned());
        }
    }
    assert!(missing.is_empty(), "the README cites what is not there: {missing:?}");
}

/// Where the paths of the code map begin.
const ROOTS: &[&str] = &["host/", "tests/", "handlers/", "wit/", "src/", "docs/"];

fn exists(cited: &str) -> bool {
    let workspace = paths::workspace();
    let candidates: [PathBuf; 2] = [workspace.join(cited), workspace.join("host").join(cited)];
    candidates.iter().any(|path| path.exists())
}
