//! The shape in which the client expects the answer, carried from `encode` to the decoder as the call's state.

use alloc::string::String;
use tollgate_plugin::Context;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Plain,
    /// The client speaks the older `functions`, and is answered with `function_call`.
    Functions,
    /// The answer is the input of a forced tool, for a model that knows no output format.
    JsonTool,
}

/// The name of the tool behind [`Shape::JsonTool`].
pub(crate) const JSON_TOOL: &str = "json";

impl Shape {
    pub(crate) fn to_state(self) -> Option<String> {
        match self {
            Shape::Plain => None,
            Shape::Functions => Some("functions".into()),
            Shape::JsonTool => Some("json-tool".into()),
        }
    }

    pub(crate) fn of(context: &Context) -> Self {
        match context.state.as_deref() {
            Some("functions") => Shape::Functions,
            Some("json-tool") => Shape::JsonTool,
            _ => Shape::Plain,
        }
    }
}
