//! Errors as the client reads them, and errors that a provider puts where an answer should be.

use serde_json::Value;
use tollgate_reading::{ErrorBody, Json, Meaning};

use crate::{
    call::{Blame, Failure, FailureKind, json::push_quoted},
    dialect::Refusal,
};

/// A whole error answer.
pub(in crate::dialect) fn error_body(refusal: &Refusal<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(80 + refusal.message.len());
    push_error(refusal, &mut body);
    body
}

/// An error in the midst of a stream. Nothing follows it, an end mark least of all.
pub(in crate::dialect) fn error_event(refusal: &Refusal<'_>) -> Vec<u8> {
    let mut event = Vec::with_capacity(90 + refusal.message.len());
    event.extend_from_slice(b"data: ");
    push_error(refusal, &mut event);
    event.extend_from_slice(b"\n\n");
    event
}

fn push_error(refusal: &Refusal<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":{\"message\":");
    push_quoted(refusal.message, out);
    out.extend_from_slice(b",\"type\":");
    push_quoted(refusal.kind, out);
    out.extend_from_slice(b",\"param\":");
    match refusal.param {
        Some(param) => push_quoted(param, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"code\":");
    push_quoted(refusal.code, out);
    out.extend_from_slice(b"}}");
}

/// The provider answered with something that is no answer.
pub(super) fn not_an_answer(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Upstream,
        blame: Blame::Provider,
        retryable: true,
        retry_after_ms: None,
        code: None,
        param: None,
        message: message.to_owned(),
    }
}

/// Reads what stood under `error`, or an event of that name: an object as a rule, a text with some providers.
pub(super) fn read(error: &str) -> Failure {
    let error = ErrorBody::of(Borrowed(&serde_json::from_str(error).unwrap_or(Value::Null)));
    let meaning = Meaning::of_openai(SUCCESS, &error);
    Failure {
        kind: meaning.kind,
        blame: meaning.blame,
        retryable: meaning.retryable,
        retry_after_ms: None,
        code: error.code_for(meaning.kind).map(str::to_owned),
        message: error.message.unwrap_or_else(|| meaning.kind.sentence().to_owned()),
        param: error.param,
    }
}

#[derive(Clone, Copy)]
struct Borrowed<'a>(&'a Value);

impl<'a> Json<'a> for Borrowed<'a> {
    fn get(self, name: &str) -> Option<Self> {
        self.0.get(name).filter(|value| !value.is_null()).map(Borrowed)
    }

    fn is_object(self) -> bool {
        self.0.is_object()
    }

    fn is_array(self) -> bool {
        self.0.is_array()
    }

    fn first(self) -> Option<Self> {
        self.0.as_array()?.first().map(Borrowed)
    }

    fn text(self) -> Option<&'a str> {
        self.0.as_str()
    }

    fn digits(self) -> Option<String> {
        self.0.as_number().map(ToString::to_string)
    }
}

/// The status of an answer in which an error stands where there should be none.
const SUCCESS: u16 = 200;
