//! The contract, held against what a component exports: which of its two worlds the component
//! implements, or what the component is instead and how to mend that.

use std::fmt;

use anyhow::{anyhow, bail};

use super::version;

/// The package of the contract.
pub(super) const PACKAGE: &str = "lockstep:handler";
/// The version of the contract, as far as it matters for compatibility.
const COMPATIBLE: &str = "0.1";
/// The version that this host was built against.
const VERSION: &str = "0.1.0";
/// The one function of both interfaces.
const FUNCTION: &str = "handle";
/// Exports that are named when none of them is of the contract.
const NAMED_EXPORTS: usize = 8;

/// The world that a component implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `handler`: handling that cannot fail, except by a trap.
    Handler,
    /// `fallible-handler`: handling that says whether a failure is worth another attempt.
    FallibleHandler,
}

impl World {
    const ALL: [Self; 2] = [Self::Handler, Self::FallibleHandler];

    /// Its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::FallibleHandler => "fallible-handler",
        }
    }

    /// The interface that a component of this world exports, without package and version.
    fn interface(self) -> &'static str {
        match self {
            Self::Handler => "event-handler",
            Self::FallibleHandler => "fallible-event-handler",
        }
    }

    fn of_interface(interface: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| world.interface() == interface)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that a component exports.
#[derive(Clone, Debug)]
pub(super) struct Export {
    /// Its name, such as `lockstep:handler/event-handler@0.1.0`.
    pub(super) name: String,
    /// The names of what is in it, for an interface.
    pub(super) items: Option<Vec<String>>,
}

/// An export of the contract's package.
struct Part<'a> {
    export: &'a Export,
    world: World,
    /// `None` when the name has none.
    version: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn of(export: &'a Export) -> Option<Self> {
        let name = export.name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let (interface, version) = match name.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (name, None),
        };
        Some(Self { export, world: World::of_interface(interface)?, version })
    }

    fn is_compatible(&self) -> bool {
        self.version.is_some_and(|version| version::track(version) == COMPATIBLE)
    }
}

/// The world that a component with these exports implements. The error says what it is instead,
/// and what to do about it.
pub(super) fn world(exports: &[Export]) -> anyhow::Result<World> {
    let parts: Vec<_> = exports.iter().filter_map(Part::of).collect();
    let mut spoken: Vec<_> = parts.iter().filter(|part| part.is_compatible()).collect();
    spoken.dedup_by_key(|part| part.world);
    match spoken.as_slice() {
        [] => Err(parts.first().map_or_else(|| no_world(exports), other_version)),
        [part] => has_function(part).map(|()| part.world),
        _ => bail!(
            "the component exports both event-handler and fallible-event-handler of {PACKAGE}, so \
             that it is not clear which one to call; export one of them: choose the world \
             `handler` or `fallible-handler`, in Rust with `world` in `wit_bindgen::generate!`"
        ),
    }
}

fn has_function(part: &Part<'_>) -> anyhow::Result<()> {
    let name = &part.export.name;
    let items = match &part.export.items {
        Some(items) if items.iter().any(|item| item == FUNCTION) => return Ok(()),
        Some(items) => listed(items.iter().map(String::as_str)),
        None => bail!(
            "the component's export {name} is not an interface; build it against \
             {PACKAGE}@{VERSION}, unchanged"
        ),
    };
    bail!(
        "the component exports {name} without its function {FUNCTION}: it holds {items}; build it \
         against {PACKAGE}@{VERSION}, unchanged, as `lockstep new` copies it into a handler"
    )
}

fn other_version(part: &Part<'_>) -> anyhow::Error {
    let name = &part.export.name;
    let speaks = format!("this host speaks version {COMPATIBLE}.x of the contract");
    let build = format!("build the component against {PACKAGE}@{VERSION}");
    match part.version {
        None => anyhow!("the component exports {name}, without a version; {speaks}: {build}"),
        Some(version) if version::track(version) == version && version.contains('-') => anyhow!(
            "the component exports {name}, of a version before a release, which is compatible \
             with no other; {speaks}: {build}"
        ),
        Some(version) if version::is_newer(version, VERSION) => anyhow!(
            "the component exports {name}, of a newer contract; {speaks}: use a newer host, or \
             {build}"
        ),
        Some(_) => anyhow!("the component exports {name}, of an older contract; {speaks}: {build}"),
    }
}

/// Nothing of the contract at all: the component was meant for something else, or its export was
/// forgotten.
fn no_world(exports: &[Export]) -> anyhow::Error {
    let expected = format!(
        "expected {PACKAGE}/event-handler@{VERSION} or {PACKAGE}/fallible-event-handler@{VERSION}"
    );
    if exports.is_empty() {
        return anyhow!(
            "the component exports nothing; {expected}; in Rust, name the handler in `export!(…)` \
             below `wit_bindgen::generate!`, and set crate-type = [\"cdylib\"]"
        );
    }
    let is = |name: &str| exports.iter().any(|export| export.name == name);
    let begins = |name: &str| exports.iter().any(|export| export.name.starts_with(name));
    let names = listed(exports.iter().map(|export| export.name.as_str()));
    let mend = if is(FUNCTION) {
        format!(
            "the function {FUNCTION} stands there by itself, but belongs into one of these \
             interfaces: let the guest's world `include {PACKAGE}/handler@{VERSION}`"
        )
    } else if begins("wasi:cli/run@") {
        "it is a program with a main function: in Rust, make it a library, crate-type = \
         [\"cdylib\"], without main.rs"
            .to_owned()
    } else if begins("wasi:http/incoming-handler@") {
        "it answers HTTP requests: a handler takes events; see `lockstep new`".to_owned()
    } else if begins(PACKAGE) {
        "these are of the contract's package, but no interface that a host calls".to_owned()
    } else {
        format!("let the guest's world `include {PACKAGE}/handler@{VERSION}`")
    };
    anyhow!("the component exports {names}; {expected}; {mend}")
}

/// The first names of a list, and how many there are besides.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(NAMED_EXPORTS);
    let shown: Vec<_> = names.take(NAMED_EXPORTS).collect();
    match (shown.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(name: &str, items: &[&str]) -> Export {
        let items = items.iter().map(|&item| item.to_owned()).collect();
        Export { name: name.to_owned(), items: Some(items) }
    }

    fn refusal(exports: &[Export]) -> String {
        world(exports).map_or_else(|error| error.to_string(), |world| world.to_string())
    }

    #[test]
    fn what_a_component_was_meant_for_is_recognised() {
        let function = |name: &str| Export { name: name.to_owned(), items: None };
        for (exports, mend) in [
            (vec![], "`export!(…)`"),
            (vec![function("handle")], "`include lockstep:handler/handler@0.1.0`"),
            (vec![export("wasi:cli/run@0.2.6", &["run"])], "crate-type = [\"cdylib\"]"),
            (vec![export("wasi:http/incoming-handler@0.2.0", &["handle"])], "HTTP requests"),
            (vec![export("lockstep:handler/types@0.1.0", &[])], "no interface that a host calls"),
            (vec![export("acme:greeter/greetings@1.0.0", &["greet"])], "let the guest's world"),
        ] {
            let refusal = refusal(&exports);
            assert!(refusal.contains(mend), "{mend:?} is not said: {refusal}");
            assert!(refusal.contains("expected lockstep:handler/event-handler@0.1.0"), "{refusal}");
        }
    }

    #[test]
    fn an_interface_without_its_function_is_named_with_what_it_holds() {
        let name = "lockstep:handler/event-handler@0.1.0";
        let empty = refusal(&[export(name, &[])]);
        assert!(empty.contains("without its function handle: it holds nothing;"), "{empty}");
        let other = refusal(&[export(name, &["run", "stop"])]);
        assert!(other.contains("it holds run, stop; build it against"), "{other}");
    }

    #[test]
    fn another_version_is_told_older_from_newer() {
        let of = |version: &str| {
            refusal(&[export(&format!("lockstep:handler/event-handler{version}"), &["handle"])])
        };
        assert!(of("@0.2.0").contains("of a newer contract; this host speaks version 0.1.x"));
        assert!(of("@0.2.0").contains("use a newer host, or build the component against"));
        assert!(of("@0.0.3").contains("of an older contract"));
        assert!(of("@0.1.0-rc.1").contains("before a release"));
        assert!(of("").contains("without a version"));
    }

    #[test]
    fn a_long_list_of_exports_is_cut() {
        let many: Vec<_> = (0..20).map(|n| export(&format!("acme:e/e{n}@1.0.0"), &[])).collect();
        assert!(refusal(&many).contains("acme:e/e7@1.0.0 and 12 more;"), "{}", refusal(&many));
    }
}
