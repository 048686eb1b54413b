//! Counting the tokens of a text.

use std::sync::Arc;

use parking_lot::Mutex;
use tiktoken_rs::CoreBPE;

use super::family::{BaseTokenizer, Family};
use crate::call::json::TextSize;

/// Longest text that a tokenizer sees at once, in bytes: on hostile text its work grows faster than the text.
pub(super) const PIECE_BYTES_MAX: usize = 2048;

/// What was counted of a text so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    base_tokens: u64,
    cjk_chars: u64,
    chars: u64,
    bytes: u64,
}

impl Tally {
    /// The model's tokens for what was counted: never more than one a byte.
    pub(super) fn tokens(&self, model: &str) -> u64 {
        Family::of(model).corrected(self.base_tokens, self.cjk_chars, self.chars).min(self.bytes)
    }
}

/// Counts tokens. A table is loaded when it is first needed: tens of MB and up to a tenth of a second each.
#[derive(Default)]
pub struct Counter {
    o200k: Mutex<Option<Arc<CoreBPE>>>,
    cl100k: Mutex<Option<Arc<CoreBPE>>>,
}

impl Counter {
    pub fn new() -> Counter {
        Counter::default()
    }

    /// Tokens of `text` for a model of this name. For models of other tokenizers this is a corrected count.
    ///
    /// Takes up to a tenth of a second for each MB: it belongs on a thread where nobody waits.
    pub fn count(&self, model: &str, text: &str) -> u64 {
        let mut tally = Tally::default();
        self.add(model, text, &mut tally);
        tally.tokens(model)
    }

    /// Counts one part of a text, which ends where a piece does.
    pub(super) fn add(&self, model: &str, text: &str, tally: &mut Tally) {
        if text.is_empty() {
            return;
        }
        tally.base_tokens += self.base_tokens(Family::of(model).base, text);
        let size = TextSize::of(text);
        tally.cjk_chars += size.cjk;
        tally.chars += size.ascii + size.wide;
        tally.bytes += text.len() as u64;
    }

    /// Tokens of `text` by one of our own tokenizers.
    pub(super) fn base_tokens(&self, base: BaseTokenizer, text: &str) -> u64 {
        let table = self.table(base);
        pieces(text).map(|piece| table.count_ordinary(piece) as u64).sum()
    }

    /// Gives the memory of the tables back; the next count loads its table again.
    pub fn forget(&self) {
        self.o200k.lock().take();
        self.cl100k.lock().take();
    }

    /// The tables that are loaded.
    #[cfg(test)]
    pub(super) fn loaded(&self) -> Vec<BaseTokenizer> {
        let tables = [(BaseTokenizer::O200k, &self.o200k), (BaseTokenizer::Cl100k, &self.cl100k)];
        tables.into_iter().filter(|(_, table)| table.lock().is_some()).map(|(base, _)| base).collect()
    }

    /// Loads a table once, also when several threads ask at the same time.
    fn table(&self, base: BaseTokenizer) -> Arc<CoreBPE> {
        let (place, load): (_, fn() -> _) = match base {
            BaseTokenizer::O200k => (&self.o200k, || tiktoken_rs::o200k_base()),
            BaseTokenizer::Cl100k => (&self.cl100k, || tiktoken_rs::cl100k_base()),
        };
        let load = || Arc::new(load().expect("the tables are compiled in, and every test of counting reads them"));
        place.lock().get_or_insert_with(load).clone()
    }
}

/// `text` cut into pieces of at most `PIECE_BYTES_MAX`, before whitespace where there is some.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (piece, rest) = text.split_at(cut(text));
        text = rest;
        Some(piece)
    })
}

/// Where the first piece of `text` ends; depends on no more than the first `PIECE_BYTES_MAX` bytes of a longer text.
pub(super) fn cut(text: &str) -> usize {
    if text.len() <= PIECE_BYTES_MAX {
        return text.len();
    }
    let window = &text[..text.floor_char_boundary(PIECE_BYTES_MAX)];
    // A token takes the space before its word along, so the space opens the next piece.
    match window.rfind(char::is_whitespace) {
        Some(at) if at > 0 => at,
        _ => window.len(),
    }
}
