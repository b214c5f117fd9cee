//! Compiled functions, kept in memory: an edit recompiles what it changed, and not the
//! interpreter that a handler in JavaScript or Python brings along.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use wasmtime::CacheStore;

/// What is kept at most. CPython's functions take about a tenth of it.
const MAX_BYTES: usize = 512 << 20;

/// What Cranelift asks before it compiles a function. When it is full, it begins anew: which
/// functions the next edit leaves alone is not known.
#[derive(Default)]
pub(super) struct FunctionCache {
    functions: Mutex<Functions>,
}

#[derive(Default)]
struct Functions {
    by_key: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl fmt::Debug for FunctionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCache").finish_non_exhaustive()
    }
}

impl CacheStore for FunctionCache {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.functions.lock().by_key.get(key).cloned().map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut functions = self.functions.lock();
        if functions.bytes + value.len() > MAX_BYTES {
            *functions = Functions::default();
        }
        functions.bytes += value.len();
        functions.by_key.insert(key.to_owned(), value);
        true
    }
}
