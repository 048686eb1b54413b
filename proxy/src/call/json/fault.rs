//! What is wrong with a text that is not JSON.

use std::fmt;

/// Why a text is not JSON that we accept. Small, for it is part of every step's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("expected {expected} at byte {at}")]
    Syntax { at: u32, expected: Expected },
    #[error("nested deeper than {depth_max} levels")]
    Deep { depth_max: u32 },
    #[error("more than {values_max} values")]
    Long { values_max: u32 },
    #[error("an object with more than {fields_max} fields")]
    Wide { fields_max: u32 },
}

/// What should have stood where something else did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Value,
    Object,
    Array,
    String,
    Key,
    KeyOrEnd,
    CommaOrBrace,
    CommaOrBracket,
    Colon,
    ClosingQuote,
    NoControlCharacter,
    Escape,
    HexDigits,
    SurrogatePair,
    Digit,
    Literal,
    End,
    Utf8,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Value => "a value",
            Expected::Object => "`{`",
            Expected::Array => "`[`",
            Expected::String => "a string",
            Expected::Key => "a key",
            Expected::KeyOrEnd => "a key or `}`",
            Expected::CommaOrBrace => "`,` or `}`",
            Expected::CommaOrBracket => "`,` or `]`",
            Expected::Colon => "`:`",
            Expected::ClosingQuote => "`\"`",
            Expected::NoControlCharacter => "no control character",
            Expected::Escape => "an escape sequence",
            Expected::HexDigits => "`\\u` and four hexadecimal digits",
            Expected::SurrogatePair => "a surrogate pair",
            Expected::Digit => "a digit",
            Expected::Literal => "`true`, `false` or `null`",
            Expected::End => "the end",
            Expected::Utf8 => "UTF-8",
        })
    }
}
