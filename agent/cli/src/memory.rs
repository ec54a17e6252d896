//! The system's allocator. Pieces of slabs, in which flows are looked up all over the place, get huge pages: the
//! processor then finds nearly each of them without a walk through the page tables.

use std::alloc::{GlobalAlloc, Layout, System};

use tracenet_core::slab::PIECE;

/// Sizes that are taken for those of pieces.
const PIECES: std::ops::RangeInclusive<usize> = PIECE - PIECE / 16..=PIECE;

pub struct Memory;

// SAFETY: every call goes to the system's allocator. A piece is asked for with a larger size and alignment than the caller
// wants, which the system's allocator need not be told when it is given back: it is that of the C library, free(3).
unsafe impl GlobalAlloc for Memory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if PIECES.contains(&layout.size()) && layout.align() <= PIECE {
            return piece();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

/// Gives free memory back to the system: without it the library keeps what lies between pieces in use.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cold]
fn piece() -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(PIECE, PIECE) else { return std::ptr::null_mut() };
    // SAFETY: the layout is not empty.
    let at = unsafe { System.alloc(layout) };
    if !at.is_null() {
        // SAFETY: the range was just given to us, whole pages of it. Where there are no huge pages nothing happens.
        unsafe { libc::madvise(at.cast(), PIECE, libc::MADV_HUGEPAGE) };
    }
    at
}
