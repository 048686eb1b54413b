use std::alloc::System;

use super::*;

type Small = Arena<256>;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn inside<const SIZE: usize>(arena: &Arena<SIZE>, block: *mut u8) -> bool {
    arena.offset(block).is_some()
}

#[test]
fn blocks_follow_each_other_aligned() {
    let arena = Small::new();
    // SAFETY: the layouts are not empty, and nothing is freed.
    let (a, b) = unsafe { (arena.alloc(layout(3, 1)), arena.alloc(layout(8, 8))) };
    assert!(inside(&arena, a) && inside(&arena, b));
    assert_eq!(b as usize % 8, 0);
    assert_eq!(arena.used_bytes(), 16);
}

#[test]
fn the_last_block_is_taken_back() {
    let arena = Small::new();
    // SAFETY: each block is freed once, with the layout it was allocated with.
    unsafe {
        let a = arena.alloc(layout(16, 1));
        let b = arena.alloc(layout(16, 1));
        arena.dealloc(b, layout(16, 1));
        assert_eq!(arena.used_bytes(), 16);
        arena.dealloc(a, layout(16, 1));
        assert_eq!(arena.used_bytes(), 0);
    }
}

#[test]
fn a_block_in_the_middle_is_not() {
    let arena = Small::new();
    // SAFETY: as above.
    unsafe {
        let a = arena.alloc(layout(16, 1));
        let b = arena.alloc(layout(16, 1));
        arena.dealloc(a, layout(16, 1));
        assert_eq!(arena.used_bytes(), 32);
        arena.dealloc(b, layout(16, 1));
        assert_eq!(arena.used_bytes(), 16);
    }
}

#[test]
fn the_last_block_grows_and_shrinks_in_place() {
    let arena = Small::new();
    // SAFETY: the block is always named with its present layout.
    unsafe {
        let a = arena.alloc(layout(16, 1));
        assert_eq!(arena.realloc(a, layout(16, 1), 100), a);
        assert_eq!(arena.used_bytes(), 100);
        assert_eq!(arena.realloc(a, layout(100, 1), 10), a);
        assert_eq!(arena.used_bytes(), 10);
    }
}

#[test]
fn a_block_in_the_middle_moves_with_its_bytes() {
    let arena = Small::new();
    // SAFETY: the writes stay within the blocks.
    unsafe {
        let a = arena.alloc(layout(4, 1));
        a.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
        arena.alloc(layout(4, 1));
        let moved = arena.realloc(a, layout(4, 1), 8);
        assert_ne!(moved, a);
        assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
        assert_eq!(arena.realloc(moved, layout(8, 1), 2), moved);
    }
}

#[test]
fn what_does_not_fit_comes_from_the_rest_and_returns_there() {
    let arena = Small::new();
    // SAFETY: each block is freed once, with its present layout, and written within its bounds.
    unsafe {
        let big = arena.alloc(layout(257, 1));
        assert!(!inside(&arena, big) && !big.is_null());
        assert_eq!(arena.used_bytes(), 0);
        let big = arena.realloc(big, layout(257, 1), 1000);
        arena.dealloc(big, layout(1000, 1));
        let last = arena.alloc(layout(200, 1));
        last.write_bytes(7, 200);
        let moved = arena.realloc(last, layout(200, 1), 300);
        assert!(!inside(&arena, moved));
        assert_eq!(std::slice::from_raw_parts(moved, 200), [7; 200]);
        arena.dealloc(moved, layout(300, 1));
    }
}

#[test]
fn it_is_used_to_its_last_byte_and_no_further() {
    let arena = Small::new();
    // SAFETY: the layouts are not empty, and only the last block is freed.
    unsafe {
        assert!(inside(&arena, arena.alloc(layout(256, 1))));
        let outside = arena.alloc(layout(1, 1));
        assert!(!inside(&arena, outside));
        arena.dealloc(outside, layout(1, 1));
    }
    assert_eq!(arena.used_bytes(), 256);
}

/// A thousand random allocations, resizes and frees: every live block keeps its bytes and its alignment.
#[test]
fn live_blocks_never_overlap() {
    let arena: Arena<4096, System> = Arena::with_rest(System);
    let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
    let mut state = 42_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for step in 0..1000_usize {
        let mark = step as u8;
        // SAFETY: `live` holds each block once with its present layout, and no block is touched after it is freed.
        unsafe {
            match (next(3), live.len()) {
                (0, 1..) => {
                    let (block, layout, _) = live.swap_remove(next(live.len()));
                    arena.dealloc(block, layout);
                }
                (1, 1..) => {
                    let at = next(live.len());
                    let (block, before, byte) = live[at];
                    let size = 1 + next(200);
                    let block = arena.realloc(block, before, size);
                    let kept = std::slice::from_raw_parts(block, size.min(before.size()));
                    assert!(kept.iter().all(|kept| *kept == byte));
                    block.write_bytes(byte, size);
                    live[at] = (block, layout(size, before.align()), byte);
                }
                _ => {
                    let layout = layout(1 + next(100), 1 << next(5));
                    let block = arena.alloc(layout);
                    block.write_bytes(mark, layout.size());
                    live.push((block, layout, mark));
                }
            }
            for (block, layout, byte) in &live {
                assert_eq!(*block as usize % layout.align(), 0);
                let bytes = std::slice::from_raw_parts(*block, layout.size());
                assert!(bytes.iter().all(|kept| kept == byte), "step {step}");
            }
        }
    }
    for (block, layout, _) in live {
        // SAFETY: as above.
        unsafe { arena.dealloc(block, layout) };
    }
}
