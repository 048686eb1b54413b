//! Why a body is not a call.

use super::json::{Expected, JsonError, Kind};

/// Why a body is refused. The text is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("could not parse the request body as JSON: expected {expected} at byte {at}{}", inside(param))]
    Json { at: u32, expected: Expected, param: Option<String> },
    #[error("the request body nests deeper than {depth_max} levels{}", inside(param))]
    TooDeep { depth_max: u32, param: Option<String> },
    #[error("the request body has more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("the request body has more than {max} values{}", inside(param))]
    TooManyValues { param: Option<String>, max: usize },
    #[error("an object has more than {max} fields{}", inside(param))]
    ObjectTooWide { param: Option<String>, max: usize },
    #[error("duplicate field: '{0}'")]
    Duplicate(String),
    #[error("unsupported parameter: '{name}': some providers take it for '{known}'; write that name, in this case")]
    Misspelt { name: String, known: &'static str },
    #[error("missing required parameter: '{0}'")]
    Missing(String),
    #[error("invalid type for '{param}': expected {expected}, but got {found} instead")]
    Type { param: String, expected: &'static str, found: Kind },
    #[error("invalid value for '{param}': {why}")]
    Value { param: String, why: &'static str },
    #[error("this endpoint takes 'messages', not 'input': send Responses-style bodies to an endpoint that serves them")]
    ResponsesBody,
}

impl ParseError {
    /// The request field at fault, as OpenAI names it.
    pub fn param(&self) -> Option<&str> {
        match self {
            ParseError::Duplicate(param) | ParseError::Missing(param) => Some(param),
            ParseError::Type { param, .. }
            | ParseError::Value { param, .. }
            | ParseError::Misspelt { name: param, .. } => Some(param),
            ParseError::TooMany { what: "messages", .. } => Some("messages"),
            ParseError::ResponsesBody => Some("input"),
            ParseError::Json { param, .. } | ParseError::TooDeep { param, .. } => param.as_deref(),
            ParseError::TooManyValues { param, .. } | ParseError::ObjectTooWide { param, .. } => param.as_deref(),
            ParseError::TooMany { .. } => None,
        }
    }

    /// The stable name of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            ParseError::Json { .. } => "invalid_json",
            ParseError::TooDeep { .. } => "json_too_deep",
            ParseError::TooMany { what: "messages", .. } => "too_many_messages",
            ParseError::TooMany { .. } | ParseError::ObjectTooWide { .. } => "too_many_fields",
            ParseError::TooManyValues { .. } => "too_many_values",
            ParseError::Duplicate(_) => "duplicate_field",
            ParseError::Missing(_) => "missing_required_parameter",
            ParseError::Type { .. } => "invalid_type",
            ParseError::Value { .. } => "invalid_value",
            ParseError::ResponsesBody | ParseError::Misspelt { .. } => "unsupported_parameter",
        }
    }
}

impl ParseError {
    /// Names the field of a value that is well-formed and still refused, unless a narrower one is named already. Where
    /// the syntax is broken, no field can be trusted to be the one that was meant.
    pub(super) fn in_field(mut self, name: impl FnOnce() -> String) -> ParseError {
        if let ParseError::Json { param: param @ None, expected: Expected::SurrogatePair, .. }
        | ParseError::TooDeep { param: param @ None, .. }
        | ParseError::TooManyValues { param: param @ None, .. }
        | ParseError::ObjectTooWide { param: param @ None, .. } = &mut self
        {
            *param = Some(name());
        }
        self
    }
}

impl From<JsonError> for ParseError {
    fn from(fault: JsonError) -> Self {
        match fault {
            JsonError::Syntax { at, expected } => ParseError::Json { at, expected, param: None },
            JsonError::Deep { depth_max } => ParseError::TooDeep { depth_max, param: None },
            JsonError::Wide { fields_max } => ParseError::ObjectTooWide { param: None, max: fields_max as usize },
            JsonError::Long { values_max } => ParseError::TooManyValues { param: None, max: values_max as usize },
        }
    }
}

fn inside(param: &Option<String>) -> String {
    param.as_ref().map_or_else(String::new, |param| format!(", in '{param}'"))
}
