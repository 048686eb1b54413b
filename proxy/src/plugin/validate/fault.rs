//! Why the host refuses what a guest says.

use super::json::GuestJsonError;

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
