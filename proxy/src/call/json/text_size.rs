//! How large a text is, in the units that estimates of its tokens are made of.

use super::quote::escape;

/// How large a text is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSize {
    pub ascii: u64,
    /// Characters outside ASCII.
    pub wide: u64,
    /// Those of them that are Chinese, Japanese or Korean.
    pub cjk: u64,
}

/// Bytes counted in registers of eight bits.
const COUNTED_BYTES: usize = 192;

impl TextSize {
    /// The size of plain text.
    pub fn of(text: &str) -> TextSize {
        if text.is_ascii() {
            return TextSize { ascii: text.len() as u64, wide: 0, cjk: 0 };
        }
        let mut size = TextSize::default();
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
    pub(super) fn of_escaped(raw: &str) -> TextSize {
        let mut size = TextSize::of(raw);
        let mut rest = raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (meant, len) = escape(&rest[at..]);
            let meant = TextSize::of(meant.encode_utf8(&mut [0; 4]));
            size.ascii = size.ascii + meant.ascii - len as u64;
            size.wide += meant.wide;
            size.cjk += meant.cjk;
            rest = &rest[at + len..];
        }
        size
    }
}
