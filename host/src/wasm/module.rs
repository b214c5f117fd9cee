//! Core modules that were handed in where a component belongs: what each was built as, and how it
//! becomes a component.
//!
//! Looks at names only: nothing is compiled, and a module that is broken further down is told
//! from what was read before.

use std::collections::BTreeSet;

use wasmparser::{Parser, Payload};

use super::contract::PACKAGE;

/// How to build a component with Rust, whatever the module is.
const IN_RUST: &str = "in Rust, build it with `cargo build --release --target wasm32-wasip2`";

/// What the names in a core module say about it.
#[derive(Default)]
struct Names<'a> {
    /// Where its imports come from.
    imported: BTreeSet<&'a str>,
    /// Whether it exports a function of the contract, as bindings do.
    has_contract: bool,
}

/// Says what this core module is and how to make a component of it.
pub(super) fn explain(bytes: &[u8]) -> String {
    let names = Names::of(bytes);
    let imports = |module: &str| names.imported.contains(module);
    if imports("wasi_snapshot_preview1") {
        return "this is a core module for wasm32-wasip1 (it imports wasi_snapshot_preview1), not \
                a component; build it with `cargo build --release --target wasm32-wasip2`, or \
                with `cargo component build --release`; from another language, wrap it with \
                `wasm-tools component new --adapt wasi_snapshot_preview1.reactor.wasm`"
            .to_owned();
    }
    if imports("wasi_unstable") {
        return format!(
            "this is a core module for a WASI from before preview 1 (it imports wasi_unstable), \
             not a component; {IN_RUST} with a present toolchain"
        );
    }
    if names.imported.iter().any(|name| name.contains("wbindgen") || name.ends_with("_bg.js")) {
        return format!(
            "this is a core module for the browser (it was made for wasm-bindgen), not a \
             component; leave wasm-bindgen out, and {IN_RUST}"
        );
    }
    if imports("gojs") || imports("go") {
        return "this is a core module for the browser (it was built by Go for js/wasm), not a \
                component; build it with TinyGo, `tinygo build -target=wasip2`"
            .to_owned();
    }
    if names.has_contract {
        return format!(
            "this is a core module with the bindings of {PACKAGE}, but nothing made a component \
             of it; {IN_RUST}, otherwise wrap it with `wasm-tools component new`"
        );
    }
    format!(
        "this is a core WebAssembly module, not a component; {IN_RUST}, otherwise wrap it with \
         `wasm-tools component new`"
    )
}

impl<'a> Names<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut names = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload {
                Ok(Payload::ImportSection(imports)) => {
                    names.imported.extend(imports.into_imports().flatten().map(|i| i.module));
                }
                Ok(Payload::ExportSection(exports)) => {
                    let mut exports = exports.into_iter().flatten();
                    names.has_contract |= exports.any(|export| export.name.starts_with(PACKAGE));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(module: &str) -> String {
        explain(&wat::parse_str(module).expect("the module is valid"))
    }

    #[test]
    fn a_module_is_told_by_what_it_imports_and_exports() {
        for (module, words) in [
            (
                r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#,
                &["wasm32-wasip1", "--target wasm32-wasip2`", "`cargo component build"] as &[_],
            ),
            (r#"(module (import "wasi_unstable" "fd_write" (func)))"#, &["before preview 1"]),
            (
                r#"(module (import "__wbindgen_placeholder__" "x" (func)))"#,
                &["browser", "leave wasm-bindgen out"],
            ),
            (r#"(module (import "gojs" "x" (func)))"#, &["TinyGo"]),
            (
                r#"(module (func (export "lockstep:handler/event-handler@0.1.0#handle")))"#,
                &["bindings of lockstep:handler", "`wasm-tools component new`"],
            ),
            ("(module)", &["core WebAssembly module, not a component", "wasm32-wasip2"]),
        ] {
            let explained = explained(module);
            for word in words {
                assert!(explained.contains(word), "{word:?} is not said of {module}: {explained}");
            }
        }
    }

    #[test]
    fn a_module_that_is_torn_is_told_from_what_is_left() {
        let text = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func))
            (func unreachable) (func unreachable))"#;
        let bytes = wat::parse_str(text).expect("the module is valid");
        assert!(explain(&bytes[..bytes.len() - 4]).contains("wasm32-wasip1"));
    }
}
