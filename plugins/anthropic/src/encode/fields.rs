//! The types of the top-level fields that the adapter reads. What a client gave in another type is neither dropped nor
//! sent: it is refused by its name.

use tollgate_plugin::{Failure, json::Value};

#[derive(Clone, Copy)]
enum Type {
    Number,
    Whole,
    Text,
    Flag,
    List,
    Object,
    TextOrTexts,
}

const TYPES: [(&str, Type); 20] = [
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("top_k", Type::Whole),
    ("n", Type::Whole),
    ("stop", Type::TextOrTexts),
    ("logprobs", Type::Flag),
    ("modalities", Type::List),
    ("tools", Type::List),
    ("functions", Type::List),
    ("parallel_tool_calls", Type::Flag),
    ("reasoning_effort", Type::Text),
    ("response_format", Type::Object),
    ("thinking", Type::Object),
    ("output_config", Type::Object),
    ("metadata", Type::Object),
    ("user", Type::Text),
    ("safety_identifier", Type::Text),
    ("service_tier", Type::Text),
    ("max_tokens", Type::Whole),
    ("max_completion_tokens", Type::Whole),
];

/// # Errors
/// Names the first field that has another type than it is to have.
pub(super) fn check(asked: &Value<'_>) -> Result<(), Failure> {
    for (name, wanted) in TYPES {
        if let Some(value) = asked.get(name) {
            wanted.check(value).map_err(|message| Failure::invalid(name, message))?;
        }
    }
    Ok(())
}

impl Type {
    fn check(self, value: &Value<'_>) -> Result<(), &'static str> {
        let (fits, message) = match self {
            Type::Number => (value.as_f64().is_some(), "This field must be a number."),
            Type::Whole => (value.as_u64().is_some(), "This field must be a whole number that is not negative."),
            Type::Text => (value.as_str().is_some(), "This field must be a string."),
            Type::Flag => (value.as_bool().is_some(), "This field must be true or false."),
            Type::List => (value.as_array().is_some(), "This field must be an array."),
            Type::Object => (value.as_object().is_some(), "This field must be an object."),
            Type::TextOrTexts => {
                let texts = value.as_array().is_some_and(|items| items.iter().all(|item| item.as_str().is_some()));
                (texts || value.as_str().is_some(), "This field must be a string or an array of strings.")
            }
        };
        if fits { Ok(()) } else { Err(message) }
    }
}
