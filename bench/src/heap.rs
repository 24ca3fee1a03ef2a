//! Counting heap allocations.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts while [`count`] runs; otherwise that costs one load a call.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    fn note(bytes: usize) {
        if COUNTING.load(Relaxed) {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(bytes as u64, Relaxed);
        }
    }
}

#[allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait, and nothing else can count allocations")]
// SAFETY: every call goes to `System` with the caller's own arguments, so `System` keeps the contract of the trait
// if the caller keeps its part; counting touches atomics only and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size);
        // SAFETY: `place` came from `System` by one of these functions; the rest is the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from `System` by one of these functions, with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Allocations and allocated bytes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Calls of the allocator; a reallocation is one.
    pub allocations: u64,
    /// Bytes asked for in all.
    pub bytes: u64,
}

/// What `work` allocates. [`Counting`] has to be the global allocator, and nothing else may run.
pub fn count(work: impl FnOnce()) -> Heap {
    let before = (CALLS.load(Relaxed), BYTES.load(Relaxed));
    COUNTING.store(true, Relaxed);
    work();
    COUNTING.store(false, Relaxed);
    Heap { allocations: CALLS.load(Relaxed) - before.0, bytes: BYTES.load(Relaxed) - before.1 }
}
