//! Strict JSON that builds nothing: reading it in one pass, and quoting text into it.
//!
//! RFC 8259 to the letter, and lone surrogates are refused besides, since no string can hold them. Never recurses.

mod fault;
mod quote;
mod scan;
mod swar;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use fault::{Expected, JsonError};
pub use quote::{push_quoted, push_u64, unquote};
pub use scan::Scanner;
pub use swar::Text;

/// Containers that may be open at once, whatever bound is asked for.
pub const DEPTH_MAX: usize = 128;

/// What a value is, as its first byte shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Object => "an object",
            Kind::Array => "an array",
            Kind::String => "a string",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
        })
    }
}

/// A scanned string.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// What stands between the quotes.
    pub raw: &'a str,
    /// Offset of the opening quote.
    pub at: usize,
    pub escaped: bool,
}

impl<'a> Token<'a> {
    /// The text meant.
    pub fn decode(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unquote(self.raw)) } else { Cow::Borrowed(self.raw) }
    }

    /// The size of the text meant.
    pub fn size(&self) -> Text {
        if self.escaped { Text::of_escaped(self.raw) } else { Text::of(self.raw) }
    }

    /// Whether the text meant is `name`.
    pub fn is(&self, name: &str) -> bool {
        if self.escaped { unquote(self.raw) == name } else { self.raw == name }
    }
}

/// Whether `text` is one JSON value and nothing else.
pub fn check(text: &str, depth_max: usize) -> Result<Kind, JsonError> {
    let mut scanner = Scanner::new(text, depth_max);
    let kind = scanner.kind()?;
    scanner.value()?;
    scanner.end()?;
    Ok(kind)
}
