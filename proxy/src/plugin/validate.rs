//! What a guest may say. Every value that leaves a guest passes here before the host acts on it.
//!
//! Pure: values in, values out. A value that is forbidden is refused whole, never repaired, except where a repair
//! only shortens a text or raises a count.

mod answer;
mod json;
mod request;

pub use answer::Answer;
pub(super) use answer::{Turn, answer, failure};
pub use json::GuestJsonError;
pub(super) use json::object;
pub(super) use request::request;
pub use request::{Auth, Body, Request, SCHEMES};

use super::fault::printable;

/// A guest's value that the host refuses. Says what, for the operator; quotes no more of the guest than a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    #[error("method is neither `GET` nor `POST`")]
    Method,
    #[error("path {0}")]
    Path(&'static str),
    #[error("header `{name}` {reason}")]
    Header { name: String, reason: &'static str },
    #[error("{0}")]
    Headers(&'static str),
    #[error("authentication plan {0}")]
    Auth(&'static str),
    #[error("authentication plan names the scheme `{0}`, which this host does not have")]
    Scheme(String),
    #[error("body: {0}")]
    Body(GuestJsonError),
    #[error("edit of `{field}`: {reason}")]
    Edit { field: String, reason: EditError },
    #[error("too many edits")]
    Edits,
    #[error("state is too long")]
    State,
    #[error("usage counts more than any call can")]
    Usage,
    #[error("event {0}")]
    Event(&'static str),
    #[error("description {0}")]
    Description(&'static str),
    #[error("renderer {0}")]
    Renderer(&'static str),
}

/// What is wrong with one edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the name is empty or too long")]
    Name,
    #[error("the field is edited twice")]
    Twice,
    #[error("{0}")]
    Value(GuestJsonError),
}

/// How deep JSON from a guest may nest.
const DEPTH_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;

/// A guest's name for something, safe to show.
fn shown(name: &str) -> String {
    printable(name, NAME_BYTES_MAX)
}

/// Whether `text` is a token of RFC 9110: the alphabet of header names.
fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

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
