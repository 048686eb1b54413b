//! Counting tokens of a text.

use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

use super::family::{Base, Family};
use crate::call::json::Text;

/// Longest text that a tokenizer sees at once, in bytes: its work grows faster than the text.
const PIECE_BYTES_MAX: usize = 2048;

/// Counts tokens. A table is loaded when it is first needed, and takes tens of MB and a good part of a second.
#[derive(Default)]
pub struct Counter {
    o200k: OnceLock<Option<CoreBPE>>,
    cl100k: OnceLock<Option<CoreBPE>>,
}

impl Counter {
    pub fn new() -> Counter {
        Counter::default()
    }

    /// Tokens of `text` for a model of this name. For models of other tokenizers this is a corrected count.
    ///
    /// Slow: it belongs on a thread where nobody waits.
    pub fn count(&self, model: &str, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let family = Family::of(model);
        let table = match family.base {
            Base::O200k => self.o200k.get_or_init(|| tiktoken_rs::o200k_base().ok()),
            Base::Cl100k => self.cl100k.get_or_init(|| tiktoken_rs::cl100k_base().ok()),
        };
        let table = table.as_ref().expect("the tables are compiled in");
        let tokens = pieces(text).map(|piece| table.count_ordinary(piece) as u64).sum();
        let size = Text::of(text);
        family.corrected(tokens, size.cjk, size.ascii + size.wide)
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

fn cut(text: &str) -> usize {
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
