//! Many bytes of a string at a time.

use super::quote;

/// How large a text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Text {
    pub ascii: u64,
    /// Characters outside ASCII.
    pub wide: u64,
    /// Those of them that are Chinese, Japanese or Korean.
    pub cjk: u64,
}

/// Bytes counted in registers of eight bits.
const COUNTED_BYTES: usize = 192;

impl Text {
    /// The size of plain text.
    pub fn of(text: &str) -> Text {
        if text.is_ascii() {
            return Text { ascii: text.len() as u64, wide: 0, cjk: 0 };
        }
        let mut size = Text::default();
        for bytes in text.as_bytes().chunks(COUNTED_BYTES) {
            let (mut ascii, mut leads, mut cjk) = (0u8, 0u8, 0u8);
            for &byte in bytes {
                ascii += u8::from(byte < 0x80);
                leads += u8::from(byte >= 0xc0);
                // These lead bytes cover kana, the common ideographs and Hangul.
                cjk += u8::from((0xe3..0xee).contains(&byte));
            }
            size.ascii += u64::from(ascii);
            size.wide += u64::from(leads);
            size.cjk += u64::from(cjk);
        }
        size
    }

    /// The size of the text meant by the inside of a JSON string.
    pub(super) fn of_escaped(raw: &str) -> Text {
        let mut size = Text::of(raw);
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (meant, len) = quote::escape(&rest[at..]);
            let meant = Text::of(meant.encode_utf8(&mut [0; 4]));
            size.ascii = size.ascii + meant.ascii - len as u64;
            size.wide += meant.wide;
            size.cjk += meant.cjk;
            rest = &rest[at + len..];
        }
        size
    }
}

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
