//! Small components, written in the text format: the canonical ABI by hand.
//!
//! `handle` takes the address of an event of 96 bytes and returns the address of the result. An
//! event at that address is a valid list element, so the identity is a pointer and a length.

/// A component to generate.
pub(super) struct Guest<'a> {
    /// What to export, for example `lockstep:handler/event-handler@0.1.0`.
    pub(super) export: &'a str,
    /// The component type of the result of `handle`.
    pub(super) result: &'a str,
    /// The body of `handle`, in core WebAssembly; `$event` is the address of the event.
    pub(super) body: &'a str,
    /// More of the core module: functions, globals, data.
    pub(super) module: &'a str,
    /// Initial pages of memory.
    pub(super) pages: u32,
    /// Imports and lowered functions, before the core module.
    pub(super) imports: &'a str,
    /// Arguments of the core module's instantiation.
    pub(super) with: &'a str,
    /// What comes last in the component, such as another export.
    pub(super) rest: &'a str,
}

/// Returns the event as it came.
pub(super) const IDENTITY: &str = "
    (i32.store (i32.const 0) (local.get $event))
    (i32.store (i32.const 4) (i32.const 1))
    (i32.const 0)";

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            export: "lockstep:handler/event-handler@0.1.0",
            result: "(list $event)",
            body: IDENTITY,
            module: "",
            pages: 1,
            imports: "",
            with: "",
            rest: "",
        }
    }
}

/// The imported instance with the contract's types, as every real guest has it.
const TYPES: &str = r#"
    (import "lockstep:handler/types@0.1.0" (instance $types
        (type $header' (record (field "name" string) (field "value" (list u8))))
        (export "header" (type $header (eq $header')))
        (type $source' (record
            (field "topic" string) (field "partition" u32) (field "offset" u64)))
        (export "source" (type $source (eq $source')))
        (type $event' (record
            (field "topic" (option string))
            (field "key" (option (list u8)))
            (field "value" (option (list u8)))
            (field "headers" (list $header))
            (field "timestamp-ms" (option s64))
            (field "source" (option $source))))
        (export "event" (type $event (eq $event')))
        (type $failure' (variant (case "permanent" string) (case "retryable" string)))
        (export "failure" (type $failure (eq $failure')))))
    (alias export $types "event" (type $event))
    (alias export $types "failure" (type $failure))"#;

impl Guest<'_> {
    /// The component, encoded.
    pub(super) fn build(&self) -> Vec<u8> {
        let Self { export, result, body, module, pages, imports, with, rest } = self;
        encode(&format!(
            r#"(component
                {TYPES}
                {imports}
                (core module $m
                    {module}
                    (memory $memory (export "memory") {pages})
                    (global $next (mut i32) (i32.const 4096))
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                        (global.set $next (i32.and
                            (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                        (global.get $next)
                        (global.set $next (i32.add (global.get $next) (local.get 3)))
                        (if (i32.gt_u (global.get $next)
                                (i32.mul (memory.size) (i32.const 65536)))
                            (then (drop (memory.grow (i32.add (i32.const 1)
                                (i32.div_u (local.get 3) (i32.const 65536)))))))
                    )
                    (func (export "done") (param i32) (global.set $next (i32.const 4096)))
                    (func $handle (export "handle") (param $event i32) (result i32) {body})
                )
                (core instance $i (instantiate $m {with}))
                (func $handle (param "event" $event) (result {result})
                    (canon lift (core func $i "handle") (memory $i "memory")
                        (realloc (func $i "realloc")) (post-return (func $i "done"))))
                (instance $out (export "handle" (func $handle)))
                (export "{export}" (instance $out))
                {rest}
            )"#
        ))
    }
}

/// Encodes the text format.
pub(super) fn encode(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text of a test component is valid")
}

/// Imports what it takes to sleep: `(call $sleep (i64.const nanoseconds))` in the core module.
pub(super) const SLEEP_IMPORTS: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p'))
        (export "pollable" (type $p (eq $p')))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core instance $wasi
        (export "subscribe" (func $subscribe))
        (export "block" (func $block)))"#;
/// The core module's part of [`SLEEP_IMPORTS`].
pub(super) const SLEEP_MODULE: &str = r#"
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (func $sleep (param i64) (call $block (call $subscribe (local.get 0))))"#;

/// Imports `wasi:cli/exit`: `(call $exit (i32.const 1))` is a failure.
pub(super) const EXIT_IMPORTS: &str = r#"
    (import "wasi:cli/exit@0.2.0" (instance $exits
        (export "exit" (func (param "status" (result))))))
    (core func $exit (canon lower (func $exits "exit")))
    (core instance $wasi (export "exit" (func $exit)))"#;
/// The core module's part of [`EXIT_IMPORTS`].
pub(super) const EXIT_MODULE: &str = r#"(import "wasi" "exit" (func $exit (param i32)))"#;

/// Imports standard error: `(call $say (i32.const address) (i32.const length))`. The memory comes
/// from a module of its own, because lowering needs it before the main module exists.
pub(super) const SAY_IMPORTS: &str = r#"
    (import "wasi:io/error@0.2.0" (instance $errors
        (export "error" (type (sub resource)))))
    (alias export $errors "error" (type $error))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "output-stream" (type $stream (sub resource)))
        (alias outer 1 $error (type $error'))
        (export "error" (type $error (eq $error')))
        (type $stream-error' (variant
            (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $stream-error')))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $stream)) (param "contents" (list u8))
            (result (result (error $stream-error)))))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stderr@0.2.0" (instance $stderr
        (alias outer 1 $stream (type $stream'))
        (export "output-stream" (type $s (eq $stream')))
        (export "get-stderr" (func (result (own $s))))))
    (core module $texts (memory (export "memory") 1)
        (data (i32.const 64) "thread '<unnamed>' panicked at src/lib.rs:5:9:\0ano such unit\0a"))
    (core instance $texts (instantiate $texts))
    (core func $get-stderr (canon lower (func $stderr "get-stderr")))
    (core func $write (canon lower
        (func $streams "[method]output-stream.blocking-write-and-flush")
        (memory $texts "memory")))
    (core instance $wasi
        (export "get-stderr" (func $get-stderr))
        (export "write" (func $write)))"#;
/// The core module's part of [`SAY_IMPORTS`].
pub(super) const SAY_MODULE: &str = r#"
    (import "wasi" "get-stderr" (func $get-stderr (result i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
    (func $say (param i32 i32)
        (call $write (call $get-stderr) (local.get 0) (local.get 1) (i32.const 0)))"#;
/// The argument that hands the WASI functions to the core module.
pub(super) const WITH_WASI: &str = r#"(with "wasi" (instance $wasi))"#;
/// Where the text that [`SAY_IMPORTS`] holds begins.
pub(super) const SAID_AT: usize = 64;
/// The length of that text.
pub(super) const SAID_BYTES: usize =
    "thread '<unnamed>' panicked at src/lib.rs:5:9:\nno such unit\n".len();
