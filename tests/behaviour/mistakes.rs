//! What authors get wrong, and that the answer says what it is, where, and how to mend it: the
//! same from `check` and from `dev`, and in the dead letter and the log when it shows at work.

use std::fs;
use std::path::Path;

use lockstep_tests::cli;
use lockstep_tests::event::{Has, event};
use lockstep_tests::host::Host;
use lockstep_tests::log::LogKind;
use lockstep_tests::scenario::{Manifest, Scenario};
use lockstep_tests::{build, paths};

/// A component that imports this and exports an interface of this name with a function `handle`.
fn component(imports: &str, interface: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $m (func (export "handle")))
            (core instance $i (instantiate $m))
            (func $handle (canon lift (core func $i "handle")))
            (instance $out (export "handle" (func $handle)))
            (export "{interface}" (instance $out)))"#
    );
    wat::parse_str(text).expect("the component is valid")
}

const CONTRACT: &str = "lockstep:handler/event-handler@0.1.0";

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is valid WebAssembly")
}

/// Both `check` and `dev` refuse the component with all of these words, in few lines.
#[track_caller]
fn is_told(component: &[u8], words: &[&str]) {
    is_told_with("", component, words);
}

/// The same with more lines in the manifest.
#[track_caller]
fn is_told_with(manifest: &str, component: &[u8], words: &[&str]) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, content: &[u8]| {
        fs::write(directory.path().join(name), content).expect("the directory can be written");
    };
    let handler = "name = \"thermo\"\ncomponent = \"thermo.wasm\"\nfrom = [\"in\"]\nto = [\"out\"]";
    write("handler.toml", format!("{handler}\n{manifest}").as_bytes());
    write("lockstep.toml", b"handlers = [\"handler.toml\"]");
    write("thermo.wasm", component);
    let check = cli::run(directory.path(), ["check", "--config", "lockstep.toml"]);
    assert_eq!(check.code, 2, "{check:?}");
    let anywhere = ["--ingest", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let dev = cli::run(directory.path(), ["dev", "--no-build"].into_iter().chain(anywhere));
    assert!(dev.code == 1 || dev.code == 2, "{dev:?}");
    for ran in [&check, &dev] {
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for word in words.iter().chain(&["thermo.wasm"]) {
            assert!(said.contains(word), "{word:?} is not said: {said}");
        }
        assert!(!said.contains("panicked at host/"), "{said}");
        assert!(said.lines().count() < 30 && said.len() < 4_000, "too much to read: {said}");
    }
}

#[test]
fn a_component_of_no_world_is_told_what_is_expected() {
    let component = component("", "acme:greeter/greetings@1.0.0");
    is_told(
        &component,
        &[
            "the component exports acme:greeter/greetings@1.0.0; expected",
            CONTRACT,
            "let the guest's world `include lockstep:handler/handler@0.1.0`",
        ],
    );
}

#[test]
fn a_component_that_exports_nothing_is_reminded_of_the_macro() {
    is_told(&assemble("(component)"), &["the component exports nothing;", "`export!(…)`"]);
}

#[test]
fn a_component_of_both_worlds_is_told_to_choose() {
    let component = fs::read(build::guest("both-worlds")).expect("the guest is built");
    is_told(&component, &["exports both event-handler and fallible-event-handler", "choose"]);
}

#[test]
fn a_component_of_a_newer_contract_is_told_what_the_host_speaks() {
    is_told(
        &component("", "lockstep:handler/event-handler@0.2.0"),
        &[
            "lockstep:handler/event-handler@0.2.0, of a newer contract",
            "this host speaks version 0.1.x",
            "build the component against lockstep:handler@0.1.0",
        ],
    );
}

#[test]
fn a_function_outside_an_interface_is_told_where_it_belongs() {
    let bare = r#"(component
        (core module $m (func (export "handle")))
        (core instance $i (instantiate $m))
        (func (export "handle") (canon lift (core func $i "handle"))))"#;
    is_told(&assemble(bare), &["the function handle stands there by itself", "`include lockstep"]);
}

#[test]
fn an_interface_without_its_function_is_told_what_it_holds() {
    let empty = format!("(component (instance $i) (export \"{CONTRACT}\" (instance $i)))");
    let words = [CONTRACT, "without its function handle: it holds nothing", "unchanged"];
    is_told(&assemble(&empty), &words);
}

#[test]
fn a_function_of_other_types_is_told_which() {
    let words = ["does not have the types of lockstep:handler@0.1.0", "type mismatch"];
    is_told(&component("", CONTRACT), &words);
}

#[test]
fn a_program_with_a_main_function_is_told_to_be_a_library() {
    let component = component("", "wasi:cli/run@0.2.6");
    is_told(&component, &["a program with a main function", "crate-type = [\"cdylib\"]"]);
}

#[test]
fn a_core_module_is_told_how_to_become_a_component() {
    let words = ["core WebAssembly module", "--target wasm32-wasip2`", "wasm-tools component new"];
    is_told(&assemble("(module)"), &words);
}

#[test]
fn a_module_for_wasip1_is_recognised() {
    let module = r#"(module (import "wasi_snapshot_preview1" "fd_write"
        (func (param i32 i32 i32 i32) (result i32))))"#;
    is_told(
        &assemble(module),
        &[
            "a core module for wasm32-wasip1 (it imports wasi_snapshot_preview1)",
            "`cargo build --release --target wasm32-wasip2`",
            "`cargo component build --release`",
        ],
    );
}

#[test]
fn a_component_that_was_cut_short_is_told_to_be_incomplete() {
    let whole = component("", CONTRACT);
    is_told(&whole[..whole.len() - 20], &["failed to compile the component", "incomplete"]);
}

#[test]
fn imports_that_are_not_there_are_named_with_what_to_do() {
    let interface = |name: &str| format!("(import \"{name}\" (instance (export \"f\" (func))))");
    let names = [
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:cli/enviroment@0.2.0",
        "wasi:clocks/system-clock@0.3.0",
        "acme:db/query@1.0.0",
    ];
    let imports: String = names.map(interface).concat();
    is_told(
        &component(&imports, CONTRACT),
        &[
            "wasi:http/outgoing-handler@0.2.0 (a handler has no network",
            "wasi:cli/enviroment@0.2.0 (did you mean wasi:cli/environment@0.2?)",
            "wasi:clocks/system-clock@0.3.0 (that is of a newer WASI",
            "acme:db/query@1.0.0 (leave it out, or plug in a component",
            "provided are WASI 0.2.12 (cli, clocks, filesystem, io, random, sockets) and wasi:config",
        ],
    );
}

#[test]
fn a_part_that_an_interface_does_not_have_is_named() {
    let import = r#"(import "wasi:cli/environment@0.2.0" (instance (export "get-wings" (func))))"#;
    let words = ["wasi:cli/environment@0.2.0", "get-wings", "this host speaks WASI 0.2.12"];
    is_told(&component(import, CONTRACT), &words);
}

#[test]
fn a_component_larger_than_its_limits_is_told_which() {
    let fixed = |module: &str| {
        assemble(&format!(
            r#"(component
                (core module $m {module} (func (export "handle")))
                (core instance $i (instantiate $m))
                (func $handle (canon lift (core func $i "handle")))
                (instance $out (export "handle" (func $handle)))
                (export "{CONTRACT}" (instance $out)))"#
        ))
    };
    let memory = "asked for 32.0 MiB of memory on top of 0 B; limits.memory = 16.0 MiB";
    is_told_with("limits.memory = \"16MiB\"", &fixed("(memory 512)"), &[memory]);
    let tables = "asked for 20 table elements on top of 0; limits.table_elements = 10";
    is_told_with("limits.table_elements = 10", &fixed("(table 20 funcref)"), &[tables]);
    let instances = component("(core module $e) (core instance (instantiate $e))", CONTRACT);
    for life in ["reused", "per-event"] {
        let manifest = format!("instances = \"{life}\"\nlimits.instances = 1");
        is_told_with(&manifest, &instances, &["limits.instances = 1; raise it in handler.toml"]);
    }
}

#[test]
fn everything_wrong_with_the_files_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let write = |name: &str, content: &str| {
        fs::write(directory.path().join(name), content).expect("the directory can be written");
    };
    write("lockstep.toml", "handlers = [\"handler.toml\"]\n[htpp]\n");
    write("handler.toml", "name = \"H!\"\nfrm = [\"in\"]\nworkers = 0\n[limits]\ntime = \"1h\"");
    let check = |config: &str| cli::run(directory.path(), ["check", "--config", config]);
    let ran = check("lockstep.toml");
    assert_eq!((ran.code, ran.stdout.contains("1 problem")), (2, true), "{ran:?}");
    write("lockstep.toml", "handlers = [\"handler.toml\"]\n");
    let ran = check("lockstep.toml");
    let keys = ["component", "from", "frm", "limits.time", "name", "workers"];
    for key in keys {
        let line = format!("problem: handler.toml: {key}: ");
        assert!(ran.stdout.contains(&line), "{line:?} is not said: {}", ran.stdout);
    }
    assert!(ran.stdout.contains(&format!("{} problems", keys.len())), "{}", ran.stdout);
    let dev = cli::run(directory.path(), ["dev", "--no-build"]);
    dev.fails(2, &["handler.toml: component: ", "handler.toml: workers: "]);
}

/// The message of the dead letter that this event becomes, and what the host wrote.
fn fails(manifest: Manifest, value: &str) -> (String, String) {
    let mut world = Scenario::new(LogKind::Embedded, "mistake");
    let (input, output) = (world.topic("in", 1), world.topic("out", 1));
    let handler = world.deploy(manifest.from(&[&input]).to(&[&output]));
    world.produce([event(&input, value)]);
    let mut host: Host = world.start();
    world.settle(&handler);
    let dead = world.wait_for(&handler.dead_letters, 1);
    let message = dead[0].last_header("lockstep-failure-message").unwrap_or_default();
    assert!(!message.contains('\n') && message.len() < 4_096, "no header: {message}");
    assert_eq!(host.terminate().0, 0, "{}", host.output());
    (message, host.output())
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not said: {text}");
    }
}

#[test]
fn a_panic_is_told_with_its_message_and_the_guests_own_functions() {
    let (message, log) = fails(Manifest::guest("panics"), "70 F");
    assert!(message.starts_with("panicked at panics/src/lib.rs:"), "{message}");
    says(&message, &["no such unit: \"F\"; in panics::offset_of < panics::read_celsius"]);
    assert!(!message.contains("std::") && !message.contains("rust_panic"), "{message}");
    says(&log, &["more about ", ":\n  in panics::offset_of\n  in panics::read_celsius\n"]);
    assert!(!log.contains("RUST_BACKTRACE"), "nobody can set it in a sandbox: {log}");
}

#[test]
fn a_panic_without_names_is_told_how_to_keep_them() {
    let script = r#"{"do":"panic","message":"no luck"}"#;
    let (message, log) = fails(Manifest::guest("scripted"), script);
    assert!(message.starts_with("panicked at scripted/src/ruin.rs:"), "{message}");
    assert!(message.ends_with(": no luck"), "{message}");
    says(&log, &["\n  in function ", "`strip = \"debuginfo\"` under [profile.release]"]);
}

#[test]
fn a_deadline_says_how_long_it_was_and_which_limit() {
    let manifest = Manifest::guest("endless-loop").with("limits.time = \"200ms\"");
    let (message, log) = fails(manifest, "x");
    says(&message, &["took longer than limits.time = 200ms: stopped after "]);
    says(&log, &["raise limits.time in handler.toml"]);
    let manifest = Manifest::guest("sleeper").with("limits.time = \"200ms\"");
    let words = ["limits.time = 200ms: stopped after ", ", waiting in the host"];
    says(&fails(manifest, "x").0, &words);
}

#[test]
fn too_little_memory_says_how_much_was_asked_and_held() {
    let limits = "limits.memory = \"16MiB\"\nlimits.time = \"10s\"";
    let (message, log) = fails(Manifest::guest("memory-bomb").with(limits), "x");
    assert!(message.starts_with("asked for ") && message.contains(" of memory on top of 1"));
    says(&message, &["; limits.memory = 16.0 MiB"]);
    says(&log, &["raise limits.memory in handler.toml"]);
}

#[test]
fn endless_recursion_says_which_limit() {
    let (message, log) = fails(Manifest::guest("stack-overflow"), "x");
    says(&message, &["went deeper than limits.stack = 512.0 KiB"]);
    says(&log, &["look for recursion without end"]);
}

#[test]
fn other_limits_name_their_keys() {
    let fixture = paths::tests().join("guests/fixtures/table-bomb.wat");
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let table_bomb = directory.path().join("table-bomb.wasm");
    build::assemble(Path::new(&fixture), &table_bomb);
    let time = "limits.time = \"10s\"";
    for (manifest, value, words) in [
        (Manifest::component("table-bomb", &table_bomb), "x", "; limits.table_elements = 100000"),
        (Manifest::guest("huge-output"), "x", "limits.output_bytes"),
        (Manifest::guest("many-outputs"), "x", "limits.output_events = 1000"),
        (Manifest::guest("forbidden-topic"), "x", "which the manifest's `to` does not name"),
        (Manifest::guest("scripted"), r#"{"do":"exit","code":1}"#, "called exit(1)"),
    ] {
        says(&fails(manifest.with(time), value).0, &[words]);
    }
}
