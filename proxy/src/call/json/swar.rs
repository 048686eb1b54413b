//! Eight bytes of a string at a time.

/// How large a text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Text {
    pub ascii: u64,
    /// Characters outside ASCII.
    pub wide: u64,
    /// Those of them that are Chinese, Japanese or Korean.
    pub cjk: u64,
}

impl Text {
    /// The size of plain text, without JSON around it.
    pub fn of(text: &str) -> Text {
        let mut size = Text::default();
        let mut at = 0;
        while let Some(special) = special(text.as_bytes(), at, &mut size) {
            size.ascii += 1;
            at = special + 1;
        }
        size
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

const fn each(byte: u8) -> u64 {
    ONES * byte as u64
}

/// The first byte at or after `at` that cannot simply stand in a string: a quote, a backslash or a control character.
///
/// `None` when there is none. The bytes before it are added to `text`.
#[inline]
pub(super) fn special(bytes: &[u8], mut at: usize, text: &mut Text) -> Option<usize> {
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let stop = stops(word);
        if stop == 0 {
            if word & HIGHS == 0 {
                text.ascii += 8;
            } else {
                count(word, 8, text);
            }
            at += 8;
            continue;
        }
        // The lowest mark is exact; a borrow can only spoil those above it.
        let before = stop.trailing_zeros() / 8;
        count(word & !(u64::MAX << (before * 8)), u64::from(before), text);
        return Some(at + before as usize);
    }
    for (offset, &byte) in bytes[at..].iter().enumerate() {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            return Some(at + offset);
        }
        count(u64::from(byte), 1, text);
    }
    None
}

/// The high bit of each byte that is a quote, a backslash or a control character.
#[inline]
fn stops(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(each(0x20)) & !word;
    (control | zero(word ^ each(b'"')) | zero(word ^ each(b'\\'))) & HIGHS
}

/// Adds the `len` lowest bytes of `word`; the others are zero.
#[inline]
fn count(word: u64, len: u64, text: &mut Text) {
    let high = word & HIGHS;
    let continuation = high & !(word << 1);
    text.ascii += len - u64::from(high.count_ones());
    text.wide += u64::from((high & !continuation).count_ones());
    // Lead bytes E3 to ED cover kana, the common ideographs and Hangul. Seven bits a byte, so no sum carries over.
    let low = word & !HIGHS;
    let from_e3 = low + each(0x80 - 0x63);
    let from_ee = low + each(0x80 - 0x6e);
    text.cjk += u64::from((high & from_e3 & !from_ee & HIGHS).count_ones());
}
