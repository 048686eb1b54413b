//! Why a body is not a call.

use super::json::{Expected, Fault, Kind};

/// Why a body is refused. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("could not parse the request body as JSON: expected {expected} at byte {at}")]
    Json { at: u32, expected: Expected },
    #[error("the request body nests deeper than {depth_max} levels")]
    TooDeep { depth_max: u32 },
    #[error("the request body has more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("duplicate field: '{0}'")]
    Duplicate(String),
    #[error("missing required parameter: '{0}'")]
    Missing(String),
    #[error("invalid type for '{param}': expected {expected}, but got {found} instead")]
    Type { param: String, expected: &'static str, found: Kind },
    #[error("invalid value for '{param}': {why}")]
    Value { param: String, why: &'static str },
    #[error("this endpoint takes 'messages', not 'input': send Responses-style bodies to an endpoint that serves them")]
    ResponsesBody,
}

impl Invalid {
    /// The request field at fault, as OpenAI names it.
    pub fn param(&self) -> Option<&str> {
        match self {
            Invalid::Duplicate(param) | Invalid::Missing(param) => Some(param),
            Invalid::Type { param, .. } | Invalid::Value { param, .. } => Some(param),
            Invalid::TooMany { what: "messages", .. } => Some("messages"),
            Invalid::ResponsesBody => Some("input"),
            Invalid::Json { .. } | Invalid::TooDeep { .. } | Invalid::TooMany { .. } => None,
        }
    }

    /// The stable name of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Invalid::Json { .. } => "invalid_json",
            Invalid::TooDeep { .. } => "json_too_deep",
            Invalid::TooMany { what: "messages", .. } => "too_many_messages",
            Invalid::TooMany { .. } => "too_many_fields",
            Invalid::Duplicate(_) => "duplicate_field",
            Invalid::Missing(_) => "missing_required_parameter",
            Invalid::Type { .. } => "invalid_type",
            Invalid::Value { .. } => "invalid_value",
            Invalid::ResponsesBody => "unsupported_parameter",
        }
    }
}

impl From<Fault> for Invalid {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax { at, expected } => Invalid::Json { at, expected },
            Fault::Deep { depth_max } => Invalid::TooDeep { depth_max },
        }
    }
}
