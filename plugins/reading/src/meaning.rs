//! What went wrong, and what another attempt must change.

use crate::ErrorBody;

/// What kind of failure a provider or an adapter reported. The gateway's one list; that of `wit/` mirrors it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    InvalidRequest,
    ContextLength,
    Authentication,
    Permission,
    Quota,
    RateLimited,
    Overloaded,
    Timeout,
    ContentFilter,
    NotFound,
    TooLarge,
    /// The request asks for what this provider cannot do.
    Unsupported,
    Upstream,
    /// The adapter's own.
    Internal,
}

impl FailureKind {
    /// A sentence for a provider that gives none.
    pub fn sentence(self) -> &'static str {
        match self {
            FailureKind::RateLimited => "The provider asks for fewer requests.",
            FailureKind::Quota => "The provider's quota is used up.",
            FailureKind::Overloaded => "The provider is overloaded.",
            FailureKind::Timeout => "The provider ran out of time.",
            FailureKind::NotFound => "The provider does not know this model or path.",
            FailureKind::TooLarge => "The provider says that the request is too large.",
            FailureKind::ContextLength => "The provider says that the prompt is too long for the model.",
            FailureKind::ContentFilter => "The provider's content filter refused the request.",
            FailureKind::Permission => "The provider does not permit this request.",
            FailureKind::Authentication => "The provider refused the gateway's credential.",
            FailureKind::InvalidRequest => "The provider says that the request is invalid.",
            FailureKind::Unsupported => "The provider cannot do what the request asks for.",
            FailureKind::Upstream => "The provider failed.",
            FailureKind::Internal => "The adapter failed.",
        }
    }
}

/// What is at fault, and so what another attempt must change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    Request,
    Credential,
    Model,
    Provider,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub kind: FailureKind,
    pub blame: Blame,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
}

const fn meaning(kind: FailureKind, blame: Blame, retryable: bool) -> Meaning {
    Meaning { kind, blame, retryable }
}

const UNKNOWN: Meaning = meaning(FailureKind::Upstream, Blame::Provider, true);

impl Meaning {
    /// What an HTTP status says by itself.
    pub fn of_status(status: u16) -> Meaning {
        match status {
            401 => meaning(FailureKind::Authentication, Blame::Credential, false),
            402 => meaning(FailureKind::Quota, Blame::Credential, false),
            403 => meaning(FailureKind::Permission, Blame::Credential, false),
            404 => meaning(FailureKind::NotFound, Blame::Model, false),
            408 | 504 => meaning(FailureKind::Timeout, Blame::Provider, true),
            // Of the way to the provider, and none of the client's doing.
            405 | 407 | 426 => meaning(FailureKind::Upstream, Blame::Provider, false),
            409 | 421 | 424 | 425 | 499 => UNKNOWN,
            413 => meaning(FailureKind::TooLarge, Blame::Request, false),
            429 => meaning(FailureKind::RateLimited, Blame::Credential, true),
            503 | 529 => meaning(FailureKind::Overloaded, Blame::Provider, true),
            400..500 => meaning(FailureKind::InvalidRequest, Blame::Request, false),
            _ => UNKNOWN,
        }
    }

    /// What an error of OpenAI's dialect says. Its own words go before the `status`: providers of this dialect send
    /// them with the wrong one, or inside a success.
    pub fn of_openai(status: u16, error: &ErrorBody) -> Meaning {
        let names = [error.code.as_deref(), error.kind.as_deref()];
        if let Some(known) = names.into_iter().flatten().find_map(named) {
            return known;
        }
        // Servers of this dialect that give no code say it in these words.
        let too_long = ["maximum context length", "context_length_exceeded", "context window"];
        if error.message.as_deref().is_some_and(|message| too_long.iter().any(|words| message.contains(words))) {
            return meaning(FailureKind::ContextLength, Blame::Request, false);
        }
        if status >= 400 {
            return Meaning::of_status(status);
        }
        // Inside a success there is no status, but some put it into the code.
        let code = error.code.as_deref().and_then(|code| code.parse().ok());
        match (code, error.kind.as_deref()) {
            (Some(status @ 400..600), _) => Meaning::of_status(status),
            // Said of nearly every error, so that it says least.
            (_, Some("invalid_request_error")) => meaning(FailureKind::InvalidRequest, Blame::Request, false),
            _ => UNKNOWN,
        }
    }
}

/// What a `code`, or else a `type`, of OpenAI's dialect means.
fn named(name: &str) -> Option<Meaning> {
    use Blame::{Credential, Model, Provider, Request};
    Some(match name {
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => {
            meaning(FailureKind::Quota, Credential, false)
        }
        "context_length_exceeded" => meaning(FailureKind::ContextLength, Request, false),
        "content_policy_violation" | "content_filter" => meaning(FailureKind::ContentFilter, Request, false),
        "invalid_api_key" | "authentication_error" | "account_deactivated" => {
            meaning(FailureKind::Authentication, Credential, false)
        }
        "permission_error" | "permission_denied" | "model_not_allowed" => {
            meaning(FailureKind::Permission, Credential, false)
        }
        "unsupported_country_region_territory" => meaning(FailureKind::Permission, Provider, false),
        "model_not_found" | "not_found_error" => meaning(FailureKind::NotFound, Model, false),
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => {
            meaning(FailureKind::RateLimited, Credential, true)
        }
        "overloaded" | "overloaded_error" | "engine_overloaded" | "server_overloaded" | "slow_down" => {
            meaning(FailureKind::Overloaded, Provider, true)
        }
        "timeout" | "timeout_error" | "request_timeout" => meaning(FailureKind::Timeout, Provider, true),
        "request_too_large" => meaning(FailureKind::TooLarge, Request, false),
        "server_error" | "internal_error" | "api_error" => UNKNOWN,
        _ => return None,
    })
}
