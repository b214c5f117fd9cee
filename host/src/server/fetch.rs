//! Reads several components from the log at once: a host that starts may have many to bring up,
//! and each takes a while to be found.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use tracing::debug;

use crate::deployment::registry::Registry;
use crate::deployment::store::Store;
use crate::digest::Digest;

/// Components that are read at the same time.
const AT_ONCE: usize = 6;
/// Bytes of components that are kept beforehand; those beyond are read when they are needed.
const MOST_BYTES: u64 = 64 << 20;

/// The registry, with some of its components at hand.
pub(super) struct AtHand<'a> {
    store: &'a Store,
    registry: &'a Registry,
    components: BTreeMap<Digest, Vec<u8>>,
}

impl<'a> AtHand<'a> {
    /// Reads these components, unless they are too few for it to be of use. What cannot be read is
    /// tried again, and told, by whoever needs it.
    pub(super) fn fetch(
        store: &'a Store,
        registry: &'a Registry,
        wanted: BTreeSet<Digest>,
    ) -> Self {
        let mut bytes = 0;
        let fits = |digest: &Digest| {
            bytes += registry.component(digest).map_or(0, |component| component.bytes);
            bytes <= MOST_BYTES
        };
        let wanted: Vec<_> = wanted.into_iter().filter(fits).collect();
        let components = match wanted.len() {
            0 | 1 => BTreeMap::new(),
            count => thread::scope(|scope| {
                let read = |part| scope.spawn(move || read_all(store, registry, part));
                let threads: Vec<_> = wanted.chunks(count.div_ceil(AT_ONCE)).map(read).collect();
                threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
            }),
        };
        Self { store, registry, components }
    }

    /// The bytes of a component.
    pub(super) fn component(&self, digest: &Digest) -> anyhow::Result<Cow<'_, [u8]>> {
        match self.components.get(digest) {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => self.store.component(digest, self.registry).map(Cow::Owned),
        }
    }
}

fn read_all(store: &Store, registry: &Registry, digests: &[Digest]) -> Vec<(Digest, Vec<u8>)> {
    let read = |digest: &Digest| match store.component(digest, registry) {
        Ok(bytes) => Some((*digest, bytes)),
        Err(error) => {
            debug!("{error:#}");
            None
        }
    };
    digests.iter().filter_map(read).collect()
}
