//! Why a call was refused, and what the client, the row and the metric call it.
//!
//! One variant per room, one table of verdicts. Never a policy, never a log line: whoever holds an [`Error`] decides
//! whether to try again.

use std::borrow::Cow;

use crate::{
    auth::AuthError,
    call::{Failure, FailureKind, ParseError},
    dialect::Refusal,
    limit::{Limit, LimitError},
    plugin::{PluginError, printable},
    route::RouteError,
    secret::Redactor,
    upstream::UpstreamError,
};

/// Why a call was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] ParseError),
    #[error(transparent)]
    Denied(#[from] AuthError),
    #[error(transparent)]
    Unroutable(#[from] RouteError),
    #[error(transparent)]
    Exceeded(#[from] LimitError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("{}", plugin_message(&format!("the plugin of provider `{provider}`"), fault))]
    Plugin { provider: String, fault: PluginError },
    /// The plugin of a prompt template, which has nothing to do with a provider.
    #[error("{}", plugin_message(&format!("the template plugin `{plugin}`"), fault))]
    Renderer { plugin: String, fault: PluginError },
    #[error("provider `{provider}`: {}", failure.message)]
    Provider { provider: String, failure: Failure },
    #[error("provider `{provider}`: {trouble}")]
    Upstream { provider: String, trouble: UpstreamError },
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The row could not be kept, so the answer is withheld.
    #[error("the call could not be recorded, so it is not answered")]
    Unrecorded,
}

/// What is wrong with a template or its use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template `{0}` does not exist")]
    Unknown(String),
    #[error("the template variable `{0}` is missing")]
    Missing(String),
    #[error("the template could not be rendered: {0}")]
    Broken(String),
}

/// What is wrong with a request besides its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the request's head is not valid HTTP: check `host`, `content-length` and `transfer-encoding`")]
    Head,
    #[error("the request's head has too many headers, or too long ones")]
    HeadTooLarge,
    #[error("there is nothing at this path")]
    Path,
    #[error("this path does not take the method {0}")]
    Method(String),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the gateway holds as many request bodies as it may: try again")]
    NoRoom,
    #[error("the gateway holds as many answers as it may: try again")]
    NoRoomForAnswer,
    #[error("the body took too long to arrive")]
    Slow,
    #[error("the body ended before it was complete")]
    Broken,
    #[error("the `content-encoding` of the body is not supported: use `gzip`, `zstd` or none")]
    UnsupportedEncoding,
    #[error("the body cannot be decoded as its `content-encoding` says")]
    InvalidEncoding,
    #[error("the request has passed through this gateway before: a provider's `base_url` leads back to it")]
    Loop,
    #[error("the gateway is stopping and takes no calls")]
    Draining,
    #[error("the gateway serves as many calls as it may: try again soon")]
    Busy,
    /// The client left before it was answered. It sees none of this; the row does.
    #[error("the client left")]
    ClientGone,
}

/// How one refusal looks from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: u16,
    /// OpenAI's `error.type`.
    pub kind: &'static str,
    /// The stable name: in rows, metrics and logs, and in `error.code` unless the provider has one of its own to show.
    pub class: &'static str,
    /// `error.code`.
    pub code: Cow<'static, str>,
    pub param: Option<String>,
    pub message: String,
    /// Shown in seconds whatever it is, and in milliseconds up to a minute: SDKs ignore longer ones.
    pub retry_after_ms: Option<u64>,
    /// `x-should-retry`, where the status alone would mislead an SDK.
    pub retry: Option<bool>,
}

impl Verdict {
    /// What a dialect writes of it.
    pub fn refusal(&self) -> Refusal<'_> {
        Refusal { message: &self.message, kind: self.kind, code: &self.code, param: self.param.as_deref() }
    }
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";
const RATE: &str = "rate_limit_error";

impl Error {
    /// The one table of what each refusal looks like.
    pub fn verdict(&self, redactor: &Redactor) -> Verdict {
        let plain = |status, kind, class| self.as_verdict(status, kind, class);
        match self {
            Error::Invalid(invalid) => {
                Verdict { param: invalid.param().map(str::to_owned), ..plain(400, INVALID, invalid.code()) }
            }
            Error::Denied(denied) => plain(401, INVALID, denied_class(denied)),
            Error::Unroutable(RouteError::Unknown(_)) => with_param(plain(404, INVALID, "model_not_found"), "model"),
            Error::Unroutable(RouteError::Forbidden(_)) => {
                with_param(plain(403, "permission_error", "model_not_allowed"), "model")
            }
            Error::Exceeded(exceeded) => self.exceeded(exceeded),
            Error::Template(TemplateError::Unknown(_)) => {
                with_param(plain(404, INVALID, "template_not_found"), "template.name")
            }
            Error::Template(TemplateError::Missing(name)) => Verdict {
                param: Some(format!("template.variables.{name}")),
                ..plain(400, INVALID, "template_variable_missing")
            },
            Error::Template(TemplateError::Broken(_)) => {
                with_param(plain(400, INVALID, "template_invalid"), "template")
            }
            Error::Plugin { fault, .. } | Error::Renderer { fault, .. } => self.plugin(fault),
            Error::Provider { failure, .. } => self.provider(failure, redactor),
            Error::Upstream { trouble, .. } => {
                let status = if trouble.is_timeout() { 504 } else { 502 };
                Verdict { retry: Some(false), ..plain(status, SERVER, trouble.code()) }
            }
            Error::Request(request) => self.request(request),
            Error::Unrecorded => plain(503, SERVER, "ledger_unavailable"),
        }
    }

    fn as_verdict(&self, status: u16, kind: &'static str, class: &'static str) -> Verdict {
        Verdict {
            status,
            kind,
            class,
            code: Cow::Borrowed(class),
            param: None,
            message: sentence(&self.to_string()),
            retry_after_ms: None,
            retry: None,
        }
    }

    fn exceeded(&self, exceeded: &LimitError) -> Verdict {
        let class = match exceeded.limit {
            Limit::RequestsPerMinute => "requests_per_minute_exceeded",
            Limit::Concurrent => "concurrent_calls_exceeded",
            Limit::TokensPerDay => "tokens_per_day_exceeded",
            Limit::TokensPerMonth => "tokens_per_month_exceeded",
            Limit::TokensTotal => "tokens_total_exceeded",
            Limit::MoneyPerDay => "money_per_day_exceeded",
            Limit::MoneyPerMonth => "money_per_month_exceeded",
            Limit::MoneyTotal => "money_total_exceeded",
        };
        let retry_after_ms = exceeded.retry_after_ms;
        let soon = retry_after_ms.is_some_and(|wait| wait <= RETRY_SOON_MS_MAX);
        let kind = if soon { RATE } else { "insufficient_quota" };
        let retry = if soon { None } else { Some(false) };
        Verdict { retry_after_ms, retry, ..self.as_verdict(429, kind, class) }
    }

    fn plugin(&self, fault: &PluginError) -> Verdict {
        let (status, class) = match fault {
            PluginError::Busy(_) => (503, "plugin_busy"),
            PluginError::Resting { .. } => (503, "plugin_resting"),
            PluginError::Deadline => (504, "plugin_deadline_exceeded"),
            _ => (502, "plugin_failed"),
        };
        let retry = if status == 503 { None } else { Some(false) };
        let retry_after_ms = match fault {
            PluginError::Resting { retry_after_ms } => Some(*retry_after_ms),
            _ => None,
        };
        Verdict { retry, retry_after_ms, ..self.as_verdict(status, SERVER, class) }
    }

    fn provider(&self, failure: &Failure, redactor: &Redactor) -> Verdict {
        let (status, kind, class) = match failure.kind {
            FailureKind::InvalidRequest => (400, INVALID, "invalid_request"),
            FailureKind::ContextLength => (400, INVALID, "context_length_exceeded"),
            FailureKind::ContentFilter => (400, INVALID, "content_filter"),
            FailureKind::Unsupported => (400, INVALID, "unsupported_parameter"),
            FailureKind::NotFound => (404, INVALID, "model_not_found"),
            FailureKind::TooLarge => (413, INVALID, "request_too_large"),
            // Our key at the provider, not the client's with us: never a 401.
            FailureKind::Authentication | FailureKind::Permission => (502, SERVER, "upstream_authentication_error"),
            FailureKind::Quota => (429, "insufficient_quota", "insufficient_quota"),
            FailureKind::RateLimited => (429, RATE, "rate_limit_exceeded"),
            FailureKind::Overloaded => (503, SERVER, "upstream_overloaded"),
            FailureKind::Timeout => (504, SERVER, "upstream_timeout"),
            FailureKind::Upstream => (502, SERVER, "upstream_error"),
            FailureKind::Internal => (502, SERVER, "adapter_error"),
        };
        let shown = |text: &String| redactor.redact(text).into_owned();
        let theirs = failure.code.as_ref().filter(|_| status == 400).map(|code| Cow::Owned(shown(code)));
        let message = match failure.kind {
            FailureKind::Authentication | FailureKind::Permission => {
                "The provider refused the gateway's credential.".to_owned()
            }
            _ if failure.message.trim().is_empty() => "The provider failed without saying why.".to_owned(),
            // In the provider's own words and spelling.
            _ => printable(&redactor.redact(&failure.message), MESSAGE_BYTES_MAX),
        };
        let retry = (failure.kind == FailureKind::Quota || status >= 500).then_some(false);
        Verdict {
            status,
            kind,
            class,
            code: theirs.unwrap_or(Cow::Borrowed(class)),
            param: failure.param.as_ref().map(shown),
            message,
            retry_after_ms: failure.retry_after_ms,
            retry,
        }
    }

    fn request(&self, request: &RequestError) -> Verdict {
        let (status, class) = match request {
            RequestError::Head => (400, "head_invalid"),
            RequestError::HeadTooLarge => (431, "head_too_large"),
            RequestError::Path => (404, "path_not_found"),
            RequestError::Method(_) => (405, "method_not_allowed"),
            RequestError::TooLarge(_) => (413, "request_too_large"),
            RequestError::NoRoom => (503, "bodies_busy"),
            RequestError::NoRoomForAnswer => (503, "answers_busy"),
            RequestError::Slow => (408, "request_timeout"),
            RequestError::Broken => (400, "body_incomplete"),
            RequestError::UnsupportedEncoding => (415, "unsupported_content_encoding"),
            RequestError::InvalidEncoding => (400, "content_encoding_invalid"),
            RequestError::Loop => (508, "loop_detected"),
            RequestError::Draining => (503, "gateway_unavailable"),
            RequestError::Busy => (503, "gateway_busy"),
            RequestError::ClientGone => (499, "client_gone"),
        };
        let kind = if status >= 500 { SERVER } else { INVALID };
        let retry_after_ms =
            matches!(request, RequestError::NoRoom | RequestError::NoRoomForAnswer).then_some(NO_ROOM_RETRY_AFTER_MS);
        Verdict { retry_after_ms, ..self.as_verdict(status, kind, class) }
    }
}

/// Bodies and answers come and go with their calls: there is room again soon, or not at all.
const NO_ROOM_RETRY_AFTER_MS: u64 = 1_000;

/// What is worth waiting for. A minute's window rolls by the second, so that a wait for it can be a second longer.
const RETRY_SOON_MS_MAX: u64 = 61_000;

/// The longest message a client is shown, in bytes.
const MESSAGE_BYTES_MAX: usize = 1000;

/// What is all in use is nobody's fault, so that nobody is named.
fn plugin_message(plugin: &str, fault: &PluginError) -> String {
    match fault {
        PluginError::Busy(scarce) => scarce.to_string(),
        PluginError::Resting { .. } => format!("{plugin} failed too often and is not called for a while"),
        _ => format!("{plugin} failed"),
    }
}

fn denied_class(denied: &AuthError) -> &'static str {
    match denied {
        AuthError::Missing => "key_missing",
        AuthError::Malformed | AuthError::Unknown => "invalid_api_key",
        AuthError::Revoked => "key_revoked",
        AuthError::Expired => "key_expired",
    }
}

fn with_param(verdict: Verdict, param: &str) -> Verdict {
    Verdict { param: Some(param.to_owned()), ..verdict }
}

/// An error of the gateway's own as clients read it: bounded, a capital first, a full stop last.
fn sentence(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text[..end].trim();
    let mut chars = text.chars();
    let mut sentence: String = chars.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    sentence.push_str(chars.as_str());
    if !sentence.ends_with(['.', '!', '?', '。', '！', '？']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests;
