//! What an unsuccessful answer means.

use tollgate_plugin::{Blame, Context, ErrorBody, Failure, FailureKind, Response};

pub(crate) fn classify(context: &Context, response: &Response<'_>) -> Failure {
    let failure = failure(response.status, &response.error());
    let retryable = response.should_retry().unwrap_or(failure.retryable);
    failure.with_retryable(retryable).with_retry_after_ms(response.retry_after_ms(context.now_unix_ms))
}

/// The error's own type goes before the status, which proxies change, and which a stream has left behind.
pub(crate) fn failure(status: u16, error: &ErrorBody) -> Failure {
    use FailureKind as Kind;
    let message = error.message.as_deref().unwrap_or_default();
    let by_status = Failure::from_status(status, "");
    let (kind, blame, retryable) = match error.kind.as_deref() {
        Some("invalid_request_error") => invalid(message),
        Some("authentication_error") => (Kind::Authentication, Blame::Credential, false),
        Some("billing_error") => (Kind::Quota, Blame::Credential, false),
        Some("permission_error") => (Kind::Permission, Blame::Credential, false),
        Some("not_found_error") => (Kind::NotFound, Blame::Model, false),
        Some("request_too_large") => (Kind::TooLarge, Blame::Request, false),
        Some("rate_limit_error") => (Kind::RateLimited, Blame::Credential, true),
        Some("api_error") => (Kind::Upstream, Blame::Provider, true),
        Some("timeout_error") => (Kind::Timeout, Blame::Provider, true),
        Some("overloaded_error") => (Kind::Overloaded, Blame::Provider, true),
        _ if by_status.kind == Kind::InvalidRequest => invalid(message),
        _ => (by_status.kind, by_status.blame, by_status.retryable),
    };
    // The provider's sentence about a refused credential may quote a part of it.
    let message = match kind {
        Kind::Authentication => "The provider refused the gateway's credential.".into(),
        _ => error.message.clone().unwrap_or_else(|| "The provider failed without saying why.".into()),
    };
    let mut failure = Failure::new(kind, blame, message).with_retryable(retryable);
    failure.code = match kind {
        Kind::ContextLength => Some("context_length_exceeded".into()),
        Kind::Quota => Some("insufficient_quota".into()),
        Kind::NotFound => Some("model_not_found".into()),
        _ => error.kind.clone(),
    };
    failure
}

/// Anthropic tells these apart in words alone.
fn invalid(message: &str) -> (FailureKind, Blame, bool) {
    let says = |words: &str| message.contains(words);
    if says("prompt is too long") || says("exceed context limit") || says("context window") {
        (FailureKind::ContextLength, Blame::Request, false)
    } else if says("credit balance is too low") {
        (FailureKind::Quota, Blame::Credential, false)
    } else {
        (FailureKind::InvalidRequest, Blame::Request, false)
    }
}
