//! What an unsuccessful answer means.

use tollgate_plugin::{Blame, Context, ErrorBody, Failure, FailureKind, Response};

pub(crate) fn classify(context: &Context, response: &Response<'_>) -> Failure {
    let failure = failure(response.status, &response.error());
    let retryable = response.should_retry().unwrap_or(failure.retryable);
    failure.with_retryable(retryable).with_retry_after_ms(response.retry_after_ms(context.now_unix_ms))
}

/// The body's own words go before the status: providers of this dialect send them with the wrong status, or inside a
/// successful answer.
pub(crate) fn failure(status: u16, error: &ErrorBody) -> Failure {
    let (kind, blame, retryable) = match meaning(error) {
        Some(meaning) => meaning,
        None => {
            let by_status = Failure::from_status(status, "");
            (by_status.kind, by_status.blame, by_status.retryable)
        }
    };
    // The provider's sentence about a refused credential often quotes a part of it.
    let message = match kind {
        FailureKind::Authentication => "the provider refused the gateway's credential".into(),
        _ => error.message.clone().unwrap_or_else(|| describe(kind).into()),
    };
    let mut failure = Failure::new(kind, blame, message).with_retryable(retryable);
    failure.code = error.code.clone().or_else(|| error.kind.clone().filter(|_| kind == FailureKind::Quota));
    failure.param = error.param.clone();
    failure
}

fn meaning(error: &ErrorBody) -> Option<(FailureKind, Blame, bool)> {
    use FailureKind as Kind;
    let message = error.message.as_deref().unwrap_or_default();
    for name in [error.code.as_deref(), error.kind.as_deref()].into_iter().flatten() {
        return Some(match name {
            "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => {
                (Kind::Quota, Blame::Credential, false)
            }
            "context_length_exceeded" => (Kind::ContextLength, Blame::Request, false),
            "content_policy_violation" | "content_filter" => (Kind::ContentFilter, Blame::Request, false),
            "invalid_api_key" | "authentication_error" | "account_deactivated" => {
                (Kind::Authentication, Blame::Credential, false)
            }
            "permission_error" | "model_not_allowed" => (Kind::Permission, Blame::Credential, false),
            "unsupported_country_region_territory" => (Kind::Permission, Blame::Provider, false),
            "model_not_found" => (Kind::NotFound, Blame::Model, false),
            "rate_limit_exceeded" | "rate_limit_error" => (Kind::RateLimited, Blame::Credential, true),
            "overloaded" | "overloaded_error" | "engine_overloaded" | "slow_down" => {
                (Kind::Overloaded, Blame::Provider, true)
            }
            "server_error" | "internal_error" => (Kind::Upstream, Blame::Provider, true),
            _ => continue,
        });
    }
    // Servers of this dialect that give no code say it in these words.
    let too_long = ["maximum context length", "context_length_exceeded", "context window"];
    if too_long.iter().any(|words| message.contains(words)) {
        return Some((Kind::ContextLength, Blame::Request, false));
    }
    None
}

fn describe(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::RateLimited => "the provider asks for fewer requests",
        FailureKind::Quota => "the provider's quota is used up",
        FailureKind::Overloaded => "the provider is overloaded",
        FailureKind::Timeout => "the provider ran out of time",
        FailureKind::NotFound => "the provider does not know this model or path",
        FailureKind::TooLarge => "the provider finds the request too large",
        FailureKind::Permission => "the provider does not permit this",
        FailureKind::InvalidRequest => "the provider finds the request invalid",
        _ => "the provider failed",
    }
}
