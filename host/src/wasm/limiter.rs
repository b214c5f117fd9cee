//! What an instance may allocate: memories and tables, summed over the whole component.
//!
//! A request beyond a limit is a trap, not a failed `memory.grow`: the guest cannot turn it into
//! something else, and the failure says what was asked for.

use bytesize::ByteSize;
use wasmtime::ResourceLimiter;

use crate::handler::Limits;

/// A limit that a guest ran into, found in the error of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LimitExceeded {
    /// More linear memory than `limits.memory`.
    #[error(
        "asked for {} of memory on top of {}; limits.memory = {}",
        ByteSize::b(.0.asked as u64),
        ByteSize::b(.0.held as u64),
        ByteSize::b(.0.limit as u64)
    )]
    Memory(Excess),
    /// More table elements than `limits.table_elements`.
    #[error(
        "asked for {} table elements on top of {}; limits.table_elements = {}",
        .0.asked, .0.held, .0.limit
    )]
    Tables(Excess),
    /// More than a stream takes in one call.
    #[error("wrote {} in one call of the host; a stream takes {}", ByteSize::b(*.asked as u64), ByteSize::b(*.limit as u64))]
    Write {
        /// The bytes that were written.
        asked: usize,
        /// The bytes that `check-write` permits.
        limit: usize,
    },
    /// A host function that waits ran out of time.
    #[error("waited beyond the deadline")]
    Deadline,
}

/// A request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Excess {
    /// What all memories, or tables, of the component held together.
    held: usize,
    /// How much more was asked for.
    asked: usize,
    /// What they may hold.
    limit: usize,
}

/// Counts what one store holds.
pub(super) struct Limiter {
    memory: Tally,
    tables: Tally,
    instances: usize,
}

/// A sum with a limit.
struct Tally {
    sum: usize,
    limit: usize,
    /// What the last request added: taken back when it fails after all.
    last: usize,
}

impl Limiter {
    /// Nothing allocated yet.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory: Tally { sum: 0, limit: limits.memory, last: 0 },
            tables: Tally { sum: 0, limit: limits.table_elements, last: 0 },
            instances: limits.instances,
        }
    }

    /// The bytes of all memories.
    pub(super) fn memory(&self) -> usize {
        self.memory.sum
    }
}

impl Tally {
    /// Adds a growth, or says why it cannot. `Ok(false)`: beyond the maximum that
    /// the module itself declares, which by WebAssembly's rules just fails.
    fn grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Excess> {
        self.last = 0;
        let growth = desired.saturating_sub(current);
        let sum = self.sum.saturating_add(growth);
        if sum > self.limit {
            return Err(Excess { held: self.sum, asked: growth, limit: self.limit });
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.sum = sum;
        self.last = growth;
        Ok(true)
    }

    fn take_back(&mut self) {
        self.sum -= std::mem::take(&mut self.last);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired, maximum).map_err(LimitExceeded::Memory)?)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.tables.grow(current, desired, maximum).map_err(LimitExceeded::Tables)?)
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.tables.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }

    /// Each memory reserves 4 GiB of addresses, so their number is bounded as well.
    fn memories(&self) -> usize {
        self.instances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memories_of_an_instance_share_one_limit() {
        let mut tally = Tally { sum: 0, limit: 100, last: 0 };
        assert_eq!(tally.grow(0, 60, None), Ok(true));
        assert_eq!(tally.grow(0, 40, None), Ok(true));
        let excess = Excess { held: 100, asked: 1, limit: 100 };
        assert_eq!(tally.grow(40, 41, None), Err(excess));
    }

    #[test]
    fn growth_that_fails_after_all_is_not_counted() {
        let mut tally = Tally { sum: 0, limit: 100, last: 0 };
        assert_eq!(tally.grow(0, 60, None), Ok(true));
        tally.take_back();
        tally.take_back();
        assert_eq!(tally.grow(0, 100, None), Ok(true));
    }

    #[test]
    fn growth_beyond_the_modules_own_maximum_fails_without_a_fault() {
        let mut tally = Tally { sum: 0, limit: 100, last: 0 };
        assert_eq!(tally.grow(0, 60, Some(50)), Ok(false));
        assert_eq!(tally.grow(0, 100, None), Ok(true));
    }
}
