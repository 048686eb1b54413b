//! Why an administrator is refused, with the same stable names over REST and on the command line.

use serde::{Deserialize, Serialize};

use crate::{journal::KeyError, store};

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("send the admin token: `authorization: Bearer <token>`")]
    Unauthorized,
    #[error("pages of other sites may not use the admin API")]
    CrossSite,
    /// The request, or one field of it, is not what it should be.
    #[error("{message}")]
    Invalid { param: Option<&'static str>, message: String },
    #[error("a key named `{0}` already exists")]
    Exists(String),
    #[error("there are {0} keys, revoked ones among them, and `ledger.keys_max` allows no more")]
    Full(usize),
    #[error("there is no key with the id or name `{0}`")]
    NoKey(String),
    #[error("nothing is served at this path")]
    NoPath,
    #[error("this path does not take this method")]
    Method,
    #[error("the body has more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the body broke off")]
    Incomplete,
    /// A sentence about the component.
    #[error("{0}")]
    Plugin(String),
    /// A sentence about the store or the ledger; what failed stands in the log.
    #[error("{0}")]
    Unavailable(String),
}

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub message: String,
    pub code: String,
    pub param: Option<String>,
}

impl AdminError {
    /// The stable name and the HTTP status.
    pub fn verdict(&self) -> (&'static str, u16) {
        match self {
            AdminError::Unauthorized => ("admin_token_invalid", 401),
            AdminError::CrossSite => ("cross_site_refused", 403),
            AdminError::Invalid { .. } => ("invalid_request", 400),
            AdminError::Exists(_) => ("key_exists", 409),
            AdminError::Full(_) => ("keys_full", 409),
            AdminError::NoKey(_) => ("key_not_found", 404),
            AdminError::NoPath => ("not_found", 404),
            AdminError::Method => ("method_not_allowed", 405),
            AdminError::TooLarge { .. } => ("body_too_large", 413),
            AdminError::Incomplete => ("body_incomplete", 400),
            AdminError::Plugin(_) => ("plugin_refused", 422),
            AdminError::Unavailable(_) => ("unavailable", 503),
        }
    }

    pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> AdminError {
        AdminError::Invalid { param: Some(param), message: message.into() }
    }

    pub(super) fn refusal(&self) -> Refusal {
        let param = match self {
            AdminError::Invalid { param, .. } => param.map(str::to_owned),
            _ => None,
        };
        Refusal { message: self.to_string(), code: self.verdict().0.to_owned(), param }
    }
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> AdminError {
        match error {
            KeyError::Exists(name) => AdminError::Exists(name),
            KeyError::NotFound(wanted) => AdminError::NoKey(wanted),
            KeyError::Full(keys_max) => AdminError::Full(keys_max),
            error @ KeyError::Unwritten(_) => AdminError::Unavailable(error.to_string()),
        }
    }
}

impl From<store::Error> for AdminError {
    fn from(error: store::Error) -> AdminError {
        AdminError::Unavailable(error.to_string())
    }
}
