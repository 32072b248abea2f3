//! The allocator of the program: mimalloc.
//!
//! A crate of its own, because each allocation of a request calls it: the crate of the program is compiled for a short build.

use std::alloc::{GlobalAlloc, Layout};

/// mimalloc by its shortest way: the crate `mimalloc` asks for an alignment each time, which costs more than the allocation.
struct Allocator;

/// The alignment that `mi_malloc` gives, for sizes that are no smaller.
const ALIGNED: usize = 16;

const fn is_aligned_anyway(layout: Layout) -> bool {
    layout.align() <= 8 || layout.align() <= ALIGNED && layout.size() >= ALIGNED
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: mimalloc is a complete allocator; each branch gives what the layout asks for. `mi_free` and `mi_realloc` take
// what any of its functions gave.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            if is_aligned_anyway(layout) {
                libmimalloc_sys::mi_malloc(layout.size()).cast()
            } else {
                libmimalloc_sys::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { libmimalloc_sys::mi_zalloc_aligned(layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, _layout: Layout) {
        unsafe { libmimalloc_sys::mi_free(pointer.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if layout.align() <= 8 && size >= 8 {
                libmimalloc_sys::mi_realloc(pointer.cast(), size).cast()
            } else {
                libmimalloc_sys::mi_realloc_aligned(pointer.cast(), size, layout.align()).cast()
            }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;
