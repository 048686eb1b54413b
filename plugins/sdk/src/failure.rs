//! Making a [`Failure`], from what the adapter knows or from an HTTP status.

use alloc::string::String;

use tollgate_reading::{self as reading, ErrorBody, FailureKind as Kind, Meaning};

use crate::{Blame, Failure, FailureKind, Usage};

impl Failure {
    /// Not retryable, and with nothing but a message; the `with_` methods add to it.
    pub fn new(kind: FailureKind, blame: Blame, message: impl Into<String>) -> Self {
        Self { kind, blame, retryable: false, retry_after_ms: None, code: None, param: None, message: message.into() }
    }

    /// The request is wrong in `param`, for every provider.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::InvalidRequest, Blame::Request, message).with_param(param)
    }

    /// The request asks in `param` for what this provider cannot do.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Unsupported, Blame::Provider, message)
            .with_code("unsupported_parameter")
            .with_param(param)
    }

    /// The provider answered with something that is not its dialect, or stopped in the middle.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Upstream, Blame::Provider, message).with_retryable(true)
    }

    /// What an HTTP status says by itself. An adapter that knows more says more.
    pub fn from_status(status: u16, message: impl Into<String>) -> Self {
        Self::from_meaning(Meaning::of_status(status), message)
    }

    /// What an error of OpenAI's dialect says, with the provider's own sentence, code and field. `status` is that of the
    /// answer that held it, be it a success.
    pub fn from_openai(status: u16, error: &ErrorBody) -> Self {
        let meaning = Meaning::of_openai(status, error);
        let message = error.message.as_deref().unwrap_or(meaning.kind.sentence());
        let code = error.code_for(meaning.kind).map(String::from);
        Self { code, param: error.param.clone(), ..Self::from_meaning(meaning, message) }
    }

    fn from_meaning(meaning: Meaning, message: impl Into<String>) -> Self {
        let kind = match meaning.kind {
            Kind::InvalidRequest => FailureKind::InvalidRequest,
            Kind::ContextLength => FailureKind::ContextLength,
            Kind::Authentication => FailureKind::Authentication,
            Kind::Permission => FailureKind::Permission,
            Kind::Quota => FailureKind::Quota,
            Kind::RateLimited => FailureKind::RateLimited,
            Kind::Overloaded => FailureKind::Overloaded,
            Kind::Timeout => FailureKind::Timeout,
            Kind::ContentFilter => FailureKind::ContentFilter,
            Kind::NotFound => FailureKind::NotFound,
            Kind::TooLarge => FailureKind::TooLarge,
            Kind::Unsupported => FailureKind::Unsupported,
            Kind::Upstream => FailureKind::Upstream,
            Kind::Internal => FailureKind::Internal,
        };
        let blame = match meaning.blame {
            reading::Blame::Request => Blame::Request,
            reading::Blame::Credential => Blame::Credential,
            reading::Blame::Model => Blame::Model,
            reading::Blame::Provider => Blame::Provider,
        };
        Self::new(kind, blame, message).with_retryable(meaning.retryable)
    }

    pub fn with_retryable(self, retryable: bool) -> Self {
        Self { retryable, ..self }
    }

    pub fn with_retry_after_ms(self, retry_after_ms: Option<u64>) -> Self {
        Self { retry_after_ms, ..self }
    }

    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    pub fn with_param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }
}

impl Usage {
    pub const ZERO: Self =
        Self { input_tokens: 0, output_tokens: 0, cached_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0 };
}
