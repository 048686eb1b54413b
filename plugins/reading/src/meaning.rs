//! What went wrong, and what another attempt must change.

use crate::ErrorBody;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
    Upstream,
}

impl Kind {
    /// A sentence for a provider that gives none.
    pub fn sentence(self) -> &'static str {
        match self {
            Kind::RateLimited => "the provider asks for fewer requests",
            Kind::Quota => "the provider's quota is used up",
            Kind::Overloaded => "the provider is overloaded",
            Kind::Timeout => "the provider ran out of time",
            Kind::NotFound => "the provider does not know this model or path",
            Kind::TooLarge => "the provider finds the request too large",
            Kind::ContextLength => "the provider finds the prompt too long for the model",
            Kind::ContentFilter => "the provider's content filter refused the request",
            Kind::Permission => "the provider does not permit this",
            Kind::Authentication => "the provider refused the gateway's credential",
            Kind::InvalidRequest => "the provider finds the request invalid",
            Kind::Upstream => "the provider failed",
        }
    }
}

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    Request,
    Credential,
    Model,
    Provider,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub kind: Kind,
    pub blame: Blame,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
}

const fn meaning(kind: Kind, blame: Blame, retryable: bool) -> Meaning {
    Meaning { kind, blame, retryable }
}

const UNKNOWN: Meaning = meaning(Kind::Upstream, Blame::Provider, true);

impl Meaning {
    /// What an HTTP status says by itself.
    pub fn of_status(status: u16) -> Meaning {
        match status {
            401 => meaning(Kind::Authentication, Blame::Credential, false),
            402 => meaning(Kind::Quota, Blame::Credential, false),
            403 => meaning(Kind::Permission, Blame::Credential, false),
            404 => meaning(Kind::NotFound, Blame::Model, false),
            408 | 504 => meaning(Kind::Timeout, Blame::Provider, true),
            409 => UNKNOWN,
            413 => meaning(Kind::TooLarge, Blame::Request, false),
            429 => meaning(Kind::RateLimited, Blame::Credential, true),
            503 | 529 => meaning(Kind::Overloaded, Blame::Provider, true),
            400..500 => meaning(Kind::InvalidRequest, Blame::Request, false),
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
            return meaning(Kind::ContextLength, Blame::Request, false);
        }
        if status >= 400 {
            return Meaning::of_status(status);
        }
        // Inside a success there is no status, but some put it into the code.
        let code = error.code.as_deref().and_then(|code| code.parse().ok());
        match (code, error.kind.as_deref()) {
            (Some(status @ 400..600), _) => Meaning::of_status(status),
            // Said of nearly every error, so that it says least.
            (_, Some("invalid_request_error")) => meaning(Kind::InvalidRequest, Blame::Request, false),
            _ => UNKNOWN,
        }
    }
}

/// What a `code`, or else a `type`, of OpenAI's dialect means.
fn named(name: &str) -> Option<Meaning> {
    use Blame::{Credential, Model, Provider, Request};
    Some(match name {
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => {
            meaning(Kind::Quota, Credential, false)
        }
        "context_length_exceeded" => meaning(Kind::ContextLength, Request, false),
        "content_policy_violation" | "content_filter" => meaning(Kind::ContentFilter, Request, false),
        "invalid_api_key" | "authentication_error" | "account_deactivated" => {
            meaning(Kind::Authentication, Credential, false)
        }
        "permission_error" | "permission_denied" | "model_not_allowed" => meaning(Kind::Permission, Credential, false),
        "unsupported_country_region_territory" => meaning(Kind::Permission, Provider, false),
        "model_not_found" | "not_found_error" => meaning(Kind::NotFound, Model, false),
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => {
            meaning(Kind::RateLimited, Credential, true)
        }
        "overloaded" | "overloaded_error" | "engine_overloaded" | "server_overloaded" | "slow_down" => {
            meaning(Kind::Overloaded, Provider, true)
        }
        "timeout" | "timeout_error" | "request_timeout" => meaning(Kind::Timeout, Provider, true),
        "request_too_large" => meaning(Kind::TooLarge, Request, false),
        "server_error" | "internal_error" | "api_error" => UNKNOWN,
        _ => return None,
    })
}
