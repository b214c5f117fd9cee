//! From bytes to a compiled component, or a sentence that says what the bytes are instead.
//!
//! Compiling takes from milliseconds (Rust) to seconds (JavaScript, Python).

use anyhow::bail;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::code_cache::CodeCache;
use super::{census, fault, module};

/// The first eight bytes of a component: magic number, version, layer.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// The first eight bytes of a core module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component compiled for `engine`, or found compiled in the cache. Nothing is compiled of one
/// with more core instances than these, or that would cost the host too much otherwise.
pub(super) fn compile(
    engine: &Engine,
    cache: Option<&CodeCache>,
    bytes: &[u8],
    most_instances: usize,
) -> anyhow::Result<Component> {
    check_kind(bytes)?;
    census::check(bytes, most_instances).map_err(uncompiled)?;
    let compile = || from_binary(engine, bytes);
    match cache {
        Some(cache) => cache.get_or(engine, bytes, compile),
        None => compile(),
    }
}

fn from_binary(engine: &Engine, bytes: &[u8]) -> anyhow::Result<Component> {
    Component::from_binary(engine, bytes).map_err(|error| uncompiled(fault::host_error(error)))
}

/// Says that it was the component that could not be compiled, and what to do about it.
fn uncompiled(error: anyhow::Error) -> anyhow::Error {
    let mend = mend(&format!("{error:#}"));
    // The reason comes last in a chain, so the way out of it stands before.
    error.context(format!("failed to compile the component{mend}"))
}

/// What can be done about a component that is not valid, by what wasmtime says of it.
fn mend(reason: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["core module instances, which exceeds"]) {
        return "; raise limits.instances in handler.toml";
    }
    if says(&["in the pooling allocator"]) {
        return "; set instances = \"reused\" in handler.toml";
    }
    if says(&["unexpected end", "unexpected-eof", "is out of bounds (bound"]) {
        "; the file is incomplete: build or copy it once more"
    } else if says(&["shared memor", "threads", "atomic"]) {
        "; a handler is one thread: build it without threads and atomics"
    } else if says(&["async", "stream", "future", "waitable", "task."]) {
        "; asynchronous components belong to WASI 0.3, and this host speaks 0.2: build for 0.2, in \
         Rust with `--target wasm32-wasip2`"
    } else if says(&["feature", "proposal", "not enabled", "disabled"]) {
        "; it uses a part of WebAssembly that this host leaves off: build it without"
    } else {
        ""
    }
}

fn check_kind(bytes: &[u8]) -> anyhow::Result<()> {
    if bytes.starts_with(COMPONENT) {
        return Ok(());
    }
    if bytes.starts_with(MODULE) {
        bail!(module::explain(bytes));
    }
    if bytes.starts_with(b"\0asm") {
        bail!(
            "this is WebAssembly of an unknown version: it begins with {}, a component with {}",
            head(bytes),
            head(COMPONENT)
        );
    }
    if bytes.is_empty() {
        bail!("this is not WebAssembly: the file is empty");
    }
    bail!(
        "this is not WebAssembly: it begins with {}, a component with {}",
        head(bytes),
        head(COMPONENT)
    )
}

/// The first bytes, as hexadecimal numbers and as text.
fn head(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(8)];
    let numbers: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} (\"{}\")", numbers.join(" "), head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_named_for_what_they_are() {
        let problem =
            |bytes| check_kind(bytes).map_or_else(|error| error.to_string(), |()| "".to_owned());
        assert!(problem(b"\x7fELF\x02").contains("begins with 7f 45 4c 46 02 (\"\\x7fELF\\x02\")"));
        assert!(problem(b"").contains("empty"));
        assert!(problem(MODULE).contains("--target wasm32-wasip2"));
        assert!(problem(b"\0asm\x0a\0\x01\0").contains("unknown version"));
        assert_eq!(problem(COMPONENT), "");
    }
}
