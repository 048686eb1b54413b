//! A whole answer that is canonical already.

use std::ops::Range;

use bytes::Bytes;

use super::{chunks::answer_id, embeddings::embeddings_as, failure, tokens};
use crate::{
    call::{
        Call, Failure, Operation, Tokens,
        json::{DEPTH_MAX, JsonError, Kind, Scanner, push_quoted},
    },
    dialect::AnswerName,
};

/// The answer to `call` as its client reads it: embeddings in the form that was asked for, and its `name`, if given, as
/// every chunk of a stream would have it.
pub(in crate::dialect) fn answer(call: &Call, body: Bytes, name: Option<AnswerName<'_>>) -> Result<Bytes, Failure> {
    let body = match call.operation {
        Operation::Embeddings => embeddings_as(body, call.encoding_base64)?,
        Operation::Chat => body,
    };
    match name {
        Some(name) => named(&body, call.operation, &name)
            .map_err(|_| failure::not_an_answer("The adapter's answer is not a JSON object.")),
        None => Ok(body),
    }
}

/// `body` with the id of the call, where such an answer has one, and the model as the client named it.
fn named(body: &[u8], operation: Operation, name: &AnswerName<'_>) -> Result<Bytes, JsonError> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut scanner = Scanner::new(text, DEPTH_MAX);
    let mut out = Vec::with_capacity(body.len() + 64);
    let mut copied = 0;
    scanner.enter_object()?;
    while let Some(key) = scanner.key()? {
        scanner.kind()?;
        let start = scanner.at();
        scanner.value()?;
        let value = match key.raw {
            "id" if operation == Operation::Chat => answer_id(name.request_id),
            "model" => name.model.to_owned(),
            _ => continue,
        };
        out.extend_from_slice(&body[copied..start]);
        push_quoted(&value, &mut out);
        copied = scanner.at();
    }
    scanner.end()?;
    out.extend_from_slice(&body[copied..]);
    Ok(Bytes::from(out))
}

/// Reads what a whole answer (chat or embeddings) used; `None` if it does not say.
///
/// Fails if it is not an answer at all: not JSON, a success that carries an error, or one without anything in it.
pub fn whole(body: &[u8]) -> Result<Option<Tokens>, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| failure::not_an_answer("The provider's answer is not UTF-8."))?;
    let parts = Parts::read(text).map_err(|_| failure::not_an_answer("The provider's answer is not a JSON object."))?;
    match parts.error {
        Some(error) => Err(failure::read(error)),
        None if !parts.has_choices && !parts.has_data => {
            Err(failure::not_an_answer("The provider sent an empty answer."))
        }
        None => Ok(parts.tokens),
    }
}

/// Whether what stands in an answer's place says that there is an error, as the providers of all dialects say it.
pub fn tells_error(body: &[u8]) -> bool {
    let parts = std::str::from_utf8(body).ok().and_then(|text| Parts::read(text).ok());
    parts.is_some_and(|parts| parts.error.is_some())
}

/// The parts of a whole answer, or of one chunk, that the gateway acts on.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// The JSON text under `error`, unless that is null or another way to say nothing.
    pub(super) error: Option<&'a str>,
    pub(super) tokens: Option<Tokens>,
    /// Where each member of the name `usage` stands, whatever its value, from its key to its end.
    pub(super) usage: Vec<Range<usize>>,
    /// The JSON text under `choices`.
    pub(super) choices: &'a str,
    /// `choices` holds at least one.
    pub(super) has_choices: bool,
    /// There is the list of an answer to embeddings.
    pub(super) has_data: bool,
    pub(super) id: &'a str,
    pub(super) created: &'a str,
    pub(super) model: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn read(text: &'a str) -> Result<Parts<'a>, JsonError> {
        let mut parts = Parts::default();
        let mut scanner = Scanner::new(text, DEPTH_MAX);
        scanner.enter_object()?;
        while let Some(key) = scanner.key()? {
            match key.raw {
                "usage" => {
                    parts.tokens = tokens::read(&mut scanner)?;
                    parts.usage.push(key.at..scanner.at());
                }
                "error" => {
                    let error = scanner.value()?;
                    parts.error = (!matches!(error, "null" | "\"\"" | "false" | "{}")).then_some(error);
                }
                "choices" => {
                    parts.has_choices = scanner.kind()? == Kind::Array;
                    let choices = scanner.value()?;
                    parts.choices = choices;
                    parts.has_choices &= choices.as_bytes()[1..].trim_ascii_start() != b"]";
                }
                "data" => {
                    parts.has_data = scanner.kind()? == Kind::Array;
                    scanner.value()?;
                }
                "id" => parts.id = scanner.value()?,
                "created" => parts.created = scanner.value()?,
                "model" => parts.model = scanner.value()?,
                _ => {
                    scanner.value()?;
                }
            }
        }
        scanner.end()?;
        Ok(parts)
    }
}
