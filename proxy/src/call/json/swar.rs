//! Where a string needs a second look, many bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

const fn each(byte: u8) -> u64 {
    ONES * byte as u64
}

/// Where the first byte at or after `at` stands that cannot simply stand in a string: a quote, a backslash or a control
/// character. The end of `bytes` when there is none.
#[inline]
pub(super) fn special(bytes: &[u8], at: usize) -> usize {
    // Most names end within a word.
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|word| stops(u64::from_le_bytes(*word))) {
        None | Some(0) => special_further(bytes, at),
        // The lowest mark is exact; a borrow can only spoil those above it.
        Some(stop) => at + stop.trailing_zeros() as usize / 8,
    }
}

#[inline(never)]
fn special_further(bytes: &[u8], mut at: usize) -> usize {
    // Most strings end within a few words; those that do not are worth blocks.
    let mut words = 3;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let stop = stops(u64::from_le_bytes(*word));
        if stop != 0 {
            return at + stop.trailing_zeros() as usize / 8;
        }
        at += 8;
        words -= 1;
        if words == 0 {
            at = plain_blocks(bytes, at);
            words = usize::MAX;
        }
    }
    let rest = bytes[at..].iter().position(|&byte| is_special(byte));
    rest.map_or(bytes.len(), |offset| at + offset)
}

/// Skips blocks without a special byte.
fn plain_blocks(bytes: &[u8], at: usize) -> usize {
    let (blocks, _) = bytes[at..].as_chunks::<64>();
    // Without a branch for each byte the compiler makes this a handful of vector instructions.
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |any, &byte| any | is_special(byte)));
    at + plain.count() * 64
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// The high bit of each byte that is special.
#[inline]
fn stops(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(each(0x20)) & !word;
    (control | zero(word ^ each(b'"')) | zero(word ^ each(b'\\'))) & HIGHS
}
