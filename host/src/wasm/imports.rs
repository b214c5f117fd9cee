//! Imports that the host does not have: which they are, what was probably meant, and what to do.

use std::fmt::Write;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;

use super::host::PROVIDED;
use super::version;

/// The version of WASI whose interfaces the host provides.
const WASI: &str = "0.2.12";
/// Imports that are named of one kind; a message is for reading.
const NAMED_IMPORTS: usize = 6;
/// How alike two names must be for one to be a slip of the other.
const ALIKE: f64 = 0.9;

/// What is said of imports whose names begin so.
const ADVICE: &[(&str, &str)] = &[
    (
        "wasi:http/",
        "a handler has no network: return an event, and let whoever reads it make the call; in \
         JavaScript, componentize with disableFeatures: ['http', 'fetch-event']",
    ),
    ("wasi:config/runtime", "it is called wasi:config/store@0.2.0-rc.1 now"),
    ("wasi:runtime-config/", "it is called wasi:config/store@0.2.0-rc.1 now"),
    ("wasi:logging/", "write lines to standard output or error instead: both go to the host's log"),
    ("wasi:keyvalue/", "a handler has no store: what it keeps between events is in its memory"),
    ("wasi:blobstore/", "a handler has no store: what it keeps between events is in its memory"),
    ("wasi:sql/", "a handler has no database: look things up before the events are produced"),
    ("wasi:messaging/", "events come and go through `handle`: return what is to be sent"),
    ("wasi:nn/", "this host runs no neural networks"),
    ("wasi:tls/", "a handler has no network"),
    ("wasi:thread", "a handler is one thread: set `workers` in handler.toml for more of them"),
    ("fermyon:", "it belongs to Spin: build against lockstep:handler alone"),
    ("spin:", "it belongs to Spin: build against lockstep:handler alone"),
    ("wasmcloud:", "it belongs to wasmCloud: build against lockstep:handler alone"),
    ("fastly:", "it belongs to Fastly: build against lockstep:handler alone"),
];

/// Whether the host provides this interface.
pub(super) fn is_provided(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    provided_version(interface).is_some_and(|provided| provided == version::track(version))
}

/// Whether an import needs something to be there. An interface of nothing but types, like the
/// contract's own, does not.
pub(super) fn needs_more_than_types(engine: &Engine, import: &ComponentItem) -> bool {
    match import {
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).any(|(_, export)| needs_more_than_types(engine, &export.ty))
        }
        _ => true,
    }
}

/// Says of each of these imports what to do without it, and what the host has.
pub(super) fn refusal(missing: &[String]) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for name in missing {
        let advice = advice(name);
        match groups.iter_mut().find(|(of, _)| *of == advice) {
            Some((_, names)) => names.push(name),
            None => groups.push((advice, vec![name])),
        }
    }
    let mut text = "the component imports what this host does not provide: ".to_owned();
    for (advice, names) in &groups {
        let shown = &names[..names.len().min(NAMED_IMPORTS)];
        text += &shown.join(", ");
        if names.len() > shown.len() {
            // Writing to a String cannot fail.
            let _ = write!(text, " and {} more", names.len() - shown.len());
        }
        let _ = write!(text, " ({advice}); ");
    }
    text + "provided are " + &provided()
}

/// Why an import that the host has does not fit the component, to stand before the reason.
pub(super) fn misfit() -> String {
    format!(
        "the component needs something of an interface that this host's version of it does not \
         have; this host speaks WASI {WASI}: build with a toolchain for that version or an earlier \
         0.2, without unstable features"
    )
}

fn advice(name: &str) -> String {
    let (interface, version) = match name.split_once('@') {
        Some((interface, version)) => (interface, Some(version)),
        None => (name, None),
    };
    if let Some(provided) = provided_version(interface) {
        return other_version(interface, version, provided);
    }
    let is_wasi = interface.starts_with("wasi:");
    if is_wasi && version.is_some_and(|version| version::is_newer(version, WASI)) {
        return newer_wasi();
    }
    if let Some((_, advice)) = ADVICE.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return (*advice).to_owned();
    }
    if let Some(near) = nearest(interface) {
        return format!("did you mean {near}?");
    }
    if !interface.contains('/') {
        return "a function or interface of no package: define it in the component itself"
            .to_owned();
    }
    "leave it out, or plug in a component that exports it: `wac plug handler.wasm --plug \
     other.wasm`"
        .to_owned()
}

fn other_version(interface: &str, version: Option<&str>, provided: &str) -> String {
    match version {
        Some(version) if interface.starts_with("wasi:") && version::is_newer(version, WASI) => {
            newer_wasi()
        }
        Some(version) if version.contains('-') && !provided.contains('-') => format!(
            "that is a draft; this host has {interface}@{provided}: build with a newer toolchain"
        ),
        _ => format!("this host has {interface}@{provided}: build against that version"),
    }
}

fn newer_wasi() -> String {
    format!(
        "that is of a newer WASI; this host speaks {WASI}: build for WASI 0.2, in Rust with \
         `--target wasm32-wasip2`"
    )
}

/// The version in which the host has an interface, as far as it matters.
fn provided_version(interface: &str) -> Option<&'static str> {
    let provided = PROVIDED.iter().filter_map(|provided| provided.split_once('@'));
    provided.into_iter().find(|(name, _)| *name == interface).map(|(_, version)| version)
}

/// The provided interface that was probably meant.
fn nearest(interface: &str) -> Option<&'static str> {
    let score = |provided: &str| {
        let name = provided.split('@').next().unwrap_or(provided);
        strsim::normalized_damerau_levenshtein(interface, name)
    };
    let near = PROVIDED.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(near) >= ALIKE).then_some(near)
}

/// What the host has, by packages: all of WASI in one word, and the rest by name.
fn provided() -> String {
    let mut packages: Vec<&str> = PROVIDED
        .iter()
        .filter(|name| name.ends_with("@0.2"))
        .filter_map(|name| name.strip_prefix("wasi:")?.split('/').next())
        .collect();
    packages.dedup();
    let others: Vec<&str> =
        PROVIDED.iter().copied().filter(|name| !name.ends_with("@0.2")).collect();
    format!("WASI {WASI} ({}) and {}", packages.join(", "), others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(missing: &[&str]) -> String {
        let missing: Vec<_> = missing.iter().map(|&name| name.to_owned()).collect();
        refusal(&missing)
    }

    #[test]
    fn each_common_import_is_answered_with_what_to_do_instead() {
        for (name, words) in [
            ("wasi:http/outgoing-handler@0.2.0", "has no network"),
            ("wasi:config/runtime@0.2.0-draft", "called wasi:config/store@0.2.0-rc.1 now"),
            ("wasi:config/store@0.2.0-draft", "has wasi:config/store@0.2.0-rc.1"),
            ("wasi:logging/logging", "standard output"),
            ("wasi:keyvalue/store@0.2.0-draft", "has no store"),
            ("wasi:nn/graph@0.2.0-rc-2024-10-28", "neural"),
            ("wasi:threads/spawn@0.2.0", "`workers` in handler.toml"),
            ("fermyon:spin/llm@2.0.0", "belongs to Spin"),
            ("wasi:cli/environment@0.3.0", "newer WASI; this host speaks 0.2"),
            ("wasi:clocks/system-clock@0.3.0-rc-2026-02-09", "newer WASI"),
            ("wasi:io/streams@0.2.0-rc-2023-11-10", "a draft; this host has wasi:io/streams@0.2"),
            ("wasi:cli/environment", "this host has wasi:cli/environment@0.2"),
            ("wasi:cli/enviroment@0.2.0", "did you mean wasi:cli/environment@0.2?"),
            ("log", "of no package"),
            ("acme:db/query@1.0.0", "`wac plug"),
        ] {
            let said = said(&[name]);
            let begin = format!("does not provide: {name} (");
            assert!(said.contains(&begin) && said.contains(words), "{words:?} is not said: {said}");
        }
    }

    #[test]
    fn imports_with_the_same_answer_share_it() {
        let said = said(&[
            "acme:db/query@1.0.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:http/types@0.2.0",
        ]);
        assert!(
            said.contains("wasi:http/outgoing-handler@0.2.0, wasi:http/types@0.2.0 (a handler"),
            "{said}"
        );
        assert_eq!(said.matches("no network").count(), 1, "{said}");
    }

    #[test]
    fn what_the_host_has_is_named_and_the_whole_stays_readable() {
        let many: Vec<_> = (0..100).map(|n| format!("acme:db/query{n}@1.0.0")).collect();
        let said = refusal(&many);
        assert!(said.contains("acme:db/query5@1.0.0 and 94 more"), "{said}");
        let provided = "provided are WASI 0.2.12 (cli, clocks, filesystem, io, random, sockets) \
                        and wasi:config/store@0.2.0-rc.1";
        assert!(said.ends_with(provided), "{said}");
        assert!(said.len() < 600, "{said}");
    }
}
