//! Which components are accepted, what reaches them, and what comes back.

use super::guests::{self, Guest};
use super::*;
use crate::wasm::{World, host};

const FALLIBLE: &str = "lockstep:handler/fallible-event-handler@0.1.0";

#[test]
fn programs_are_shared_by_threads_and_instances_move_to_them() {
    fn shared<T: Send + Sync>() {}
    fn moves<T: Send>() {}
    shared::<Runtime>();
    shared::<Program>();
    moves::<Instance>();
}

#[test]
fn an_event_passes_through_byte_for_byte() -> anyhow::Result<()> {
    let program = load(handler(), &Guest::default().build())?;
    let mut instance = program.instantiate()?;
    let input = full_event();
    let outputs = call(&mut instance, &input).expect("the identity succeeds");
    let mut headers = input.event.headers.clone();
    headers[2].value = Some(Vec::new());
    let expected = Output {
        topic: Some("in".to_owned()),
        key: input.event.key.clone(),
        value: input.event.value.clone(),
        headers,
        timestamp_ms: input.event.timestamp_ms,
    };
    assert_eq!(outputs, [expected]);
    let mut tombstone = event(b"");
    tombstone.event.value = None;
    let outputs = call(&mut instance, &tombstone).expect("the identity succeeds");
    assert_eq!((&outputs[0].key, &outputs[0].value), (&None, &None));
    Ok(())
}

#[test]
fn the_source_of_an_event_reaches_the_handler() -> anyhow::Result<()> {
    // Traps unless the source is in/3/1042.
    let body = format!(
        "(if (i32.ne (i32.load8_u offset=64 (local.get $event)) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load offset=76 (local.get $event)) (i32.const 2)) (then unreachable))
         (if (i32.ne (i32.load offset=80 (local.get $event)) (i32.const 3)) (then unreachable))
         (if (i64.ne (i64.load offset=88 (local.get $event)) (i64.const 1042)) (then unreachable))
         {}",
        guests::IDENTITY
    );
    let program = load(handler(), &Guest { body: &body, ..Guest::default() }.build())?;
    let outputs = call(&mut program.instantiate()?, &event(b"x"));
    assert_eq!(outputs.map(|outputs| outputs.len()), Ok(1));
    Ok(())
}

#[test]
fn an_empty_list_filters_the_event_out() -> anyhow::Result<()> {
    let guest =
        Guest { body: "(i64.store (i32.const 0) (i64.const 0)) (i32.const 0)", ..Guest::default() };
    let program = load(handler(), &guest.build())?;
    assert_eq!(call(&mut program.instantiate()?, &event(b"x")), Ok(Vec::new()));
    Ok(())
}

#[test]
fn the_world_is_chosen_by_what_the_component_exports() -> anyhow::Result<()> {
    let program = load(handler(), &Guest::default().build())?;
    assert_eq!(program.world(), World::Handler);
    assert_eq!(program.inspection().imports, ["lockstep:handler/types@0.1.0"]);
    assert_eq!(program.inspection().exports, ["lockstep:handler/event-handler@0.1.0"]);
    Ok(())
}

/// A fallible guest whose answer depends on whether the value has one byte, two or more.
fn fallible() -> Vec<u8> {
    let body = "
        (local $length i32)
        (local.set $length (i32.load offset=32 (local.get $event)))
        (i32.store (i32.const 0) (i32.lt_u (local.get $length) (i32.const 3)))
        (if (i32.lt_u (local.get $length) (i32.const 3))
            (then
                (i32.store (i32.const 4) (i32.eq (local.get $length) (i32.const 2)))
                (i32.store (i32.const 8) (i32.load offset=28 (local.get $event)))
                (i32.store (i32.const 12) (local.get $length)))
            (else
                (i32.store (i32.const 4) (local.get $event))
                (i32.store (i32.const 8) (i32.const 1))))
        (i32.const 0)";
    let result = "(result (list $event) (error $failure))";
    Guest { export: FALLIBLE, result, body, ..Guest::default() }.build()
}

#[test]
fn a_fallible_handler_says_whether_another_attempt_may_help() -> anyhow::Result<()> {
    let program = load(handler(), &fallible())?;
    assert_eq!(program.world(), World::FallibleHandler);
    let mut instance = program.instantiate()?;
    let failure = |kind, text| Err(Failure::new(kind, text));
    assert_eq!(call(&mut instance, &event(b"p")), failure(FailureKind::Permanent, "p"));
    assert_eq!(call(&mut instance, &event(b"rr")), failure(FailureKind::Retryable, "rr"));
    let outputs = call(&mut instance, &event(b"fine")).expect("this one succeeds");
    assert_eq!(outputs[0].value.as_deref(), Some(&b"fine"[..]));
    Ok(())
}

#[test]
fn any_version_of_the_same_track_is_accepted() -> anyhow::Result<()> {
    for version in ["0.1.0", "0.1.9", "0.1.12+build.7"] {
        let export = format!("lockstep:handler/event-handler@{version}");
        let program = load(handler(), &Guest { export: &export, ..Guest::default() }.build())?;
        let outputs = call(&mut program.instantiate()?, &event(b"x"));
        assert_eq!(outputs.map(|outputs| outputs.len()), Ok(1), "version {version}");
    }
    Ok(())
}

#[test]
fn another_track_is_refused_with_both_versions() {
    for version in ["0.2.0", "1.0.0", "0.1.0-rc.1"] {
        let export = format!("lockstep:handler/event-handler@{version}");
        let refusal = refusal(handler(), &Guest { export: &export, ..Guest::default() }.build());
        assert!(refusal.contains(&export), "{refusal}");
        assert!(refusal.contains("lockstep:handler@0.1.0"), "{refusal}");
    }
}

#[test]
fn a_component_without_the_export_is_refused_and_told_what_is_expected() {
    let component = guests::encode("(component)");
    let refused = refusal(handler(), &component);
    assert!(
        refused.contains("exports nothing; expected lockstep:handler/event-handler"),
        "{refused}"
    );
    let other = Guest { export: "acme:other/event-handler@0.1.0", ..Guest::default() };
    let refused = refusal(handler(), &other.build());
    assert!(refused.contains("exports acme:other/event-handler@0.1.0; expected"), "{refused}");
    assert!(refused.contains("failed to load component \"weather.wasm\""), "{refused}");
}

#[test]
fn a_component_with_both_exports_is_refused() {
    let rest = format!("(export \"{FALLIBLE}\" (instance $out))");
    let refused = refusal(handler(), &Guest { rest: &rest, ..Guest::default() }.build());
    assert!(refused.contains("exports both"), "{refused}");
}

#[test]
fn an_export_of_other_types_is_refused() {
    let guest = Guest { result: "u32", ..Guest::default() };
    let refused = refusal(handler(), &guest.build());
    assert!(refused.contains("types of lockstep:handler@0.1.0"), "{refused}");
}

#[test]
fn extra_exports_are_tolerated() -> anyhow::Result<()> {
    let rest = "(export \"acme:other/extra@1.0.0\" (instance $out))";
    let program = load(handler(), &Guest { rest, ..Guest::default() }.build())?;
    assert_eq!(program.inspection().exports.len(), 2);
    Ok(())
}

#[test]
fn what_is_no_component_is_refused_for_what_it_is() {
    let garbage = refusal(handler(), b"\x7fELF\x02\x01");
    assert!(garbage.contains("not WebAssembly: it begins with 7f 45 4c 46"), "{garbage}");
    let module = refusal(handler(), &guests::encode("(module)"));
    assert!(module.contains("core WebAssembly module"), "{module}");
}

#[test]
fn a_component_that_is_not_valid_is_refused_with_a_way_out() {
    let mut torn = Guest::default().build();
    torn.truncate(torn.len() / 2);
    for (component, mend) in [
        (torn, "the file is incomplete"),
        (
            guests::encode("(component (core module (memory 1 1 shared)))"),
            "a handler is one thread",
        ),
        (guests::encode("(component (type (stream u8)))"), "asynchronous components belong to"),
        (guests::encode("(component (import \"a\" (func async)))"), "asynchronous components"),
    ] {
        let refused = refusal(handler(), &component);
        let begin = format!("failed to compile the component; {mend}");
        assert!(refused.contains(&begin), "{begin:?} is not said: {refused}");
    }
}

#[test]
fn all_imports_that_the_host_lacks_are_named() -> anyhow::Result<()> {
    let imports = r#"
        (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))
        (import "acme:db/query@1.0.0" (instance (export "run" (func))))
        (import "log" (func))"#;
    let component = Guest { imports, ..Guest::default() }.build();
    let refused = refusal(handler(), &component);
    for named in
        ["provide: acme:db/query@1.0.0 (", "; log (", "; wasi:http/outgoing-handler@0.2.0 ("]
    {
        assert!(refused.contains(named), "{named:?}: {refused}");
    }
    let inspection = Runtime::new(Kept::default())?.inspect(&component)?;
    assert_eq!(inspection.missing.len(), 3);
    assert_eq!(inspection.imports.len(), 4);
    assert_eq!(inspection.world()?, World::Handler);
    Ok(())
}

/// Something that each provided interface has, in the order of the list.
const ITEMS: &[&str] = &[
    "get-environment",
    "exit",
    "get-stderr",
    "get-stdin",
    "get-stdout",
    "terminal-input",
    "terminal-output",
    "get-terminal-stderr",
    "get-terminal-stdin",
    "get-terminal-stdout",
    "now",
    "now",
    "get-all",
    "get-directories",
    "filesystem-error-code",
    "error",
    "poll",
    "output-stream",
    "insecure-seed",
    "get-insecure-random-u64",
    "get-random-u64",
    "instance-network",
    "resolve-addresses",
    "network",
    "create-tcp-socket",
    "tcp-socket",
    "create-udp-socket",
    "udp-socket",
];

#[test]
fn everything_that_is_said_to_be_provided_is() {
    assert_eq!(ITEMS.len(), host::PROVIDED.len());
    let engine = wasmtime::Engine::default();
    let mut linker = host::linker(&engine).expect("the host links");
    for (interface, item) in host::PROVIDED.iter().zip(ITEMS) {
        let name = match *interface {
            "wasi:config/store@0.2.0-rc.1" => (*interface).to_owned(),
            track => format!("{track}.12"),
        };
        let mut instance = linker.instance(&name).expect("an interface can be extended");
        // To define it once more must collide with what is there.
        let again = instance.func_wrap(item, |_, ()| Ok(()));
        assert!(again.is_err(), "{name} has no {item}");
    }
}

#[test]
fn the_manifests_configuration_is_what_the_config_store_answers() -> anyhow::Result<()> {
    // Returns an output whose value is the answer for the key "unit".
    let imports = r#"
        (import "wasi:config/store@0.2.0-rc.1" (instance $store
            (type $error' (variant (case "upstream" string) (case "io" string)))
            (export "error" (type $error (eq $error')))
            (export "get" (func (param "key" string)
                (result (result (option string) (error $error)))))))
        (core module $texts (memory (export "memory") 1) (data (i32.const 64) "unit")
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 128)))
        (core instance $texts (instantiate $texts))
        (core func $get (canon lower (func $store "get")
            (memory $texts "memory") (realloc (func $texts "realloc"))))
        (core instance $wasi
            (export "get" (func $get)) (export "texts" (memory $texts "memory")))"#;
    // The answer of `get` is at 0: ok, some, address, length.
    let module = r#"
        (import "wasi" "get" (func $get (param i32 i32 i32)))
        (import "wasi" "texts" (memory $texts 1))"#;
    let body = format!(
        "(call $get (i32.const 64) (i32.const 4) (i32.const 0))
         (if (i32.load8_u $texts (i32.const 0)) (then unreachable))
         (i32.store $memory offset=32 (local.get $event) (i32.load $texts (i32.const 12)))
         (memory.copy $memory $texts (i32.load $memory offset=28 (local.get $event))
             (i32.load $texts (i32.const 8)) (i32.load $texts (i32.const 12)))
         {}",
        guests::IDENTITY.replace("i32.store", "i32.store $memory")
    );
    let guest = Guest { imports, module, body: &body, with: guests::WITH_WASI, ..Guest::default() };
    let mut handler = handler();
    handler.config.insert("unit".to_owned(), "celsius".to_owned());
    let program = load(handler, &guest.build())?;
    let outputs = call(&mut program.instantiate()?, &event(b"longer than it")).expect("it answers");
    assert_eq!(outputs[0].value.as_deref(), Some(&b"celsius"[..]));
    Ok(())
}
