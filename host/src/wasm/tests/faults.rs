//! What a misbehaving guest costs: its call and its instance, and nothing else.

use std::time::Instant;

use super::guests::{self, Guest};
use super::*;
use crate::testing::logged;

/// Traps when the value is empty, otherwise counts its calls in the memory's word at 8 and
/// returns as many outputs.
const COUNTING: &str = "
    (local $i i32)
    (if (i32.eqz (i32.load offset=32 (local.get $event))) (then unreachable))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (loop $again
        (memory.copy
            (i32.add (i32.const 16384) (i32.mul (local.get $i) (i32.const 96)))
            (local.get $event) (i32.const 96))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.load (i32.const 8)))))
    (i32.store (i32.const 0) (i32.const 16384))
    (i32.store (i32.const 4) (local.get $i))
    (i32.const 0)";

#[test]
fn a_trap_costs_the_instance_and_the_next_call_gets_a_fresh_one() -> anyhow::Result<()> {
    let program = load(handler(), &Guest { body: COUNTING, ..Guest::default() }.build())?;
    let mut instance = program.instantiate()?;
    let mut count = |value: &[u8]| call(&mut instance, &event(value)).map(|outputs| outputs.len());
    assert_eq!(count(b"x"), Ok(1));
    assert_eq!(count(b"x"), Ok(2));
    let failure = count(b"").expect_err("an empty value traps");
    assert_eq!(failure.kind, FailureKind::Trap);
    assert_eq!(failure.message, "trapped: wasm `unreachable` instruction executed; in handle");
    assert_eq!(count(b"x"), Ok(1));
    instance.discard();
    assert_eq!(call(&mut instance, &event(b"x")).map(|outputs| outputs.len()), Ok(1));
    Ok(())
}

#[test]
fn an_instance_per_event_remembers_nothing() -> anyhow::Result<()> {
    let mut handler = Handler { instances: Instances::PerEvent, workers: 64, ..handler() };
    // No multiples of a page.
    handler.limits.stack = 300_001;
    handler.limits.memory = 5_000_001;
    let program = load(handler, &Guest { body: COUNTING, ..Guest::default() }.build())?;
    let mut instances = Vec::new();
    for _ in 0..64 {
        instances.push(program.instantiate()?);
    }
    for instance in &mut instances {
        for _ in 0..3 {
            assert_eq!(call(instance, &event(b"x")).map(|outputs| outputs.len()), Ok(1));
        }
    }
    Ok(())
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let mut handler = handler();
    handler.limits.time = Duration::from_millis(50);
    let guest = Guest { body: "(loop (br 0)) unreachable", ..Guest::default() };
    let start = Instant::now();
    let failure = fail_twice(handler, &guest);
    assert!(start.elapsed() >= Duration::from_millis(100), "two calls were cut short");
    assert_eq!(failure.kind, FailureKind::Deadline);
    let message = &failure.message;
    assert!(
        message.starts_with("took longer than limits.time = 50ms: stopped after "),
        "{message}"
    );
    assert!(message.ends_with("ms; in handle"), "{message}");
    assert!(failure.details.contains("raise limits.time in handler.toml"), "{}", failure.details);
}

#[test]
fn a_guest_that_sleeps_ends_at_the_deadline_too() {
    let mut handler = handler();
    handler.limits.time = Duration::from_millis(50);
    let guest = Guest {
        imports: guests::SLEEP_IMPORTS,
        module: guests::SLEEP_MODULE,
        with: guests::WITH_WASI,
        body: "(call $sleep (i64.const 3_600_000_000_000)) unreachable",
        ..Guest::default()
    };
    let start = Instant::now();
    let failure = fail_twice(handler, &guest);
    assert!(start.elapsed() >= Duration::from_millis(100), "two calls were cut short");
    assert!(start.elapsed() < Duration::from_secs(60), "the guest slept");
    assert_eq!(failure.kind, FailureKind::Deadline);
    let message = &failure.message;
    assert!(
        message.starts_with("took longer than limits.time = 50ms: stopped after "),
        "{message}"
    );
    assert!(message.contains(", waiting in the host; in "), "{message}");
}

#[test]
fn a_guest_that_sleeps_within_its_time_succeeds() -> anyhow::Result<()> {
    let body = format!("(call $sleep (i64.const 20_000_000)) {}", guests::IDENTITY);
    let guest = Guest {
        imports: guests::SLEEP_IMPORTS,
        module: guests::SLEEP_MODULE,
        with: guests::WITH_WASI,
        body: &body,
        ..Guest::default()
    };
    let mut handler = handler();
    handler.limits.time = Duration::from_secs(30);
    let mut instance = load(handler, &guest.build())?.instantiate()?;
    assert_eq!(call(&mut instance, &event(b"x")).map(|outputs| outputs.len()), Ok(1));
    Ok(())
}

#[test]
fn a_memory_bomb_is_refused_at_the_limit() {
    let guest = Guest {
        body: "(loop (drop (memory.grow (i32.const 100))) (br 0)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Memory);
    let message =
        "asked for 6.2 MiB of memory on top of 62.6 MiB; limits.memory = 64.0 MiB; in handle";
    assert_eq!(failure.message, message);
    assert!(failure.details.contains("raise limits.memory in handler.toml"), "{}", failure.details);
}

#[test]
fn an_event_too_large_for_the_memory_is_a_memory_fault() -> anyhow::Result<()> {
    let mut handler = handler();
    handler.limits.memory = 1 << 20;
    let mut instance = load(handler, &Guest::default().build())?.instantiate()?;
    let failure = call(&mut instance, &event(&vec![0; 2 << 20])).expect_err("it does not fit");
    assert_eq!(failure.kind, FailureKind::Memory);
    assert_eq!(call(&mut instance, &event(b"x")).map(|outputs| outputs.len()), Ok(1));
    Ok(())
}

#[test]
fn a_component_larger_than_its_memory_limit_is_refused() {
    for instances in [Instances::Reused, Instances::PerEvent] {
        let mut handler = Handler { instances, ..handler() };
        handler.limits.memory = 1 << 20;
        let refused = refusal(handler, &Guest { pages: 17, ..Guest::default() }.build());
        assert!(
            refused.contains(
                "asked for 1.1 MiB of memory on top of 0 B; limits.memory = 1.0 MiB; raise the \
                 limit in handler.toml"
            ),
            "{refused}"
        );
    }
}

#[test]
fn a_component_of_too_many_instances_is_refused() {
    for instances in [Instances::Reused, Instances::PerEvent] {
        let mut handler = Handler { instances, ..handler() };
        handler.limits.instances = 1;
        let refused = refusal(handler, &sleeper_with_memory());
        let words = "than limits.instances = 1; raise it in handler.toml";
        assert!(refused.contains(words), "{refused}");
    }
}

/// Two core instances: the texts and the main module.
fn sleeper_with_memory() -> Vec<u8> {
    Guest {
        imports: guests::SAY_IMPORTS,
        module: guests::SAY_MODULE,
        with: guests::WITH_WASI,
        ..Guest::default()
    }
    .build()
}

#[test]
fn a_component_that_never_starts_is_refused_with_the_reason() {
    let module = "(func $init unreachable) (start $init)";
    let refused = refusal(handler(), &Guest { module, ..Guest::default() }.build());
    assert!(
        refused.contains("failed to instantiate the component of handler \"weather\""),
        "{refused}"
    );
    assert!(refused.contains("unreachable"), "{refused}");
}

#[test]
fn endless_recursion_ends_at_the_stack_limit() {
    for stack in [64 << 10, 512 << 10, 16 << 20] {
        let mut handler = handler();
        handler.limits.stack = stack;
        let guest = Guest { body: "(call $handle (local.get $event))", ..Guest::default() };
        let failure = fail_twice(handler, &guest);
        assert_eq!(failure.kind, FailureKind::Stack, "{}", failure.message);
        assert!(failure.message.starts_with("went deeper than limits.stack = "));
        assert!(failure.message.ends_with("; in handle (48 times)"), "{}", failure.message);
    }
}

#[test]
fn a_table_that_grows_beyond_the_limit_is_a_fault_of_resources() {
    let guest = Guest {
        module: "(table $t 1 funcref)",
        body: "(drop (table.grow $t (ref.null func) (i32.const 200_000))) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources);
    let message = "asked for 200000 table elements on top of 1; limits.table_elements = 100000";
    assert!(failure.message.starts_with(message), "{}", failure.message);
}

#[test]
fn a_guest_that_hoards_resources_is_stopped() {
    let guest = Guest {
        imports: guests::SLEEP_IMPORTS,
        module: guests::SLEEP_MODULE,
        with: guests::WITH_WASI,
        body: "(loop (drop (call $subscribe (i64.const 1))) (br 0)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources, "{}", failure.message);
}

#[test]
fn outputs_that_share_their_bytes_cannot_exhaust_the_host() {
    // 600 events, each with the whole value of 32 KiB as key: 19 MiB from 64 KiB.
    let body = "
        (local $i i32)
        (memory.copy (i32.const 0) (local.get $event) (i32.const 96))
        (i32.store (i32.const 12) (i32.const 1))
        (i32.store (i32.const 16) (i32.const 0))
        (i32.store (i32.const 20) (i32.const 32768))
        (drop (memory.grow (i32.const 2)))
        (loop $again
            (memory.copy
                (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 96)))
                (i32.const 0) (i32.const 96))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 600))))
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 600))
        (i32.const 0)";
    let failure = fail_twice(handler(), &Guest { body, ..Guest::default() });
    assert_eq!(failure.kind, FailureKind::OversizedOutput, "{}", failure.message);
    assert!(failure.message.contains("limits.output_bytes = 4.0 MiB"), "{}", failure.message);
}

#[test]
fn outputs_that_lie_outside_the_memory_are_a_fault() {
    let body = "
        (i32.store (i32.const 0) (i32.const 0x7fffff00))
        (i32.store (i32.const 4) (i32.const 9))
        (i32.const 0)";
    let failure = fail_twice(handler(), &Guest { body, ..Guest::default() });
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.contains("broke the component model"), "{}", failure.message);
}

#[test]
fn a_guest_that_exits_is_a_trap_that_says_so() {
    let guest = Guest {
        imports: guests::EXIT_IMPORTS,
        module: guests::EXIT_MODULE,
        with: guests::WITH_WASI,
        body: "(call $exit (i32.const 1)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.starts_with("called exit(1)"), "{}", failure.message);
}

#[test]
fn the_message_of_a_trap_holds_what_the_guest_said_last() {
    let body = format!(
        "(call $say (i32.const {}) (i32.const {})) unreachable",
        guests::SAID_AT,
        guests::SAID_BYTES
    );
    let guest = Guest {
        imports: guests::SAY_IMPORTS,
        module: guests::SAY_MODULE,
        with: guests::WITH_WASI,
        body: &body,
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Trap);
    assert_eq!(failure.message, "panicked at src/lib.rs:5:9: no such unit; in handle");
}

#[test]
fn a_guest_that_hoards_handles_of_its_own_is_stopped() {
    let guest = Guest {
        imports: "
            (type $resource (resource (rep i32)))
            (core func $new (canon resource.new $resource))
            (core instance $wasi (export \"new\" (func $new)))",
        module: "(import \"wasi\" \"new\" (func $new (param i32) (result i32)))",
        with: guests::WITH_WASI,
        body: "(loop (drop (call $new (i32.const 1))) (br 0)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources, "{}", failure.message);
}

#[test]
fn a_guest_cannot_hand_the_host_more_than_its_share_in_one_call() {
    let imports = guests::SAY_IMPORTS.replace("\"memory\") 1)", "\"memory\") 320)");
    let guest = Guest {
        imports: &imports,
        module: guests::SAY_MODULE,
        with: guests::WITH_WASI,
        body: "(call $say (i32.const 0) (i32.const 20_000_000)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources, "{}", failure.message);
}

/// Takes no notice of what `check-write` permits.
#[test]
fn a_guest_cannot_write_more_at_once_than_a_stream_takes() {
    let imports = guests::SAY_IMPORTS
        .replace("blocking-write-and-flush", "write")
        .replace("\"memory\") 1)", "\"memory\") 2)");
    let guest = Guest {
        imports: &imports,
        module: guests::SAY_MODULE,
        with: guests::WITH_WASI,
        body: "(call $say (i32.const 0) (i32.const 70_000)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources, "{}", failure.message);
    assert!(failure.message.contains("a stream takes 64.0 KiB"), "{}", failure.message);
}

#[test]
fn a_guest_cannot_ask_for_more_random_bytes_at_once_than_the_host_gives() {
    let imports = "
        (import \"wasi:random/random@0.2.0\" (instance $random
            (export \"get-random-bytes\" (func (param \"len\" u64) (result (list u8))))))
        (core module $room
            (memory (export \"memory\") 1)
            (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) i32.const 64))
        (core instance $room (instantiate $room))
        (core func $random (canon lower (func $random \"get-random-bytes\")
            (memory $room \"memory\") (realloc (func $room \"realloc\"))))
        (core instance $wasi (export \"random\" (func $random)))";
    let guest = Guest {
        imports,
        module: "(import \"wasi\" \"random\" (func $random (param i64 i32)))",
        with: guests::WITH_WASI,
        body: "(call $random (i64.const 0x100000001) (i32.const 0)) unreachable",
        ..Guest::default()
    };
    let failure = fail_twice(handler(), &guest);
    assert_eq!(failure.kind, FailureKind::Resources, "{}", failure.message);
    assert!(failure.message.starts_with("asked the host for 4294967297 random bytes"));
}

#[test]
fn what_a_guest_says_is_logged_with_its_handlers_name_and_within_its_share() {
    let body = format!(
        "(call $say (i32.const {}) (i32.const {})) {}",
        guests::SAID_AT,
        guests::SAID_BYTES - 1,
        guests::IDENTITY
    );
    let guest = Guest {
        imports: guests::SAY_IMPORTS,
        module: guests::SAY_MODULE,
        with: guests::WITH_WASI,
        body: &body,
        ..Guest::default()
    };
    let mut handler = handler();
    handler.limits.log_lines_per_second = 2;
    handler.limits.log_line_bytes = 6;
    let log = logged(|| {
        let program = load(handler, &guest.build()).expect("the guest loads");
        let mut instance = program.instantiate().expect("the guest starts");
        for _ in 0..2 {
            call(&mut instance, &event(b"x")).expect("the guest succeeds");
        }
    });
    let line = "WARN handler: thread… (40 bytes cut) handler=\"weather@1\" stream=\"stderr\"";
    assert!(log.contains(line), "{log}");
    // The second line had no end: it was logged when the call was over.
    assert!(log.contains("no suc… (6 bytes cut)"), "{log}");
    assert!(log.contains("limits.log_lines_per_second handler=\"weather@1\" dropped=2"), "{log}");
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn a_component_that_unfolds_without_end_is_refused_before_it_is_compiled() {
    let mut inner = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(900));
    for _ in 0..3 {
        let instances = "(instance (instantiate $c))".repeat(900);
        inner = format!("(component $c {inner}) {instances}");
    }
    let bomb = guests::encode(&format!("(component {inner})"));
    for instances in [Instances::Reused, Instances::PerEvent] {
        let refused = refusal(Handler { instances, ..handler() }, &bomb);
        assert!(refused.contains("more core instances than limits.instances = 64"), "{refused}");
    }
}
