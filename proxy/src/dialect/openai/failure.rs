//! Errors as the client reads them, and errors that a provider puts where an answer should be.

use serde_json::Value;

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

/// Reads what stood under `error`: an object as a rule, a text with some providers.
pub(super) fn read(error: &str) -> Failure {
    let error: Value = serde_json::from_str(error).unwrap_or(Value::Null);
    let text = |name: &str| match &error[name] {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let code = text("code").or_else(|| text("type"));
    let (kind, blame, retryable) = meaning([text("code"), text("type")]);
    let message = match &error {
        Value::String(message) => message.clone(),
        _ => text("message").unwrap_or_else(|| "the provider reported an error without a message".to_owned()),
    };
    Failure { kind, blame, retryable, retry_after_ms: None, code, param: text("param"), message }
}

/// What a provider's `code`, or else its `type`, means.
fn meaning(names: [Option<String>; 2]) -> (FailureKind, Blame, bool) {
    use Blame::{Credential, Model, Provider, Request};
    use FailureKind as Kind;
    let known = |name: &str| {
        Some(match name {
            "context_length_exceeded" => (Kind::ContextLength, Request, false),
            "content_filter" | "content_policy_violation" => (Kind::ContentFilter, Request, false),
            "insufficient_quota" | "billing_hard_limit_reached" | "402" => (Kind::Quota, Credential, false),
            "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" | "429" => {
                (Kind::RateLimited, Credential, true)
            }
            "invalid_api_key" | "authentication_error" | "401" => (Kind::Authentication, Credential, false),
            "permission_error" | "permission_denied" | "403" => (Kind::Permission, Credential, false),
            "model_not_found" | "not_found_error" | "404" => (Kind::NotFound, Model, false),
            "overloaded_error" | "overloaded" | "server_overloaded" | "503" | "529" => {
                (Kind::Overloaded, Provider, true)
            }
            "timeout" | "request_timeout" | "408" | "504" => (Kind::Timeout, Provider, true),
            "request_too_large" | "413" => (Kind::TooLarge, Request, false),
            "invalid_request_error" | "400" | "422" => (Kind::InvalidRequest, Request, false),
            _ => return None,
        })
    };
    names.iter().flatten().find_map(|name| known(name)).unwrap_or((Kind::Upstream, Provider, true))
}
