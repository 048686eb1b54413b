//! Answers in the client's dialect: heads, bodies and errors.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::{CallState, Downstream, Gone, Head, admit::boxed};
use crate::{auth, dialect::openai, error::Verdict, gateway::Gateway, limit::Caps, route};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sends a whole answer.
pub(super) async fn json<D: Downstream>(
    gateway: &Gateway,
    state: &CallState,
    body: Bytes,
    down: &mut D,
) -> Result<(), Gone> {
    let mut head = Head::whole(200, JSON, body.len());
    name_call(gateway, state, &mut head);
    down.begin(head).await?;
    down.write(body, true).await
}

/// Sends the head of a stream.
pub(super) async fn begin_stream<D: Downstream>(
    gateway: &Gateway,
    state: &CallState,
    down: &mut D,
) -> Result<(), Gone> {
    let mut head = Head { status: 200, content_type: EVENTS, length: None, headers: Vec::with_capacity(4) };
    name_call(gateway, state, &mut head);
    head.headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    // Keeps nginx from gathering events.
    head.headers.push((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")));
    down.begin(head).await
}

/// Sends an error.
pub(super) async fn error<D: Downstream>(
    gateway: &Gateway,
    state: &CallState,
    verdict: &Verdict,
    down: &mut D,
) -> Result<(), Gone> {
    let body = openai::error_body(&verdict.message, verdict.kind, &verdict.code, verdict.param.as_deref());
    let mut head = Head::whole(verdict.status, JSON, body.len());
    name_call(gateway, state, &mut head);
    if let Some(retry) = verdict.retry {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        head.headers.push((HeaderName::from_static("x-should-retry"), value));
    }
    if let Some(wait_ms) = verdict.retry_after_ms {
        head.headers.push((header::RETRY_AFTER, wait_ms.div_ceil(1000).into()));
        if wait_ms <= RETRY_AFTER_MS_MAX {
            head.headers.push((HeaderName::from_static("retry-after-ms"), wait_ms.into()));
        }
    }
    down.begin(head).await?;
    down.write(body.into(), true).await
}

/// SDKs wait at most this long.
const RETRY_AFTER_MS_MAX: u64 = 60_000;

/// The call's id, and where the caller stands with its limits.
fn name_call(gateway: &Gateway, state: &CallState, head: &mut Head) {
    if let Ok(id) = HeaderValue::from_str(&state.request_id) {
        head.headers.push((REQUEST_ID, id));
    }
    let Some(key) = state.key.as_deref().filter(|key| key.account.caps != Caps::default()) else { return };
    let room = key.account.spending.room(&key.account.caps, gateway.now_ms());
    for (names, headroom) in [(&REQUESTS_LEFT, room.requests), (&TOKENS_LEFT, room.tokens)] {
        let Some(headroom) = headroom else { continue };
        head.headers.push((names[0].clone(), headroom.limit.into()));
        head.headers.push((names[1].clone(), headroom.remaining.into()));
        let reset = headroom.reset_ms.and_then(|reset_ms| HeaderValue::try_from(openai::go_duration(reset_ms)).ok());
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

/// Answers a question about models. Not a call: it costs nothing, and leaves a row only where it is refused.
pub(super) async fn models<D: Downstream>(gateway: &Gateway, id: Option<&str>, down: &mut D) {
    let mut state = CallState::start(gateway, None);
    let snapshot = state.snapshot.clone();
    let x_api_key = HeaderName::from_static("x-api-key");
    let caller = auth::authenticate(
        &snapshot.keys,
        |key| gateway.hash_key(key),
        down.header(header::AUTHORIZATION),
        down.header(x_api_key),
        state.started_ms,
    );
    let body = caller.map_err(boxed).and_then(|key| {
        state.key = Some(key.clone());
        match id {
            Some(id) => route::find(&snapshot.serving.models, id, key.may_use(id))
                .map(|model| openai::model_body(&model.route.name, snapshot.created_s, model.owner()))
                .map_err(boxed),
            None => {
                let mut models: Vec<_> =
                    snapshot.serving.models.values().filter(|model| key.may_use(&model.route.name)).collect();
                models.sort_by(|a, b| a.route.name.cmp(&b.route.name));
                let listed = models.iter().map(|model| (model.route.name.as_str(), snapshot.created_s, model.owner()));
                Ok(openai::models_list(listed))
            }
        }
    });
    match body {
        Ok(body) => {
            down.discard_body().await;
            if json(gateway, &state, body.into(), down).await == Err(Gone) {
                down.close_after();
            }
        }
        Err(error) => state.refuse(gateway, &error, down).await,
    }
}
