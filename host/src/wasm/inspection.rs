//! What a component asks for and offers, read from its types, before anything of it runs.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::contract::{self, Export, World};
use super::imports;

/// What a component imports and exports. Names have the form `wasi:cli/environment@0.2.6`.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Everything it imports, sorted.
    pub imports: Vec<String>,
    /// The imports that this host does not provide, sorted. A component that has any cannot run.
    pub missing: Vec<String>,
    /// Everything it exports, sorted.
    pub exports: Vec<String>,
    /// The same, with what is in each.
    offers: Vec<Export>,
}

impl Inspection {
    /// Looks at a compiled component.
    pub(super) fn of(component: &Component) -> Self {
        let engine = component.engine();
        let ty = component.component_type();
        let mut names = Vec::new();
        let mut missing = Vec::new();
        for (name, import) in ty.imports(engine) {
            names.push(name.to_owned());
            if !imports::is_provided(name) && imports::needs_more_than_types(engine, &import.ty) {
                missing.push(name.to_owned());
            }
        }
        let mut offers: Vec<_> = ty
            .exports(engine)
            .map(|(name, export)| Export {
                name: name.to_owned(),
                items: items(engine, &export.ty),
            })
            .collect();
        names.sort_unstable();
        missing.sort_unstable();
        offers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let exports = offers.iter().map(|export| export.name.clone()).collect();
        Self { imports: names, missing, exports, offers }
    }

    /// The world that the component implements. The error says what it exports instead.
    pub fn world(&self) -> anyhow::Result<World> {
        contract::world(&self.offers)
    }

    /// Fails when there are imports that the host does not provide, and names them.
    pub fn check_imports(&self) -> anyhow::Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        anyhow::bail!(imports::refusal(&self.missing))
    }
}

/// The functions of an interface.
fn items(engine: &Engine, export: &ComponentItem) -> Option<Vec<String>> {
    let ComponentItem::ComponentInstance(instance) = export else { return None };
    let is_function = |item: &ComponentItem| matches!(item, ComponentItem::ComponentFunc(_));
    let functions = instance.exports(engine).filter(|(_, item)| is_function(&item.ty));
    Some(functions.map(|(name, _)| name.to_owned()).collect())
}
