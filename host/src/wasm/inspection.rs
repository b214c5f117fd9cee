//! What a component asks for and offers, held against the contract: which of the two worlds it
//! implements, and which of its imports the host does not have.

use std::fmt;

use anyhow::{anyhow, bail};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::host::PROVIDED;

/// The package of the contract.
const PACKAGE: &str = "lockstep:handler/";
/// The version of the contract, as far as it matters for compatibility.
const COMPATIBLE: &str = "0.1";
/// The version that this host was built against.
const VERSION: &str = "0.1.0";

/// The world that a component implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `handler`: handling that cannot fail, except by a trap.
    Handler,
    /// `fallible-handler`: handling that says whether a failure is worth another attempt.
    FallibleHandler,
}

impl World {
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
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a component imports and exports. Names have the form `wasi:cli/environment@0.2.6`.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Everything it imports, sorted.
    pub imports: Vec<String>,
    /// The imports that this host does not provide, sorted. A component that has any cannot run.
    pub missing: Vec<String>,
    /// Everything it exports, sorted.
    pub exports: Vec<String>,
}

impl Inspection {
    /// Looks at a compiled component.
    pub(super) fn of(component: &Component) -> Self {
        let engine = component.engine();
        let ty = component.component_type();
        let mut imports = Vec::new();
        let mut missing = Vec::new();
        for (name, import) in ty.imports(engine) {
            imports.push(name.to_owned());
            if !is_provided(name) && needs_more_than_types(engine, &import.ty) {
                missing.push(name.to_owned());
            }
        }
        let mut exports: Vec<String> =
            ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        imports.sort_unstable();
        missing.sort_unstable();
        exports.sort_unstable();
        Self { imports, missing, exports }
    }

    /// The world that the component implements. The error says what it exports instead.
    pub fn world(&self) -> anyhow::Result<World> {
        match (self.implements(World::Handler), self.implements(World::FallibleHandler)) {
            (true, false) => Ok(World::Handler),
            (false, true) => Ok(World::FallibleHandler),
            (true, true) => bail!(
                "the component exports both event-handler and fallible-event-handler of \
                 lockstep:handler; export one of them"
            ),
            (false, false) => Err(self.no_world()),
        }
    }

    /// Fails when there are imports that the host does not provide, and names all of them.
    pub fn check_imports(&self) -> anyhow::Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        bail!(
            "the component imports what this host does not provide: {}; provided are {}",
            self.missing.join(", "),
            PROVIDED.join(", ")
        )
    }

    fn implements(&self, world: World) -> bool {
        self.exports.iter().any(|name| {
            contract_export(name).is_some_and(|(interface, version)| {
                interface == world.interface() && is_compatible(version)
            })
        })
    }

    fn no_world(&self) -> anyhow::Error {
        let other_version = self.exports.iter().find(|name| {
            contract_export(name).is_some_and(|(interface, _)| {
                [World::Handler, World::FallibleHandler].iter().any(|w| w.interface() == interface)
            })
        });
        if let Some(name) = other_version {
            return anyhow!(
                "the component exports {name}, but this host runs version {COMPATIBLE}.x of the \
                 contract (built against {VERSION}); build the component against \
                 lockstep:handler@{VERSION}"
            );
        }
        let exports =
            if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
        anyhow!(
            "the component exports {exports}; expected {PACKAGE}event-handler@{VERSION} or \
             {PACKAGE}fallible-event-handler@{VERSION}"
        )
    }
}

/// The interface and version of an export of the contract; the version may be missing.
fn contract_export(name: &str) -> Option<(&str, Option<&str>)> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(match name.split_once('@') {
        Some((interface, version)) => (interface, Some(version)),
        None => (name, None),
    })
}

fn is_compatible(version: Option<&str>) -> bool {
    version.is_some_and(|version| track(version) == COMPATIBLE)
}

/// The part of a semantic version that compatible versions share: `0.2.6` → `0.2`, `1.4.0` → `1`.
/// Versions before a release are compatible with nothing but themselves.
fn track(version: &str) -> &str {
    let release = version.split_once('+').map_or(version, |(release, _build)| release);
    let mut parts = release.splitn(3, '.');
    let (Some(major), Some(minor), Some(patch)) = (parts.next(), parts.next(), parts.next()) else {
        return version;
    };
    if patch.is_empty() || !patch.bytes().all(|b| b.is_ascii_digit()) {
        return version;
    }
    match (major, minor) {
        ("0", "0") => version,
        ("0", _) => &version[..major.len() + 1 + minor.len()],
        _ => major,
    }
}

fn is_provided(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    PROVIDED.iter().any(|provided| {
        provided.split_once('@').is_some_and(|(i, v)| i == interface && v == track(version))
    })
}

/// Whether an import needs something to be there. An interface of nothing but types, like the
/// contract's own, does not.
fn needs_more_than_types(engine: &Engine, import: &ComponentItem) -> bool {
    match import {
        ComponentItem::Type(_) => false,
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(engine).any(|(_, export)| needs_more_than_types(engine, &export.ty))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatible_versions_share_a_track_and_others_do_not() {
        assert_eq!(track("0.2.6"), "0.2");
        assert_eq!(track("0.1.0+build.5"), "0.1");
        assert_eq!(track("1.4.0"), "1");
        for alone in ["0.2.0-rc.1", "0.0.3", "0.2", "latest", ""] {
            assert_eq!(track(alone), alone);
        }
    }
}
