//! The client's wire format, in and out, as a value: whoever holds a [`Dialect`] parses, answers, streams and refuses in
//! it without knowing which it is.
//!
//! Canonical and the OpenAI dialect are the same JSON; what a provider says in it is read by [`canonical`]. Never knows
//! who is asking or which provider answered.

mod openai;
mod written;

use bytes::Bytes;

pub use openai::{EventError, ForwardedFrame, StreamEncoder};
pub use written::{AnswerName, ListedModel, Refusal};

use crate::call::{Bounds, Call, Failure, Operation, ParseError};

/// Reading what is canonical already.
pub mod canonical {
    pub use super::openai::{answer_text, delta_text, prompt_text, tells_error, whole, whole_prompt_text};
}

/// A client's wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
}

impl Dialect {
    /// The stable name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
        }
    }

    /// The call that a request's body asks for.
    ///
    /// # Errors
    /// [`ParseError`], which names the field at fault.
    pub fn parse(self, operation: Operation, body: Bytes, bounds: &Bounds) -> Result<Call, ParseError> {
        match self {
            Dialect::OpenAi => Call::parse(operation, body, bounds),
        }
    }

    /// A whole canonical answer to `call` as the client reads it. One that a plugin translated is given its `name`; one
    /// that came canonical keeps the name that its provider gave it.
    ///
    /// # Errors
    /// [`Failure`] where the answer cannot be what the call asked for.
    pub fn answer(self, call: &Call, body: Bytes, name: Option<AnswerName<'_>>) -> Result<Bytes, Failure> {
        match self {
            Dialect::OpenAi => openai::answer(call, body, name),
        }
    }

    /// Writes the answer to a streamed `call`. `name` is given to the events of an answer that a plugin translates; none
    /// where every frame is forwarded.
    pub fn stream(self, call: &Call, name: Option<AnswerName<'_>>) -> StreamEncoder {
        match self {
            Dialect::OpenAi => StreamEncoder::new(name, call.include_usage, call.choices),
        }
    }

    /// What may be sent at any time between two events, to keep a silent connection open.
    pub fn keep_alive(self) -> Bytes {
        match self {
            Dialect::OpenAi => Bytes::from_static(openai::KEEP_ALIVE),
        }
    }

    /// A refusal as the whole body of an answer.
    pub fn refuse(self, refusal: &Refusal<'_>) -> Vec<u8> {
        match self {
            Dialect::OpenAi => openai::error_body(refusal),
        }
    }

    /// A refusal in the midst of a stream. Nothing follows it.
    pub fn break_off(self, refusal: &Refusal<'_>) -> Vec<u8> {
        match self {
            Dialect::OpenAi => openai::error_event(refusal),
        }
    }

    /// The list of models.
    pub fn models<'a>(self, models: impl Iterator<Item = ListedModel<'a>>) -> Vec<u8> {
        match self {
            Dialect::OpenAi => openai::models_list(models),
        }
    }

    /// One model.
    pub fn model(self, model: &ListedModel<'_>) -> Vec<u8> {
        match self {
            Dialect::OpenAi => openai::model_body(model),
        }
    }

    /// A duration as the headers of this dialect write it.
    pub fn duration(self, duration_ms: u64) -> String {
        match self {
            Dialect::OpenAi => openai::go_duration(duration_ms),
        }
    }
}
