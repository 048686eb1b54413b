use super::*;
use crate::{call::Blame, plugin::Scarce, secret::Secret};

fn verdict(error: impl Into<Error>) -> Verdict {
    error.into().verdict(&Redactor::default())
}

fn provider(kind: FailureKind, message: &str, code: Option<&str>) -> Error {
    let failure = Failure {
        kind,
        blame: Blame::Provider,
        retryable: false,
        retry_after_ms: None,
        code: code.map(str::to_owned),
        param: None,
        message: message.to_owned(),
    };
    Error::Provider { provider: "p".to_owned(), failure }
}

#[test]
fn a_providers_refusal_of_our_key_is_never_a_401_and_never_quotes_it() {
    for kind in [FailureKind::Authentication, FailureKind::Permission] {
        let verdict = verdict(provider(kind, "Incorrect API key provided: sk-live-1234567890abcdef", None));
        assert_eq!((verdict.status, verdict.class), (502, "upstream_authentication_error"));
        assert!(!verdict.message.contains("sk-"), "{}", verdict.message);
    }
}

#[test]
fn a_key_in_a_providers_words_is_removed() {
    let verdict = verdict(provider(FailureKind::InvalidRequest, "bad key sk-abcdefghijklmnopqrstuvwx here", None));
    assert!(!verdict.message.contains("sk-abcdefghijklmnopqrstuvwx"), "{}", verdict.message);
}

#[test]
fn a_key_in_any_words_of_a_providers_is_removed() {
    let key = "sk-SECRET/abc+def/0123456789==";
    let Error::Provider { provider, failure } = provider(FailureKind::InvalidRequest, key, Some(key)) else { return };
    let failure = Failure { param: Some(format!("messages[0].{key}")), ..failure };
    let verdict = Error::Provider { provider, failure }.verdict(&Redactor::new([Secret::new(key.to_owned())]));
    for shown in [&*verdict.message, &verdict.code, verdict.param.as_deref().unwrap()] {
        assert!(shown.contains("redacted") && !shown.contains("SECRET"), "{shown}");
    }
}

#[test]
fn a_providers_own_code_is_shown_for_bad_requests_and_the_class_stays_ours() {
    let shown = verdict(provider(FailureKind::InvalidRequest, "m", Some("invalid_image_url")));
    assert_eq!((shown.code.as_ref(), shown.class), ("invalid_image_url", "invalid_request"));
    let hidden = verdict(provider(FailureKind::Upstream, "m", Some("weird")));
    assert_eq!(hidden.code, "upstream_error");
}

#[test]
fn a_cap_that_waiting_does_not_bring_back_is_not_worth_a_retry() {
    let exceeded = |limit, retry_after_ms| LimitError {
        limit,
        account: "key_1".into(),
        cap: 1,
        remaining: 0,
        wanted: 1,
        currency: None,
        retry_after_ms,
    };
    let minute = verdict(exceeded(Limit::RequestsPerMinute, Some(1500)));
    assert_eq!((minute.status, minute.kind, minute.retry, minute.retry_after_ms), (429, RATE, None, Some(1500)));
    let last = verdict(exceeded(Limit::RequestsPerMinute, Some(60_900)));
    assert_eq!((last.kind, last.retry, last.retry_after_ms), (RATE, None, Some(60_900)), "no less than it takes");
    for wait in [None, Some(3_600_000)] {
        let day = verdict(exceeded(Limit::TokensPerDay, wait));
        assert_eq!((day.status, day.kind, day.retry), (429, "insufficient_quota", Some(false)));
    }
}

#[test]
fn a_provider_is_quoted_as_it_spells_and_no_message_forges_a_line() {
    let shown = |message: &str| verdict(provider(FailureKind::InvalidRequest, message, None)).message;
    for message in [
        "max_tokens: 999999 > 8192, which is the maximum for this model",
        "`top_k` must be positive",
        "模型不支持该参数",
        "参数错误。",
        "iPhone",
    ] {
        assert_eq!(shown(message), message);
    }
    assert_eq!(shown("bad\u{1b}[2J\r\nvalue"), "bad\\u{1b}[2J\\u{d} value");
    let long = shown(&"é".repeat(2000));
    assert!(long.starts_with("éé") && long.ends_with('…') && long.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    assert_eq!(shown(" "), "The provider failed without saying why.");
}

#[test]
fn messages_are_sentences_of_bounded_length() {
    assert_eq!(sentence("the model `x` does not exist"), "The model `x` does not exist.");
    assert_eq!(sentence("really?"), "Really?");
    assert!(sentence(&"é".repeat(2000)).len() <= MESSAGE_BYTES_MAX + 1);
}

#[test]
fn every_refusal_has_a_status_that_says_whose_fault_it_is() {
    for (error, status, class) in [
        (Error::from(AuthError::Missing), 401, "key_missing"),
        (AuthError::Revoked.into(), 401, "key_revoked"),
        (AuthError::Expired.into(), 401, "key_expired"),
        (RouteError::Unknown("m".into()).into(), 404, "model_not_found"),
        (RouteError::Forbidden("m".into()).into(), 403, "model_not_allowed"),
        (TemplateError::Missing("name".into()).into(), 400, "template_variable_missing"),
        (RequestError::TooLarge(1).into(), 413, "request_too_large"),
        (RequestError::NoRoomForAnswer.into(), 503, "answers_busy"),
        (RequestError::Head.into(), 400, "head_invalid"),
        (Error::Plugin { provider: "p".into(), fault: PluginError::Deadline }, 504, "plugin_deadline_exceeded"),
        (Error::Plugin { provider: "p".into(), fault: PluginError::Busy(Scarce::Calls) }, 503, "plugin_busy"),
        (
            Error::Plugin { provider: "p".into(), fault: PluginError::Resting { retry_after_ms: 900 } },
            503,
            "plugin_resting",
        ),
        (Error::Upstream { provider: "p".into(), trouble: UpstreamError::Reset }, 502, "upstream_connection_closed"),
        (
            Error::Upstream { provider: "p".into(), trouble: UpstreamError::FirstByteTimeout },
            504,
            "upstream_first_byte_timeout",
        ),
        (Error::Unrecorded, 503, "ledger_unavailable"),
    ] {
        let verdict = verdict(error);
        assert_eq!((verdict.status, verdict.class), (status, class));
        assert_eq!(verdict.code, class);
    }
}

#[test]
fn a_place_that_is_taken_blames_nobody_and_a_plugin_that_rests_says_when_to_come_back() {
    let verdict = |fault| Error::Plugin { provider: "innocent".into(), fault }.verdict(&Redactor::default());
    for (scarce, message) in [
        (Scarce::Calls, "All places for plugin calls are in use."),
        (Scarce::Streams, "All places for streams through plugins are in use."),
        (Scarce::Memory, "The memory for plugin calls is in use."),
        (Scarce::Processor, "The processor time for plugin calls is in use."),
        (Scarce::Queue, "Too many calls wait to begin with long plugin work."),
    ] {
        assert_eq!(verdict(PluginError::Busy(scarce)).message, message);
    }
    let resting = verdict(PluginError::Resting { retry_after_ms: 900 });
    assert!(resting.message.starts_with("The plugin of provider `innocent` failed too often"), "{}", resting.message);
    assert_eq!((resting.retry_after_ms, resting.retry), (Some(900), None));
}

#[test]
fn a_template_plugin_that_fails_is_not_called_a_providers() {
    let error = Error::Renderer { plugin: "braces".into(), fault: PluginError::Memory };
    let verdict = error.verdict(&Redactor::default());
    assert_eq!(verdict.message, "The template plugin `braces` failed.");
    assert_eq!((verdict.status, verdict.class), (502, "plugin_failed"));
}
