//! Keeps our key out of what a provider answers: one that echoes a request's headers would show it to plugin and
//! client.

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
        self.0.find(text).is_some()
    }
}

/// Blanks one key in the pieces of one answer, also where it lies across their borders.
#[derive(Default)]
pub(super) struct Scrubber {
    /// The end of the last piece, where a key may begin. Shorter than the key.
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

/// Where a key may begin that goes on in the next piece; the text's end if nowhere.
fn unfinished(needle: &Needle, text: &[u8]) -> usize {
    let key = needle.0.needle();
    let from = text.len().saturating_sub(key.len() - 1);
    let mut begins = memchr::memchr_iter(key[0], &text[from..]).map(|offset| from + offset);
    begins.find(|at| key.starts_with(&text[*at..])).unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
