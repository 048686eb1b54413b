//! What an unsuccessful answer means.

use tollgate_plugin::{Context, ErrorBody, Failure, FailureKind, Response};

pub(crate) fn classify(context: &Context, response: &Response<'_>) -> Failure {
    let failure = failure(response.status, &response.error());
    let retryable = response.should_retry().unwrap_or(failure.retryable);
    failure.with_retryable(retryable).with_retry_after_ms(response.retry_after_ms(context.now_unix_ms))
}

/// The provider's sentence, if it has one that may be shown.
pub(crate) fn failure(status: u16, error: &ErrorBody) -> Failure {
    let failure = Failure::from_openai(status, error);
    match failure.kind {
        // About a refused credential the sentence often quotes a part of it.
        FailureKind::Authentication => {
            Failure { message: "The provider refused the gateway's credential.".into(), ..failure }
        }
        _ => failure,
    }
}
