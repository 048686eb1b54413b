//! The memory of a component that lives for one call.
//!
//! A fresh component costs least when it never grows its memory: growing and shrinking it again are system calls that
//! stall every other thread of the gateway. So an allocation is first served from a static arena by moving a mark, and
//! only when that is full from the ordinary allocator.
//! Invariant: a block lies wholly in the arena or wholly outside it, and stays where it was allocated unless moved by
//! `realloc`.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait; each block below says why it holds")]

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::{Cell, UnsafeCell},
    ptr,
};

#[cfg(test)]
mod tests;

/// What serves when the arena is full.
#[cfg(target_family = "wasm")]
pub type Fallback = dlmalloc::GlobalDlmalloc;
#[cfg(not(target_family = "wasm"))]
pub type Fallback = std::alloc::System;

#[cfg(target_family = "wasm")]
const FALLBACK: Fallback = dlmalloc::GlobalDlmalloc;
#[cfg(not(target_family = "wasm"))]
const FALLBACK: Fallback = std::alloc::System;

/// An allocator that serves from `SIZE` bytes of its own while they last, then from `Rest`.
///
/// A freed block returns to the arena only if it was the last one handed out; a block that grows in place must be the
/// last one too. That fits calls which build one answer and end.
pub struct Arena<const SIZE: usize, Rest = Fallback> {
    // Zeroes, not uninitialised bytes, so that it is placed in `.bss` and costs the component nothing.
    bytes: UnsafeCell<Aligned<SIZE>>,
    /// Offset of the first byte not handed out. Invariant: at most `SIZE`.
    mark: Cell<usize>,
    rest: Rest,
}

/// Aligned so that small layouts need no padding at the start.
#[repr(C, align(16))]
struct Aligned<const SIZE: usize>([u8; SIZE]);

// SAFETY: without the `atomics` feature wasm has one thread, so nothing is ever shared between two.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl<const SIZE: usize, Rest: Sync> Sync for Arena<SIZE, Rest> {}

impl<const SIZE: usize> Arena<SIZE> {
    /// An arena that falls back to the target's ordinary allocator.
    pub const fn new() -> Self {
        Self::with_rest(FALLBACK)
    }
}

impl<const SIZE: usize> Default for Arena<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize, Rest> Arena<SIZE, Rest> {
    pub const fn with_rest(rest: Rest) -> Self {
        Self { bytes: UnsafeCell::new(Aligned([0; SIZE])), mark: Cell::new(0), rest }
    }

    /// Bytes of the arena that are handed out, padding included.
    pub fn used_bytes(&self) -> usize {
        self.mark.get()
    }

    fn base(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// The offset of `block` within the arena, if it lies there.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = (block as usize).wrapping_sub(self.base() as usize);
        (offset < SIZE).then_some(offset)
    }

    /// Moves the mark past a block of `layout` and returns its offset, if the arena has room for it.
    fn reserve(&self, layout: Layout) -> Option<usize> {
        let address = self.base() as usize + self.mark.get();
        let start = self.mark.get() + (address.next_multiple_of(layout.align()) - address);
        let end = start.checked_add(layout.size())?;
        if end > SIZE {
            return None;
        }
        self.mark.set(end);
        Some(start)
    }
}

// SAFETY: `alloc` returns either a block of `Rest`, or one between the old and the new mark: within `bytes`, aligned by
// `reserve`, and disjoint from every live block, for those end at or before the old mark. The mark goes back only over
// a block that is being freed or resized and that ends at the mark. No method unwinds.
unsafe impl<const SIZE: usize, Rest: GlobalAlloc> GlobalAlloc for Arena<SIZE, Rest> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.reserve(layout) {
            // SAFETY: `start` is at most `SIZE`, so the pointer stays within `bytes` or one past its end.
            Some(start) => unsafe { self.base().add(start) },
            // SAFETY: the caller's promise about `layout`, passed on.
            None => unsafe { self.rest.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            Some(start) if start + layout.size() == self.mark.get() => self.mark.set(start),
            Some(_) => {}
            // SAFETY: not a block of the arena, so `Rest` gave it out with this layout.
            None => unsafe { self.rest.dealloc(block, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(block) else {
            // SAFETY: not a block of the arena, so `Rest` gave it out; the caller's promises are passed on.
            return unsafe { self.rest.realloc(block, layout, size) };
        };
        if start + layout.size() == self.mark.get() && size <= SIZE - start {
            self.mark.set(start + size);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow.
        let grown = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `grown` has a size above `layout.size()`, so it is not zero.
        let moved = unsafe { self.alloc(grown) };
        if !moved.is_null() {
            // SAFETY: both blocks hold at least `layout.size()` bytes, and a live block and a new one are disjoint.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size()) };
        }
        moved
    }
}
