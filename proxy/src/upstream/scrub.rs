//! Keeps our key out of what a provider answers: one that echoes a request's headers would show it to plugin and
//! client. JSON has many ways to write a key: `\/` for a slash, `\u003d` for any character, and all of it once more where
//! JSON stands in a string. A URL escapes what is not unreserved in it: `%2F`. A key is found in each of them.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Shorter keys are not searched for: they would take ordinary words with them.
const KEY_BYTES_MIN: usize = 8;

/// What stands in place of each byte of a key: the length stays, so that no framing breaks.
const BLANK: u8 = b'*';

/// A key, prepared to be searched for. Made once for each key.
pub(super) struct Needle {
    finder: Finder<'static>,
    /// The key has characters that a URL escapes.
    in_urls: bool,
}

impl Needle {
    /// None for a key too short to be told from ordinary text.
    pub(super) fn new(key: &str) -> Option<Needle> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let in_urls = !key.bytes().all(is_unreserved);
        (key.len() >= KEY_BYTES_MIN).then(|| Needle { finder: Finder::new(key.as_bytes()).into_owned(), in_urls })
    }

    fn key(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Whether the key may stand escaped in `text`.
    fn may_be_escaped_in(&self, text: &[u8]) -> bool {
        if self.in_urls { memchr::memchr2(b'\\', b'%', text).is_some() } else { memchr::memchr(b'\\', text).is_some() }
    }

    /// Where in `text` the key may begin, in one of its ways.
    fn beginning(&self, text: &[u8]) -> Option<usize> {
        let first = self.key()[0];
        if self.in_urls { memchr::memchr3(first, b'\\', b'%', text) } else { memchr::memchr2(first, b'\\', text) }
    }

    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.finder.find(text).is_some() || self.may_be_escaped_in(text)
    }
}

/// Blanks one key in the pieces of one answer, also where it lies across their borders.
#[derive(Default)]
pub(super) struct Scrubber {
    /// The end of the last piece, where a key may begin. Shorter than the longest way to write it.
    held: BytesMut,
}

impl Scrubber {
    /// What may be shown of the answer so far and `piece`. Nothing is copied unless a key, or its beginning, is there.
    pub(super) fn push(&mut self, needle: &Needle, piece: Bytes) -> Bytes {
        let piece = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            std::mem::take(&mut self.held).freeze()
        };
        let mut piece = blanked(needle, piece);
        let begins_at = unfinished(needle, &piece);
        self.held.extend_from_slice(&piece.split_off(begins_at));
        piece
    }

    /// What was held back, at the end of the answer.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

/// `text` with every occurrence of the key blanked.
pub(super) fn blanked(needle: &Needle, text: Bytes) -> Bytes {
    if needle.may_be_escaped_in(&text) {
        return escapes_blanked(needle, text);
    }
    let Some(first) = needle.finder.find(&text) else { return text };
    let length = needle.key().len();
    let mut clean = BytesMut::from(text);
    let mut at = Some(first);
    while let Some(begin) = at {
        clean[begin..begin + length].fill(BLANK);
        let next = begin + length;
        at = needle.finder.find(&clean[next..]).map(|offset| next + offset);
    }
    clean.freeze()
}

/// The same of a text with escapes.
fn escapes_blanked(needle: &Needle, text: Bytes) -> Bytes {
    let key = needle.key();
    let mut clean: Option<BytesMut> = None;
    let mut from = 0;
    while let Some(offset) = needle.beginning(&text[from..]) {
        let begin = from + offset;
        from = begin + 1;
        if let Found::Whole(length) = written_at(key, &text[begin..]) {
            clean.get_or_insert_with(|| BytesMut::from(&*text))[begin..begin + length].fill(BLANK);
            from = begin + length;
        }
    }
    clean.map_or(text, BytesMut::freeze)
}

/// Where a key may begin that goes on in the next piece; the text's end if nowhere.
fn unfinished(needle: &Needle, text: &[u8]) -> usize {
    let key = needle.key();
    let tail = |bytes: usize| text.len().saturating_sub(bytes - 1);
    let mut from = tail(key.len() * WRITTEN_BYTES_MAX);
    if !needle.may_be_escaped_in(&text[from..]) {
        let from = tail(key.len());
        let mut begins = memchr::memchr_iter(key[0], &text[from..]).map(|offset| from + offset);
        return begins.find(|at| key.starts_with(&text[*at..])).unwrap_or(text.len());
    }
    while let Some(offset) = needle.beginning(&text[from..]) {
        if written_at(key, &text[from + offset..]) == Found::Begun {
            return from + offset;
        }
        from += offset + 1;
    }
    text.len()
}

/// Whether a key stands at the beginning of a text, in one of the ways in which JSON or a URL may write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    No,
    /// The text ends before the key does.
    Begun,
    /// In so many bytes.
    Whole(usize),
}

/// Backslashes before one character: one in JSON, three where JSON stands in a string of JSON, and so on.
const BACKSLASHES_MAX: usize = 7;
/// The longest way to write one character: backslashes, `u` and four digits.
const WRITTEN_BYTES_MAX: usize = BACKSLASHES_MAX + 5;

fn written_at(key: &[u8], text: &[u8]) -> Found {
    // A key that itself looks escaped.
    if text.starts_with(key) {
        return Found::Whole(key.len());
    }
    if key.starts_with(text) {
        return Found::Begun;
    }
    let mut at = 0;
    for &byte in key {
        match char_at(byte, &text[at..]) {
            Found::Whole(length) => at += length,
            other => return other,
        }
    }
    Found::Whole(at)
}

/// The same of one character of the key.
fn char_at(wanted: u8, text: &[u8]) -> Found {
    let backslashes = text.iter().take(BACKSLASHES_MAX).take_while(|byte| **byte == b'\\').count();
    let Some(&first) = text.get(backslashes) else {
        let is_whole = wanted == b'\\' && backslashes > 0;
        return if is_whole { Found::Whole(backslashes) } else { Found::Begun };
    };
    let (escape_bytes, written) = match first {
        b'u' if backslashes > 0 => {
            (backslashes + 1, hex_at(&[0, 0, wanted >> 4, wanted & 15], &text[backslashes + 1..]))
        }
        b'%' if backslashes == 0 => (1, hex_at(&[wanted >> 4, wanted & 15], &text[1..])),
        _ => (0, Found::No),
    };
    match written {
        Found::Whole(digits) => return Found::Whole(escape_bytes + digits),
        Found::Begun => return Found::Begun,
        Found::No => {}
    }
    match () {
        () if first == wanted => Found::Whole(backslashes + 1),
        () if wanted == b'\\' && backslashes > 0 => Found::Whole(backslashes),
        () => Found::No,
    }
}

/// Whether a text begins with these digits, of base 16 and either case.
fn hex_at(wanted: &[u8], text: &[u8]) -> Found {
    let digits = text.iter().take(wanted.len());
    let count = digits.len();
    match digits.zip(wanted).all(|(digit, wanted)| char::from(*digit).to_digit(16) == Some(u32::from(*wanted))) {
        false => Found::No,
        true if count < wanted.len() => Found::Begun,
        true => Found::Whole(count),
    }
}

#[cfg(test)]
mod tests;
