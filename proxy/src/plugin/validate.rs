//! What a guest may say. Every value that leaves a guest passes here before the host acts on it.
//!
//! Pure: values in, values out. A value that is forbidden is refused whole, never repaired, except where a repair
//! only shortens a text, or brings a count into its range.

mod answer;
mod fault;
mod json;
mod request;

pub use answer::Answer;
pub(super) use answer::{EventRules, answer, failure};
pub use fault::{EditError, ValidateError};
pub use json::GuestJsonError;
pub(super) use json::object;
pub(super) use request::request;
pub use request::{Auth, Body, Request, SCHEMES};

const NAME_BYTES_MAX: usize = 64;

/// Whether a plugin may call itself so; says what is wrong.
pub(super) fn identity(name: &str, version: &str) -> Result<(), &'static str> {
    let of = |text: &str, alphabet: fn(u8) -> bool| {
        !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(alphabet)
    };
    if !of(name, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err("has a name that is not of `a-z`, `0-9` and `-`");
    }
    if !of(version, |byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte)) {
        return Err("has a version that is empty, too long, or not of letters, digits, `.`, `+` and `-`");
    }
    Ok(())
}
