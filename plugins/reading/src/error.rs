//! The body of an unsuccessful answer.

use alloc::string::{String, ToString};

use crate::FailureKind;

/// A JSON value, as whoever asks holds it.
pub trait Json<'a>: Copy {
    /// The value of this field, if this is an object that has it with a value other than null.
    fn get(self, name: &str) -> Option<Self>;
    fn is_object(self) -> bool;
    fn is_array(self) -> bool;
    /// The first item of an array.
    fn first(self) -> Option<Self>;
    /// The text of a string.
    fn text(self) -> Option<&'a str>;
    /// The digits of a number.
    fn digits(self) -> Option<String>;
}

/// What an error body says, as far as it says it.
///
/// Reads OpenAI's `{"error":{…}}` and the shapes that its imitators use: `error` as a string, `message`, `detail`,
/// `msg`, `error_msg`, a list of `errors`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorBody {
    pub message: Option<String>,
    /// The field `type`.
    pub kind: Option<String>,
    /// A string, or a number as text.
    pub code: Option<String>,
    pub param: Option<String>,
}

impl ErrorBody {
    /// The code to show for an error that means `kind`. Of a used-up quota some tell only the type.
    pub fn code_for(&self, kind: FailureKind) -> Option<&str> {
        self.code.as_deref().or(self.kind.as_deref().filter(|_| kind == FailureKind::Quota))
    }

    /// The error that `body` is or holds; of a list, its first.
    pub fn of<'a>(body: impl Json<'a>) -> Self {
        if let Some(text) = body.text() {
            return Self { message: Some(text.to_string()), ..Self::default() };
        }
        let body = body.first().unwrap_or(body);
        let error = body.get("error").filter(|error| error.is_object()).unwrap_or(body);
        let text = |name: &str| error.get(name)?.text().filter(|text| !text.is_empty()).map(String::from);
        Self {
            message: message(body, error),
            kind: text("type"),
            code: text("code").or_else(|| error.get("code")?.digits()),
            param: text("param"),
        }
    }
}

fn message<'a, J: Json<'a>>(body: J, error: J) -> Option<String> {
    for name in ["message", "error", "detail", "msg", "error_msg"] {
        let Some(value) = error.get(name) else { continue };
        if let Some(text) = value.text() {
            return Some(text.to_string());
        }
        // FastAPI: a list of objects with `msg`; Mistral: an object with `detail`.
        if value.is_array() {
            return value.first().and_then(|item| message(item, item));
        }
        if value.is_object() && name != "error" {
            return message(value, value);
        }
    }
    body.get("errors")?.first()?.get("message")?.text().map(String::from)
}
