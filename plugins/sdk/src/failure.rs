//! Making a [`Failure`], from what the adapter knows or from an HTTP status.

use crate::{Blame, Failure, FailureKind, Usage};
use alloc::string::String;

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
        use FailureKind as Kind;
        let (kind, blame, retryable) = match status {
            401 => (Kind::Authentication, Blame::Credential, false),
            402 => (Kind::Quota, Blame::Credential, false),
            403 => (Kind::Permission, Blame::Credential, false),
            404 => (Kind::NotFound, Blame::Model, false),
            408 | 504 => (Kind::Timeout, Blame::Provider, true),
            409 => (Kind::Upstream, Blame::Provider, true),
            413 => (Kind::TooLarge, Blame::Request, false),
            429 => (Kind::RateLimited, Blame::Credential, true),
            503 | 529 => (Kind::Overloaded, Blame::Provider, true),
            400..500 => (Kind::InvalidRequest, Blame::Request, false),
            _ => (Kind::Upstream, Blame::Provider, true),
        };
        Self::new(kind, blame, message).with_retryable(retryable)
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
