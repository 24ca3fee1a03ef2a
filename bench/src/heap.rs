//! Counting heap allocations.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, which counts while [`count`] runs; otherwise that costs one load a call.
#[derive(Debug)]
pub struct Counting;

#[allow(clippy::cast_possible_wrap, reason = "no heap has 2^63 bytes")]
impl Counting {
    /// `before` bytes became `bytes` others.
    fn note(before: usize, bytes: usize) {
        if COUNTING.load(Relaxed) {
            CALLS.fetch_add(1, Relaxed);
            BYTES.fetch_add(bytes as u64, Relaxed);
            LIVE.fetch_add(bytes as i64 - before as i64, Relaxed);
        }
    }

    fn note_freed(bytes: usize) {
        if COUNTING.load(Relaxed) {
            LIVE.fetch_sub(bytes as i64, Relaxed);
        }
    }
}

#[allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait, and nothing else can count allocations")]
// SAFETY: every call goes to `System` with the caller's own arguments, so `System` keeps the contract of the trait
// if the caller keeps its part; counting touches atomics only and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(0, layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(0, layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(layout.size(), size);
        // SAFETY: `place` came from `System` by one of these functions; the rest is the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::note_freed(layout.size());
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
    /// Bytes that are there after it and were not before.
    pub live: i64,
}

/// What `work` allocates. [`Counting`] has to be the global allocator, and nothing else may run.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Heap) {
    let before = (CALLS.load(Relaxed), BYTES.load(Relaxed), LIVE.load(Relaxed));
    COUNTING.store(true, Relaxed);
    let result = work();
    COUNTING.store(false, Relaxed);
    let heap = Heap {
        allocations: CALLS.load(Relaxed) - before.0,
        bytes: BYTES.load(Relaxed) - before.1,
        live: LIVE.load(Relaxed) - before.2,
    };
    (result, heap)
}
