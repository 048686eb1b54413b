//! The body of an unsuccessful answer.

use alloc::string::{String, ToString};

use tollgate_reading::{ErrorBody, Json};

use crate::json::Value;

/// Plain text longer than this is more likely a page than a sentence.
const PLAIN_TEXT_BYTES_MAX: usize = 500;

/// What an error body says. A page of HTML says nothing.
pub(super) fn parse(body: &str) -> ErrorBody {
    let body = body.trim();
    match Value::parse(body) {
        Ok(value) => ErrorBody::of(&value),
        Err(_) if body.is_empty() || body.starts_with(['<', '{', '[']) || body.len() > PLAIN_TEXT_BYTES_MAX => {
            ErrorBody::default()
        }
        Err(_) => ErrorBody { message: Some(body.to_string()), ..ErrorBody::default() },
    }
}

impl<'a> Json<'a> for &'a Value<'_> {
    fn get(self, name: &str) -> Option<Self> {
        self.as_object()?.get(name)
    }

    fn is_object(self) -> bool {
        self.as_object().is_some()
    }

    fn is_array(self) -> bool {
        self.as_array().is_some()
    }

    fn first(self) -> Option<Self> {
        self.as_array()?.first()
    }

    fn text(self) -> Option<&'a str> {
        self.as_str()
    }

    fn digits(self) -> Option<String> {
        match self {
            Value::Number(digits) => Some(digits.to_string()),
            _ => None,
        }
    }
}
