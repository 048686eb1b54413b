//! Strict JSON that builds nothing: reading it in one pass, and quoting text into it.
//!
//! RFC 8259 to the letter, and lone surrogates are refused besides, since no string can hold them. Never recurses.

mod fault;
mod quote;
mod scan;
mod swar;
#[cfg(test)]
mod tests;
mod text_size;
mod token;

pub use fault::{Expected, JsonError};
pub use quote::{push_quoted, push_u64, unquote};
pub use scan::{DEPTH_MAX, Scanner};
pub use text_size::TextSize;
pub use token::{Kind, Token};

/// Whether `text` is one JSON value and nothing else.
pub fn check(text: &str, depth_max: usize) -> Result<Kind, JsonError> {
    let mut scanner = Scanner::new(text, depth_max);
    let kind = scanner.kind()?;
    scanner.value()?;
    scanner.end()?;
    Ok(kind)
}
