//! What the scanner reads: the kinds of values, and strings.

use std::{borrow::Cow, fmt};

use super::{quote::unquote, text_size::TextSize};

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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    pub fn size(&self) -> TextSize {
        if self.escaped { TextSize::of_escaped(self.raw) } else { TextSize::of(self.raw) }
    }

    /// Whether the text meant is `name`.
    pub fn is(&self, name: &str) -> bool {
        if self.escaped { unquote(self.raw) == name } else { self.raw == name }
    }
}
