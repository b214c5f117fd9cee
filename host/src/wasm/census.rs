//! What a component comes to once it is instantiated, counted in its binary before anything of it
//! is compiled.
//!
//! A component holds components, and each of them may be instantiated a thousand times: a file of
//! a few KiB can unfold to billions of instances, which a compiler would write out one by one. And
//! each core instance takes memory of the host for its functions and globals, which no limit on
//! linear memories sees.

use std::ops::AddAssign;

use anyhow::bail;
use bytesize::ByteSize;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentInstanceSectionReader,
    ComponentOuterAliasKind, ComponentTypeRef, Encoding, Instance, InstanceSectionReader, Parser,
    Payload, SectionLimited,
};

/// What all components in a component may define together, each as often as it is instantiated.
/// CPython with its libraries has some thousands.
const MOST_DEFINITIONS: u64 = 250_000;
/// The most that the core instances of a component may take of the host, beside their memories
/// and tables. CPython needs about 2 MiB.
const MOST_BYTES: u64 = 32 << 20;
/// What the host keeps for one function, global, table, memory or import of an instance, at most.
const ITEM_BYTES: u64 = 64;
/// What one instantiation comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    /// Core instances.
    instances: u64,
    /// Everything that is defined on the way.
    definitions: u64,
    /// Memory of the host.
    bytes: u64,
}

/// Refuses a component that comes to more than a host may spend on it.
pub(super) fn check(component: &[u8], most_instances: usize) -> anyhow::Result<()> {
    let mut walk = Walk::through(component, Cost { instances: 1, definitions: 1, bytes: 0 })?;
    if walk.guessed {
        walk = Walk::through(component, walk.largest)?;
    }
    walk.total.check(most_instances)
}

impl Cost {
    fn check(self, most_instances: usize) -> anyhow::Result<()> {
        let Self { instances, definitions, bytes } = self;
        if instances > most_instances as u64 {
            bail!(
                "it consists of more core instances than limits.instances = {most_instances}; \
                 raise it in handler.toml"
            );
        }
        if definitions > MOST_DEFINITIONS {
            bail!(
                "it unfolds to {definitions} definitions, and a host takes {MOST_DEFINITIONS}: \
                 components in it are instantiated again and again; instantiate each once"
            );
        }
        if bytes > MOST_BYTES {
            bail!(
                "its functions and globals take up to {} of the host beside limits.memory, and a \
                 host gives {}; leave out what it does not need",
                ByteSize::b(bytes),
                ByteSize::b(MOST_BYTES)
            );
        }
        Ok(())
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.definitions = self.definitions.saturating_add(other.definitions);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// One way through the binary.
struct Walk {
    /// The modules and components that are open, the innermost last.
    scopes: Vec<Scope>,
    /// What stands for a module that a component is handed by another.
    handed: Cost,
    /// Whether such a one is instantiated.
    guessed: bool,
    /// The largest module.
    largest: Cost,
    /// What the whole comes to.
    total: Cost,
}

enum Scope {
    /// A core module, and what of it the host keeps for each instance.
    Module {
        items: u64,
    },
    Component(Component),
}

/// A component up to where the walk is. What others hand to it is `None`.
#[derive(Default)]
struct Component {
    modules: Vec<Option<Cost>>,
    components: Vec<Option<Cost>>,
    cost: Cost,
}

impl Walk {
    fn through(component: &[u8], handed: Cost) -> anyhow::Result<Self> {
        let (largest, total) = (Cost::default(), Cost::default());
        let mut walk = Self { scopes: Vec::new(), handed, guessed: false, largest, total };
        for payload in Parser::new(0).parse_all(component) {
            walk.take(payload?)?;
        }
        Ok(walk)
    }

    fn take(&mut self, payload: Payload<'_>) -> anyhow::Result<()> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                self.scopes.push(Scope::Module { items: 0 });
            }
            Payload::Version { encoding: Encoding::Component, .. } => {
                self.scopes.push(Scope::Component(Component::default()));
            }
            Payload::End(_) => self.close(),
            payload => {
                let Some(mut scope) = self.scopes.pop() else { return Ok(()) };
                match &mut scope {
                    Scope::Module { items } => *items += u64::from(kept(&payload)),
                    Scope::Component(component) => component.define(payload, self)?,
                }
                self.scopes.push(scope);
            }
        }
        Ok(())
    }

    /// A module or component is complete: the one around it has one more.
    fn close(&mut self) {
        match self.scopes.pop() {
            Some(Scope::Module { items }) => {
                let bytes = items.saturating_mul(ITEM_BYTES);
                let cost = Cost { instances: 1, definitions: 1, bytes };
                if bytes >= self.largest.bytes {
                    self.largest = cost;
                }
                if let Some(Scope::Component(outer)) = self.scopes.last_mut() {
                    outer.modules.push(Some(cost));
                }
            }
            Some(Scope::Component(Component { cost, .. })) => match self.scopes.last_mut() {
                Some(Scope::Component(outer)) => outer.components.push(Some(cost)),
                _ => self.total = cost,
            },
            None => {}
        }
    }
}

impl Component {
    /// What a section of this component, the innermost one of the walk, defines.
    fn define(&mut self, payload: Payload<'_>, walk: &mut Walk) -> anyhow::Result<()> {
        let defined = match payload {
            Payload::InstanceSection(section) => self.core_instances(section, walk)?,
            Payload::ComponentInstanceSection(section) => self.instances(section)?,
            Payload::ComponentAliasSection(section) => self.aliases(section, walk)?,
            Payload::ComponentImportSection(section) => {
                let count = section.count();
                for import in section {
                    self.import(&import?.ty);
                }
                count
            }
            Payload::ComponentExportSection(section) => {
                let count = section.count();
                for export in section {
                    let export = export?;
                    self.export(export.kind, export.index);
                }
                count
            }
            Payload::ComponentCanonicalSection(section) => section.count(),
            Payload::ComponentTypeSection(section) => section.count(),
            Payload::CoreTypeSection(section) => section.count(),
            Payload::CustomSection(_) => 0,
            _ => 1,
        };
        self.cost += Cost { definitions: u64::from(defined), ..Cost::default() };
        Ok(())
    }

    fn core_instances(
        &mut self,
        section: InstanceSectionReader<'_>,
        walk: &mut Walk,
    ) -> anyhow::Result<u32> {
        let count = section.count();
        for instance in section {
            if let Instance::Instantiate { module_index, .. } = instance? {
                let known = at(&self.modules, module_index);
                walk.guessed |= known.is_none();
                self.cost += known.unwrap_or(walk.handed);
            }
        }
        Ok(count)
    }

    fn instances(&mut self, section: ComponentInstanceSectionReader<'_>) -> anyhow::Result<u32> {
        let count = section.count();
        for instance in section {
            if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                let Some(cost) = at(&self.components, component_index) else {
                    bail!(
                        "it instantiates a component that another one hands to it, so that \
                         nobody can tell how much it comes to; let it define that one itself"
                    );
                };
                self.cost += cost;
            }
        }
        Ok(count)
    }

    fn aliases(
        &mut self,
        section: SectionLimited<'_, ComponentAlias<'_>>,
        walk: &Walk,
    ) -> anyhow::Result<u32> {
        use ComponentAlias::{InstanceExport, Outer};
        let count = section.count();
        for alias in section {
            match alias? {
                InstanceExport { kind: ComponentExternalKind::Module, .. } => {
                    self.modules.push(None);
                }
                InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                    self.components.push(None);
                }
                Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                    let known = self.or_around(walk, count).map(|outer| at(&outer.modules, index));
                    self.modules.push(known.flatten());
                }
                Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                    let outer = self.or_around(walk, count);
                    let known = outer.map(|outer| at(&outer.components, index));
                    self.components.push(known.flatten());
                }
                _ => {}
            }
        }
        Ok(count)
    }

    /// The component so many levels further out.
    fn or_around<'a>(&'a self, walk: &'a Walk, levels: u32) -> Option<&'a Self> {
        let Some(further) = levels.checked_sub(1) else { return Some(self) };
        match walk.scopes.iter().rev().nth(further as usize) {
            Some(Scope::Component(component)) => Some(component),
            _ => None,
        }
    }

    fn import(&mut self, import: &ComponentTypeRef) {
        match import {
            ComponentTypeRef::Module(_) => self.modules.push(None),
            ComponentTypeRef::Component(_) => self.components.push(None),
            _ => {}
        }
    }

    /// What is exported gets another number too.
    fn export(&mut self, kind: ComponentExternalKind, index: u32) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(at(&self.modules, index)),
            ComponentExternalKind::Component => self.components.push(at(&self.components, index)),
            _ => {}
        }
    }
}

/// What of a module's section the host keeps for each instance.
fn kept(payload: &Payload<'_>) -> u32 {
    match payload {
        Payload::ImportSection(section) => section.count(),
        Payload::FunctionSection(section) => section.count(),
        Payload::TableSection(section) => section.count(),
        Payload::MemorySection(section) => section.count(),
        Payload::TagSection(section) => section.count(),
        Payload::GlobalSection(section) => section.count(),
        _ => 0,
    }
}

fn at(known: &[Option<Cost>], index: u32) -> Option<Cost> {
    known.get(index as usize).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        wat::parse_str(text).expect("the text of a test component is valid")
    }

    fn refusal(component: &[u8]) -> String {
        check(component, 64).map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    /// A component in a component in a component, each instantiated so often.
    fn nested(module: &str, times: &[usize]) -> Vec<u8> {
        let mut text = format!("(core module $m {module})");
        text += &"(core instance (instantiate $m))".repeat(times[0]);
        for times in &times[1..] {
            let instances = "(instance (instantiate $c))".repeat(*times);
            text = format!("(component $c {text}) {instances}");
        }
        encoded(&format!("(component {text})"))
    }

    #[test]
    fn what_is_instantiated_again_and_again_is_counted_each_time() -> anyhow::Result<()> {
        let module = "(global i32 (i32.const 0)) (func) (memory 1)";
        let total = Walk::through(&nested(module, &[2, 3, 4]), Cost::default())?.total;
        // A module or component, its instances, and what these come to.
        let innermost = 1 + 2 + 2;
        let middle = 1 + 3 + 3 * innermost;
        let definitions = 1 + 4 + 4 * middle;
        assert_eq!(total, Cost { instances: 24, definitions, bytes: 24 * 3 * ITEM_BYTES });
        Ok(())
    }

    #[test]
    fn a_small_file_cannot_unfold_to_billions() {
        let bomb = nested("", &[900, 900, 900]);
        assert!(bomb.len() < 10_000, "{}", bomb.len());
        assert!(refusal(&bomb).contains("more core instances than limits.instances = 64"));
        let hollow = "(instance (instantiate $c))".repeat(900);
        let hollow = (0..3).fold("(component $c)".to_owned(), |inner, _| {
            format!("(component $c {inner} {hollow})")
        });
        let hollow = encoded(&format!("(component {hollow} (instance (instantiate $c)))"));
        assert!(refusal(&hollow).contains("definitions, and a host takes 250000"));
    }

    #[test]
    fn what_the_host_keeps_of_instances_is_bounded() {
        let globals = "(global (mut i64) (i64.const 1))".repeat(10_000);
        assert_eq!(refusal(&nested(&globals, &[50])), "none");
        let refused = refusal(&nested(&globals, &[60]));
        assert!(refused.contains("take up to 36.6 MiB of the host"), "{refused}");
    }

    #[test]
    fn modules_and_components_that_are_handed_on_count_where_they_are_used() {
        let handed = |times: usize| {
            let instances = "(core instance (instantiate $given))".repeat(times);
            encoded(&format!(
                "(component
                    (component $c (import \"m\" (core module $given)) {instances})
                    (core module $m)
                    (instance (instantiate $c (with \"m\" (core module $m)))))"
            ))
        };
        assert_eq!(refusal(&handed(64)), "none");
        assert!(refusal(&handed(65)).contains("more core instances"), "{}", refusal(&handed(65)));
        let outer = "(core instance (instantiate $m))".repeat(65);
        let outer = encoded(&format!(
            "(component (core module $m) (component $c {outer}) (instance (instantiate $c)))"
        ));
        assert!(refusal(&outer).contains("more core instances"), "{}", refusal(&outer));
        let component = encoded(
            "(component
                (component $c (import \"c\" (component $given)) (instance (instantiate $given)))
                (component $empty)
                (instance (instantiate $c (with \"c\" (component $empty)))))",
        );
        assert!(refusal(&component).contains("nobody can tell"), "{}", refusal(&component));
    }

    #[test]
    fn what_is_never_instantiated_costs_nothing() {
        let idle = "(core instance (instantiate $m))".repeat(900);
        let idle = format!("(component (component (core module $m) {idle}))");
        assert_eq!(refusal(&encoded(&idle)), "none");
    }
}
