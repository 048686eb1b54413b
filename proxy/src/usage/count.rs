//! Counting the tokens of a text.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

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
    /// Something was counted since [`Counter::rest`] was last told the time.
    used: AtomicBool,
    /// When that last found so; 0 where no table is loaded.
    used_ms: AtomicU64,
}

/// How long the tables are kept after they were last used.
const TABLES_KEPT_MS: u64 = 10_000;

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

    /// To be told the time every second: gives the memory of the tables back where nothing was counted for ten seconds.
    pub fn rest(&self, now_ms: u64) {
        if self.used.swap(false, Ordering::Relaxed) {
            return self.used_ms.store(now_ms.max(1), Ordering::Relaxed);
        }
        let used_ms = self.used_ms.load(Ordering::Relaxed);
        if used_ms > 0 && now_ms.saturating_sub(used_ms) > TABLES_KEPT_MS {
            self.forget();
            self.used_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Gives the memory of the tables back; the next count loads its table again.
    pub(super) fn forget(&self) {
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
        // Here and not where a count is asked for: it may wait for its turn for longer than the tables are kept.
        self.used.store(true, Ordering::Relaxed);
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
