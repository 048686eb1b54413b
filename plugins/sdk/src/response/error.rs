//! The body of an unsuccessful answer.

use crate::json::Value;
use alloc::string::{String, ToString};

/// What an error body says, as far as it says it.
///
/// Reads OpenAI's `{"error":{…}}` and the shapes that its imitators use: `error` as a string, `message`, `detail`,
/// `msg`, `error_msg`, a list of `errors`, a bare JSON string, plain text. A page of HTML says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorBody {
    pub message: Option<String>,
    /// The field `type`.
    pub kind: Option<String>,
    /// A string, or a number as text.
    pub code: Option<String>,
    pub param: Option<String>,
}

/// Plain text longer than this is more likely a page than a sentence.
const PLAIN_TEXT_BYTES_MAX: usize = 500;

impl ErrorBody {
    pub fn parse(body: &str) -> Self {
        let body = body.trim();
        match Value::parse(body) {
            Ok(Value::String(text)) => Self { message: Some(text.into_owned()), ..Self::default() },
            Ok(Value::Object(object)) => Self::of(&Value::Object(object)),
            Ok(Value::Array(items)) => items.first().map(Self::of).unwrap_or_default(),
            Ok(_) => Self::default(),
            Err(_) if body.is_empty() || body.starts_with(['<', '{', '[']) || body.len() > PLAIN_TEXT_BYTES_MAX => {
                Self::default()
            }
            Err(_) => Self { message: Some(body.to_string()), ..Self::default() },
        }
    }

    /// The error that `body` is or holds.
    pub fn of(body: &Value<'_>) -> Self {
        let error = match body.get("error") {
            Some(error @ Value::Object(_)) => error,
            _ => body,
        };
        Self {
            message: message(body, error),
            kind: error.text("type").map(String::from),
            code: error.get("code").and_then(scalar),
            param: error.text("param").map(String::from),
        }
    }
}

fn message(body: &Value<'_>, error: &Value<'_>) -> Option<String> {
    for name in ["message", "error", "detail", "msg", "error_msg"] {
        match error.get(name) {
            Some(Value::String(text)) => return Some(text.to_string()),
            // FastAPI: a list of objects with `msg`; Mistral: an object with `detail`.
            Some(Value::Array(items)) => return items.first().and_then(|item| message(item, item)),
            Some(inner @ Value::Object(_)) if name != "error" => return message(inner, inner),
            _ => {}
        }
    }
    body.get("errors")?.as_array()?.first()?.text("message").map(String::from)
}

fn scalar(value: &Value<'_>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Number(digits) => Some(digits.to_string()),
        _ => None,
    }
}
