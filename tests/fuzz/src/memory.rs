//! Counts the bytes that are allocated, so that no input makes the host take more than its size
//! explains.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What any input may take.
const BASE: usize = 4 << 20;
/// What each of its bytes may take beyond that.
const PER_BYTE: usize = 256;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// Runs what an input of this many bytes leads to, and checks how much memory it took at its worst
/// moment.
pub fn bounded<T>(input: usize, run: impl FnOnce() -> T) -> T {
    let before = IN_USE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = run();
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    let allowed = BASE + PER_BYTE * input;
    assert!(taken <= allowed, "{taken} bytes of memory for {input} bytes of input");
    result
}

fn add(bytes: usize) {
    PEAK.fetch_max(IN_USE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

fn remove(bytes: usize) {
    IN_USE.fetch_sub(bytes, Relaxed);
}

// SAFETY: all is left to the system's allocator; the counters beside it allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller vouches for the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller vouches for the layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        remove(layout.size());
        // SAFETY: the caller vouches for the block, its layout and the new size.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller vouches for the block and its layout.
        unsafe { System.dealloc(block, layout) }
    }
}
