//! What a handler is not given, and components that are refused before anything starts.

use std::path::PathBuf;

use lockstep_tests::cli::{self, Ran};
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::{build, paths};

on_both_logs![
    a_handler_is_granted_nothing_by_default,
    a_component_of_another_world_is_refused,
    a_component_of_both_worlds_is_refused,
    a_core_module_is_refused,
    a_file_that_is_no_component_is_refused,
    a_component_file_that_is_missing_is_named_with_the_fix,
    an_import_that_nobody_provides_is_named,
    a_component_of_a_newer_contract_of_the_same_line_is_accepted,
];

fn a_handler_is_granted_nothing_by_default(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("reads-environment").from(&[&input]).to(&[&output]));
    let secret = [("LOCKSTEP_TEST_SECRET", "not for handlers")];
    let _host = Host::launch(&world.config("host-1"), &secret);
    world.produce([event(&input, "look around")]);
    let found = world.wait_for(&output, 1)[0].text();
    assert!(!found.contains("not for handlers"), "{found}");
    let found: serde_json::Value = serde_json::from_str(&found).expect("the guest writes JSON");
    for list in ["variables", "arguments", "preopens"] {
        assert_eq!(found[list].as_array().map(Vec::len), Some(0), "{list}: {found}");
    }
    for attempt in ["read", "write", "connect", "resolve", "listen", "stdin"] {
        assert_ne!(found[attempt], "ok", "{attempt}: {found}");
        assert!(found[attempt].is_string(), "{attempt}: {found}");
    }
    assert!(!world.directory().join("lockstep-was-here").exists());
}

/// Starts a host and checks the same configuration: both refuse, with all of these words.
fn is_refused(mut world: Scenario, component: PathBuf, words: &[&str]) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler =
        world.deploy(Manifest::component("refused", &component).from(&[&input]).to(&[&output]));
    world.produce([event(&input, "x")]);
    let config = world.config("host-1");
    let run = cli::finish(&mut Host::command(&config), b"");
    let named = component.file_name().unwrap_or_default().to_string_lossy().into_owned();
    assert!(run.code == 1 || run.code == 2, "{run:?}");
    let check =
        cli::run(world.directory(), ["check".as_ref(), "--config".as_ref(), config.as_os_str()]);
    assert_eq!(check.code, 2, "{check:?}");
    for ran in [&run, &check] {
        let Ran { stdout, stderr, .. } = ran;
        let said = format!("{stdout}{stderr}");
        for word in words.iter().chain([&named.as_str()]) {
            assert!(said.contains(word), "{word:?} is not said: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
    assert!(world.log().committed(&handler.group, &input).is_empty());
}

fn a_component_of_another_world_is_refused(world: Scenario) {
    is_refused(world, build::guest("wrong-world"), &["lockstep:handler"]);
}

fn a_component_of_both_worlds_is_refused(world: Scenario) {
    is_refused(world, build::guest("both-worlds"), &["fallible-event-handler", "both"]);
}

fn a_core_module_is_refused(world: Scenario) {
    let module = world.directory().join("core-module.wasm");
    build::assemble(&paths::tests().join("guests/fixtures/core-module.wat"), &module);
    is_refused(world, module, &["module", "component"]);
}

fn a_file_that_is_no_component_is_refused(world: Scenario) {
    is_refused(world, paths::tests().join("guests/fixtures/garbage.wasm"), &["component"]);
}

fn a_component_file_that_is_missing_is_named_with_the_fix(world: Scenario) {
    let missing = world.directory().join("not-built-yet.wasm");
    is_refused(world, missing, &["lockstep build"]);
}

fn an_import_that_nobody_provides_is_named(world: Scenario) {
    is_refused(world, build::guest("old-import"), &["acme:legacy/ledger@0.0.1"]);
}

fn a_component_of_a_newer_contract_of_the_same_line_is_accepted(mut world: Scenario) {
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    world.deploy(Manifest::guest("newer-contract").from(&[&input]).to(&[&output]));
    let _host = world.start();
    world.produce([event(&input, "x")]);
    assert_eq!(world.wait_for(&output, 1)[0].text(), "x");
}
