//! Keeps our key out of what a provider answers: one that echoes a request's headers would show it to plugin and
//! client. JSON has many ways to write a key: `\/` for a slash, `\u003d` for any character, and all of it once more where
//! JSON stands in a string. A key is found in each of them.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Shorter keys are not searched for: they would take ordinary words with them.
const KEY_BYTES_MIN: usize = 8;

/// What stands in place of each byte of a key: the length stays, so that no framing breaks.
const BLANK: u8 = b'*';

/// A key, prepared to be searched for. Made once for each key.
pub(super) struct Needle(Finder<'static>);

impl Needle {
    /// None for a key too short to be told from ordinary text.
    pub(super) fn new(key: &str) -> Option<Needle> {
        (key.len() >= KEY_BYTES_MIN).then(|| Needle(Finder::new(key.as_bytes()).into_owned()))
    }

    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.0.find(text).is_some() || memchr::memchr(b'\\', text).is_some()
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
    if memchr::memchr(b'\\', &text).is_some() {
        return escapes_blanked(needle, text);
    }
    let Some(first) = needle.0.find(&text) else { return text };
    let length = needle.0.needle().len();
    let mut clean = BytesMut::from(text);
    let mut at = Some(first);
    while let Some(begin) = at {
        clean[begin..begin + length].fill(BLANK);
        let next = begin + length;
        at = needle.0.find(&clean[next..]).map(|offset| next + offset);
    }
    clean.freeze()
}

/// The same of a text with backslashes.
fn escapes_blanked(needle: &Needle, text: Bytes) -> Bytes {
    let key = needle.0.needle();
    let mut clean: Option<BytesMut> = None;
    let mut from = 0;
    while let Some(offset) = memchr::memchr2(key[0], b'\\', &text[from..]) {
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
    let key = needle.0.needle();
    let tail = |bytes: usize| text.len().saturating_sub(bytes - 1);
    let from = tail(key.len() * WRITTEN_BYTES_MAX);
    if memchr::memchr(b'\\', &text[from..]).is_none() {
        let from = tail(key.len());
        let mut begins = memchr::memchr_iter(key[0], &text[from..]).map(|offset| from + offset);
        return begins.find(|at| key.starts_with(&text[*at..])).unwrap_or(text.len());
    }
    let mut begins = memchr::memchr2_iter(key[0], b'\\', &text[from..]).map(|offset| from + offset);
    begins.find(|at| written_at(key, &text[*at..]) == Found::Begun).unwrap_or(text.len())
}

/// Whether a key stands at the beginning of a text, in one of the ways in which JSON may write it.
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
    if backslashes > 0 && first == b'u' {
        let digits = text[backslashes + 1..].iter().take(4);
        let written = [HEX[0], HEX[0], HEX[usize::from(wanted >> 4)], HEX[usize::from(wanted & 15)]];
        let count = digits.len();
        if digits.zip(written).all(|(digit, written)| digit.eq_ignore_ascii_case(&written)) {
            return if count == written.len() { Found::Whole(backslashes + 5) } else { Found::Begun };
        }
    }
    match () {
        () if first == wanted => Found::Whole(backslashes + 1),
        () if wanted == b'\\' && backslashes > 0 => Found::Whole(backslashes),
        () => Found::No,
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests;
