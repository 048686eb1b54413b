//! What the client asks and what it is answered, in canonical form.
//!
//! Canonical is OpenAI's chat-completions JSON: the hub that every dialect meets in. A call is scanned once; its
//! messages stay the client's raw bytes. Never knows a provider, a principal or a socket.

mod edit;
mod event;
mod expect;
mod invalid;
pub mod json;
mod name;
mod output;
mod parse;
mod part;
mod prompt_size;
mod shape;
mod sound;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

pub use edit::{Edit, Place};
pub use event::{Blame, Event, Failure, FailureKind, FinishReason, Tokens, ToolDelta};
pub use invalid::ParseError;
pub use output::OutputBound;
pub use part::is_payload;
pub use prompt_size::{Media, PromptSize, is_parameter};

/// What the client wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Embeddings,
}

/// How much of a call is looked at before it is refused.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Containers open at once. No more than `json::DEPTH_MAX` whatever is asked; the default is the most that
    /// serde_json, which plugins read with, follows.
    pub depth_max: usize,
    /// Top-level fields.
    pub fields_max: usize,
    /// Fields of any object.
    pub object_fields_max: usize,
    pub messages_max: usize,
    /// Elements of arrays and fields of objects, at any depth.
    pub values_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { depth_max: 127, fields_max: 512, object_fields_max: 4096, messages_max: 100_000, values_max: 500_000 }
    }
}

/// A prompt template that the client named, with its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    /// A JSON object.
    pub variables_json: String,
}

/// What the client asks, in canonical form: the fields that the gateway acts on, and all the others as they came.
///
/// Invariant: `body` is one JSON object in valid UTF-8, `fields` are its members in order and each name is there once.
#[derive(Debug, Clone)]
pub struct Call {
    pub operation: Operation,
    pub model: String,
    pub stream: bool,
    /// The client wants the chunk that reports usage.
    pub include_usage: bool,
    /// The larger of `max_tokens` and `max_completion_tokens`; for one choice.
    pub output_tokens_max: Option<u64>,
    /// `n`: how many answers, at least 1.
    pub choices: u32,
    /// Embeddings are wanted as base64 of little-endian `f32`.
    pub encoding_base64: bool,
    /// The `template` extension. It is no longer in the body.
    pub template: Option<Template>,
    pub prompt_size: PromptSize,
    body: Bytes,
    fields: Vec<Field>,
    bounds: Bounds,
}

/// Where one top-level field stands in the body.
#[derive(Debug, Clone)]
struct Field {
    /// With its quotes.
    key: Range<usize>,
    escaped: bool,
    value: Range<usize>,
}

impl Field {
    /// Whether the field of this `body` means `name`.
    fn is(&self, body: &[u8], name: &str) -> bool {
        let raw = &body[self.key.start + 1..self.key.end - 1];
        match self.escaped {
            false => raw == name.as_bytes(),
            true => std::str::from_utf8(raw).is_ok_and(|raw| json::unquote(raw) == name),
        }
    }
}

impl Call {
    /// The canonical request as it stands now.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The JSON text of a top-level field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.is(&self.body, name)).map(|field| self.text(&field.value))
    }

    /// A JSON object of all top-level fields but `messages` and `input`: their values as the client wrote them, their
    /// names without needless escapes, so that whoever looks for a name finds it.
    pub fn head(&self) -> String {
        let mut head = String::with_capacity(self.head_bytes());
        head.push('{');
        for field in &self.fields {
            if field.is(&self.body, "messages") || field.is(&self.body, "input") {
                continue;
            }
            if head.len() > 1 {
                head.push(',');
            }
            match field.escaped {
                false => head.push_str(self.text(&field.key)),
                true => push_name(&json::unquote(self.name(field)), &mut head),
            }
            head.push(':');
            head.push_str(self.text(&field.value));
        }
        head.push('}');
        head
    }

    /// Room for the head, without the two fields that are as a rule the largest.
    fn head_bytes(&self) -> usize {
        let largest = self.fields.iter().map(|field| field.value.len()).max().unwrap_or(0);
        let all: usize = self.fields.iter().map(|field| field.key.len() + field.value.len() + 2).sum();
        2 + all - largest
    }

    /// How much of the call a model may read as text, in bytes: all of its JSON but parameters and the bytes of media.
    pub fn prompt_bytes(&self) -> u64 {
        let prompt = self.fields.iter().filter(|field| field.escaped || !is_parameter(self.name(field)));
        let bytes: usize = prompt.map(|field| field.key.len() + field.value.len()).sum();
        (bytes as u64).saturating_sub(self.prompt_size.media.payload_bytes)
    }

    /// A field's name, escapes not undone.
    fn name(&self, field: &Field) -> &str {
        &self.text(&field.key)[1..field.key.len() - 1]
    }

    fn text(&self, span: &Range<usize>) -> &str {
        std::str::from_utf8(&self.body[span.clone()]).expect("the body is UTF-8, and spans end at ASCII bytes")
    }
}

fn push_name(name: &str, out: &mut String) {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    json::push_quoted(name, &mut quoted);
    out.push_str(std::str::from_utf8(&quoted).expect("quoting text makes text"));
}
