//! Where in a guest something went wrong, told by the names of its functions.
//!
//! The guest's own functions come first: what only carries a panic out, the standard library at
//! either end and the glue that bindings generate are left out where they can be told apart.
//! Names come from the component's name sections; DWARF is not read, because a guest could make
//! the host busy with it.

use wasmtime::{Error, WasmBacktrace};

/// Functions named in one line.
const NAMED_IN_LINE: usize = 3;
/// Functions listed in full.
const LISTED: usize = 24;
/// The longest name shown, in bytes.
const NAME_BYTES: usize = 160;

/// Where nothing of the guest's own is, by the beginning of names.
const LIBRARY: &[&str] = &[
    "__rust",
    "__rg_",
    "__rdl_",
    "__wasi",
    "__wasilibc",
    "_start",
    "abort",
    "alloc::",
    "cabi_",
    "calloc",
    "compiler_builtins::",
    "core::",
    "dlmalloc",
    "free",
    "malloc",
    "memchr::",
    "memcpy",
    "memmove",
    "memset",
    "panic_",
    "realloc",
    "rust_",
    "rustc_",
    "sbrk",
    "std::",
    "wasip2::",
    "wit_bindgen::",
];

/// The functions that were running, innermost first.
pub(super) struct Backtrace {
    frames: Vec<Frame>,
}

/// A function that was running, or several in a row of the same name.
struct Frame {
    name: Name,
    /// How many in a row.
    times: usize,
}

#[derive(PartialEq, Eq)]
enum Name {
    /// A function of the guest's own.
    Own(String),
    /// A function of a standard library.
    Library(String),
    /// What generated bindings put around `handle`.
    Glue,
    /// A function without a name: its index in its module.
    Unnamed(u32),
}

impl Backtrace {
    /// The backtrace in an error, if the guest was running.
    pub(super) fn of(error: &Error) -> Option<Self> {
        let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
        let names = frames.iter().map(|frame| match frame.func_name() {
            Some(name) => Name::read(name),
            None => Name::Unnamed(frame.func_index()),
        });
        let this = Self::collect(names);
        (!this.frames.is_empty()).then_some(this)
    }

    fn collect(names: impl Iterator<Item = Name>) -> Self {
        let mut frames: Vec<Frame> = Vec::new();
        for name in names {
            match frames.last_mut() {
                Some(last) if last.name == name => last.times += 1,
                _ => frames.push(Frame { name, times: 1 }),
            }
        }
        Self { frames }
    }

    /// The guest's innermost functions, for a message: `inner < outer`. `None` without names.
    pub(super) fn in_line(&self) -> Option<String> {
        let own: Vec<_> = self.frames.iter().filter(|f| matches!(f.name, Name::Own(_))).collect();
        let named = |frame: &&Frame| !matches!(frame.name, Name::Unnamed(_));
        let frames = match own.as_slice() {
            [] => self.frames.iter().filter(named).collect(),
            _ => own,
        };
        let names: Vec<_> = frames.into_iter().take(NAMED_IN_LINE).map(Frame::text).collect();
        (!names.is_empty()).then(|| names.join(" < "))
    }

    /// One function a line, innermost first, with what to do when there are no names.
    pub(super) fn lines(&self) -> Vec<String> {
        let is_own = |frame: &Frame| matches!(frame.name, Name::Own(_) | Name::Unnamed(_));
        let first = self.frames.iter().position(is_own).unwrap_or(0);
        let last = self.frames.iter().rposition(is_own).unwrap_or(self.frames.len() - 1);
        let frames = &self.frames[first..=last];
        let mut lines: Vec<_> =
            frames.iter().take(LISTED).map(|frame| format!("  in {}", frame.text())).collect();
        if frames.len() > LISTED {
            lines.push(format!("  and {} more", frames.len() - LISTED));
        }
        if self.frames.iter().any(|frame| matches!(frame.name, Name::Unnamed(_))) {
            lines.push(NO_NAMES.to_owned());
        }
        lines
    }

    /// Whether a function that was running has no name.
    pub(super) fn lacks_names(&self) -> bool {
        self.frames.iter().all(|frame| matches!(frame.name, Name::Unnamed(_)))
    }
}

/// How a guest keeps its names.
pub(super) const NO_NAMES: &str = "the component has no names for its functions; keep them, in Rust with `strip = \"debuginfo\"` \
     under [profile.release] of Cargo.toml";

impl Name {
    fn read(mangled: &str) -> Self {
        let name = format!("{:#}", rustc_demangle::demangle(mangled));
        if is_glue(&name) {
            return Self::Glue;
        }
        let is_library = is_library(&name);
        let mut name = shortened(&name);
        name.truncate(name.floor_char_boundary(NAME_BYTES));
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if is_library { Self::Library(name) } else { Self::Own(name) }
    }
}

impl Frame {
    fn text(&self) -> String {
        let name = match &self.name {
            Name::Own(name) | Name::Library(name) => name.clone(),
            Name::Glue => "handle".to_owned(),
            Name::Unnamed(index) => format!("function {index}"),
        };
        if self.times == 1 { name } else { format!("{name} ({} times)", self.times) }
    }
}

/// The exported function itself and the bindings' part of it.
fn is_glue(name: &str) -> bool {
    name.contains("::_export_handle")
        || name.contains("::__export_")
        || name.starts_with("lockstep:handler/")
        || name.starts_with("exports_lockstep_handler_")
        || name.starts_with("__wasm_export_")
}

fn is_library(name: &str) -> bool {
    let begins = |name: &str| LIBRARY.iter().any(|prefix| name.starts_with(prefix));
    // `<Type as Trait>::method` belongs to the type; to the trait when the type is any.
    let Some(rest) = name.strip_prefix('<') else { return begins(name) };
    let (of, as_trait) = rest.split_once(" as ").unwrap_or((rest, ""));
    let of = of.trim_start_matches(['&', '[', '(', '*']);
    let any = of.len() <= 2 || of.starts_with("dyn ") || of.starts_with("impl ");
    begins(of) || (any && begins(as_trait))
}

/// `<weather::Weather as weather::bindings::Guest>::handle` → `weather::Weather::handle`.
fn shortened(name: &str) -> String {
    let inner = name.strip_prefix('<').and_then(|rest| rest.split_once(" as "));
    let Some((of, rest)) = inner else { return name.to_owned() };
    match rest.rsplit_once(">::") {
        Some((_, method)) if !of.contains('<') => format!("{of}::{method}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backtrace(names: &[&str]) -> Backtrace {
        Backtrace::collect(names.iter().map(|name| Name::read(name)))
    }

    /// What a panic in a Rust guest looks like, with names as the compiler mangles them.
    const PANIC: &[&str] = &[
        "_ZN3std7process5abort17h0123456789abcdefE",
        "rust_panic",
        "_ZN3std9panicking19begin_panic_handler17h0123456789abcdefE",
        "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
        "_ZN7weather8forecast13to_fahrenheit17h0123456789abcdefE",
        "_ZN4core4iter6traits8iterator8Iterator4fold17h0123456789abcdefE",
        "_ZN70_$LT$weather..Weather$u20$as$u20$weather..bindings..exports..Guest$GT$6handle17h0123456789abcdefE",
        "_ZN7weather8bindings7exports19_export_handle_cabi17h0123456789abcdefE",
        "lockstep:handler/event-handler@0.1.0#handle",
    ];

    #[test]
    fn the_guests_own_functions_come_first_and_without_noise() {
        let backtrace = backtrace(PANIC);
        assert_eq!(
            backtrace.in_line().as_deref(),
            Some("weather::forecast::to_fahrenheit < weather::Weather::handle")
        );
        assert_eq!(
            backtrace.lines(),
            [
                "  in weather::forecast::to_fahrenheit",
                "  in core::iter::traits::iterator::Iterator::fold",
                "  in weather::Weather::handle",
            ]
        );
    }

    #[test]
    fn without_functions_of_its_own_everything_is_named() {
        let backtrace = backtrace(&["abort", "lockstep:handler/event-handler@0.1.0#handle"]);
        assert_eq!(backtrace.in_line().as_deref(), Some("abort < handle"));
        assert_eq!(backtrace.lines(), ["  in abort", "  in handle"]);
    }

    #[test]
    fn recursion_is_counted_instead_of_repeated() {
        let backtrace = backtrace(&["dive", "dive", "dive", "swim", "dive"]);
        assert_eq!(backtrace.in_line().as_deref(), Some("dive (3 times) < swim < dive"));
    }

    #[test]
    fn a_component_without_names_is_told_how_to_keep_them() {
        let backtrace = Backtrace::collect([7, 12].into_iter().map(Name::Unnamed));
        assert_eq!(backtrace.in_line(), None);
        assert!(backtrace.lacks_names());
        let lines = backtrace.lines();
        assert_eq!(lines[..2], ["  in function 7", "  in function 12"]);
        assert!(lines[2].contains("strip = \"debuginfo\""), "{lines:?}");
    }

    #[test]
    fn long_and_odd_names_do_no_harm() {
        let long = "x".repeat(1_000);
        let names: Vec<_> = (0..48).map(|n| format!("f{n}\n{long}")).collect();
        let backtrace = backtrace(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let lines = backtrace.lines();
        assert_eq!(lines.len(), LISTED + 1);
        assert!(lines.iter().all(|line| line.len() < 200 && !line.contains('\n')), "{lines:?}");
        assert_eq!(lines[LISTED], "  and 24 more");
    }

    #[test]
    fn a_method_belongs_to_its_type() {
        for (name, library) in [
            ("<alloc::vec::Vec<T> as core::clone::Clone>::clone", true),
            ("<T as alloc::string::ToString>::to_string", true),
            ("<weather::Date as core::fmt::Display>::fmt", false),
            ("serde_json::de::from_slice", false),
        ] {
            assert_eq!(is_library(name), library, "{name}");
        }
    }
}
