//! Answers in the client's dialect: heads, bodies and errors.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::{
    call_state::CallState,
    client::{ClientGoneError, Downstream, Head},
};
use crate::{error::Verdict, gateway::Gateway, limit::Caps};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How much of an answer goes out after its call has left its place, in bytes.
const LAST_BYTES_MAX: usize = 16 << 10;

/// Sends a whole answer.
pub(super) async fn json<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    mut body: Bytes,
    client: &mut D,
) -> Result<(), ClientGoneError> {
    let mut head = Head::whole(200, JSON, body.len());
    name_call(gateway, state, &mut head);
    client.begin(head).await?;
    if body.len() > LAST_BYTES_MAX {
        let first = body.split_to(body.len() - LAST_BYTES_MAX);
        client.write(first, false).await?;
    }
    // Before the last piece: a client that has all of its answer may make its next call.
    state.leave_place();
    client.write(body, true).await
}

/// Sends the head of a stream.
pub(super) async fn begin_stream<D: Downstream>(
    gateway: &Gateway,
    state: &CallState,
    client: &mut D,
) -> Result<(), ClientGoneError> {
    let mut head = Head { status: 200, content_type: EVENTS, length: None, headers: Vec::with_capacity(4) };
    name_call(gateway, state, &mut head);
    head.headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    // Keeps nginx from gathering events.
    head.headers.push((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")));
    client.begin(head).await
}

/// Sends an error.
pub(super) async fn error<D: Downstream>(
    gateway: &Gateway,
    state: &CallState,
    verdict: &Verdict,
    client: &mut D,
) -> Result<(), ClientGoneError> {
    let body = state.identity.dialect.refuse(&verdict.refusal());
    let mut head = Head::whole(verdict.status, JSON, body.len());
    name_call(gateway, state, &mut head);
    if let Some(retry) = verdict.retry {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        head.headers.push((HeaderName::from_static("x-should-retry"), value));
    }
    if let Some(wait_ms) = verdict.retry_after_ms {
        head.headers.push((header::RETRY_AFTER, wait_ms.div_ceil(1000).into()));
        // An SDK that is told to wait a second too long does not wait at all: it is told a second less, and comes again.
        if wait_ms <= RETRY_AFTER_MS_MAX + 1000 {
            head.headers.push((HeaderName::from_static("retry-after-ms"), wait_ms.min(RETRY_AFTER_MS_MAX).into()));
        }
    }
    client.begin(head).await?;
    client.write(body.into(), true).await
}

/// Ends a stream that the client has seen the beginning of.
pub(super) async fn break_off<D: Downstream>(state: &CallState, verdict: &Verdict, client: &mut D) {
    let event = state.identity.dialect.break_off(&verdict.refusal());
    if client.write(event.into(), true).await == Err(ClientGoneError) {
        client.close_after();
    }
}

/// SDKs wait at most this long.
const RETRY_AFTER_MS_MAX: u64 = 60_000;

/// The call's id, and where the caller stands with its limits.
fn name_call(gateway: &Gateway, state: &CallState, head: &mut Head) {
    if let Ok(id) = HeaderValue::from_str(&state.identity.request_id) {
        head.headers.push((REQUEST_ID, id));
    }
    let Some(key) = state.identity.key.as_deref().filter(|key| key.account.caps != Caps::default()) else { return };
    let left = key.account.spending.rate_limits(&key.account.caps, gateway.time());
    for (names, headroom) in [(&REQUESTS_LEFT, left.requests), (&TOKENS_LEFT, left.tokens)] {
        let Some(headroom) = headroom else { continue };
        head.headers.push((names[0].clone(), headroom.limit.into()));
        head.headers.push((names[1].clone(), headroom.remaining.into()));
        let duration = |reset_ms| HeaderValue::try_from(state.identity.dialect.duration(reset_ms)).ok();
        let reset = headroom.reset_ms.and_then(duration);
        head.headers.extend(reset.map(|reset| (names[2].clone(), reset)));
    }
}

const REQUESTS_LEFT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS_LEFT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
