//! One attempt at one target: encode, sign, exchange, and hand the answer on.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::{Admitted, CallState, Downstream, Gone, streamed, whole};
use crate::{
    call::{Blame, Call, Failure, FailureKind},
    error::Error,
    gateway::Gateway,
    plugin::{Body, Context, PluginError, Request, View},
    sign,
    snapshot::ModelTarget,
    upstream::{Answer, Class, Exchange, Outgoing, Picked, UpstreamError},
};

/// Why an attempt did not answer the client.
pub(super) enum Stop {
    /// The client left.
    Gone,
    /// Nothing went to the client; another attempt may serve.
    Failed(Failed),
    /// Another attempt would fail alike.
    Final(Box<Error>),
}

/// What the rules of retrying need to know of a failed attempt.
pub(super) struct Failed {
    pub(super) error: Box<Error>,
    /// None where only another target may help.
    pub(super) class: Option<Class>,
    pub(super) retry_after: Option<Duration>,
}

/// A request that a provider has been sent, and what it takes to read the answer.
pub(super) struct Sent<'a> {
    pub(super) target: &'a ModelTarget,
    pub(super) request: Request,
    pub(super) context: Context<'a>,
    pub(super) exchange: Exchange,
    pub(super) answer: Answer,
    /// When the first event must be there.
    pub(super) first_byte_by: Instant,
    /// When the whole answer must be there.
    pub(super) total_by: Instant,
}

/// How much of an error's body is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;
/// Bodies beyond this are translated away from the workers, in bytes.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// Tries `target` once. `Ok` means that the client has its answer, whole or broken off, and the ledger its row.
pub(super) async fn attempt<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    target: &ModelTarget,
    down: &mut D,
) -> Result<(), Stop> {
    state.enter(target);
    let picked = target.provider.keys.pick(gateway.now_ms());
    let request_id = state.request_id.clone();
    let context = Context {
        request_id: &request_id,
        operation: admitted.call.operation,
        model: &target.upstream_model,
        streaming: admitted.call.stream,
        config: &target.config,
        now_ms: state.started_ms,
        seed: state.seed(),
        state: None,
    };
    let (request, body) = encode(target, &context, admitted, picked.as_ref()).await?;
    let key = picked.as_ref().map(|picked| picked.index);
    let began = Instant::now();
    let sent = send(gateway, state, target, &request, body, picked, down).await;
    state.waited += began.elapsed();
    let outcome = match sent {
        Ok((exchange, answer, sent_at)) => {
            let clocks = &target.provider.clocks;
            let plugin_state = request.state.clone();
            let context = Context { state: plugin_state.as_deref(), ..context };
            let (first_byte_by, total_by) = (sent_at + clocks.first_byte, sent_at + clocks.total);
            let sent = Sent { target, request, context, exchange, answer, first_byte_by, total_by };
            answered(gateway, state, admitted, sent, key, down).await
        }
        Err(stop) => Err(stop),
    };
    target.metrics.attempt(match &outcome {
        Ok(()) => "ok",
        Err(Stop::Gone) => "client_gone",
        Err(Stop::Failed(failed)) => failed.error.verdict(&state.snapshot.serving.redactor).class,
        Err(Stop::Final(error)) => error.verdict(&state.snapshot.serving.redactor).class,
    });
    outcome
}

/// The provider's request for this call, and its body.
async fn encode(
    target: &ModelTarget,
    context: &Context<'_>,
    admitted: &Admitted,
    picked: Option<&Picked<'_>>,
) -> Result<(Request, Bytes), Stop> {
    let call = &admitted.call;
    let secret = picked.map(|picked| picked.secret.expose().as_bytes());
    let encoded = match target.adapter.description().view {
        View::Head => target.adapter.encode(context, &call.head(), secret),
        View::Whole if call.body().len() <= INLINE_BYTES_MAX => target.adapter.encode(context, text(call), secret),
        // The worker goes on serving others meanwhile.
        View::Whole => tokio::task::block_in_place(|| target.adapter.encode(context, text(call), secret)),
    };
    let mut request =
        encoded.map_err(|fault| plugin_failed(target, fault))?.map_err(|failure| failed(target, failure))?;
    let body = match std::mem::replace(&mut request.body, Body::Edits(Vec::new())) {
        Body::Edits(edits) => call.edited(&edits),
        Body::Whole(text) => Bytes::from(text),
    };
    Ok((request, body))
}

/// The whole canonical request.
fn text(call: &Call) -> &str {
    std::str::from_utf8(call.body()).expect("a call's body was found to be UTF-8 when it was parsed")
}

/// Sends the request and reads the head of the answer; once more on a fresh connection where a kept one was closed.
async fn send<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    target: &ModelTarget,
    request: &Request,
    body: Bytes,
    picked: Option<Picked<'_>>,
    down: &mut D,
) -> Result<(Exchange, Answer, Instant), Stop> {
    let secret = picked.as_ref().map(|picked| picked.secret.expose());
    let credential = sign::apply(&request.auth, secret, gateway.now_ms())
        .map_err(|error| failed(target, Failure::of_provider(FailureKind::Authentication, error.to_string())))?;
    let path = credential.extend_path(&request.path);
    loop {
        let outgoing = Outgoing {
            method: request.method,
            path: &path,
            headers: &request.headers,
            credential: &credential,
            body: body.clone(),
        };
        let mut exchange =
            gateway.connector.open(&target.provider).await.map_err(|trouble| in_trouble(target, trouble))?;
        state.sent();
        let taken = tokio::select! {
            biased;
            taken = exchange.send(&target.provider, outgoing) => taken,
            () = down.gone() => return Err(Stop::Gone),
        };
        let sent_at = Instant::now();
        let deadline = sent_at + target.provider.clocks.first_byte;
        // Also after a failed write: the provider may have answered early.
        let head = tokio::select! {
            biased;
            head = timeout_at(deadline, exchange.head()) => head,
            () = down.gone() => return Err(Stop::Gone),
        };
        match (head, taken) {
            (Ok(Ok(answer)), _) => return Ok((exchange, answer, sent_at)),
            (Ok(Err(UpstreamError::Stale)), _) | (_, Err(UpstreamError::Stale)) => {}
            (Ok(Err(trouble)), Ok(())) | (_, Err(trouble)) => return Err(in_trouble(target, trouble)),
            (Err(_), Ok(())) => return Err(in_trouble(target, UpstreamError::FirstByteTimeout)),
        }
    }
}

/// The head of an answer is there: pass it on, or find out what went wrong.
async fn answered<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    sent: Sent<'_>,
    key: Option<usize>,
    down: &mut D,
) -> Result<(), Stop> {
    let outcome = if !(200..300).contains(&sent.answer.status) {
        Err(refused(gateway, state, sent, down).await)
    } else if admitted.call.stream {
        streamed::answer(gateway, state, admitted, sent, down).await
    } else {
        whole::answer(gateway, state, admitted, sent, down).await
    };
    let Err(refusal) = outcome else { return Ok(()) };
    match refusal {
        Refusal::Gone => Err(Stop::Gone),
        Refusal::Final(error) => Err(Stop::Final(error)),
        Refusal::Upstream(target, trouble) => Err(in_trouble(target, trouble)),
        Refusal::Plugin(target, fault) => Err(plugin_failed(target, fault)),
        Refusal::Failure(target, failure) => {
            rest_key(gateway, target, key, &failure);
            Err(failed(target, failure))
        }
    }
}

/// Why an answer was not passed on.
pub(super) enum Refusal<'a> {
    Gone,
    Final(Box<Error>),
    Upstream(&'a ModelTarget, UpstreamError),
    Plugin(&'a ModelTarget, PluginError),
    Failure(&'a ModelTarget, Failure),
}

/// Reads an error's body and lets the adapter say what it means.
async fn refused<'a, D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    mut sent: Sent<'a>,
    down: &mut D,
) -> Refusal<'a> {
    let began = Instant::now();
    let body = whole::collect(&mut sent, ERROR_BODY_BYTES_MAX, down).await;
    state.waited += began.elapsed();
    let body = match body {
        Ok(body) => body,
        Err(whole::Uncollected::Gone) => return Refusal::Gone,
        // The status tells enough.
        Err(whole::Uncollected::Upstream(_) | whole::Uncollected::TooLong) => Bytes::new(),
    };
    let text = String::from_utf8_lossy(&body);
    let headers = shown_headers(&sent.answer.headers);
    let Sent { target, context, exchange, answer, .. } = sent;
    gateway.connector.release(exchange).await;
    match target.adapter.classify(&context, answer.status, &headers, &text) {
        Ok(failure) => Refusal::Failure(target, failure),
        Err(fault) => Refusal::Plugin(target, fault),
    }
}

/// The headers of an answer that a plugin may see: limits and ids, never cookies.
pub(super) fn shown_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = |name: &str| {
        name.starts_with("retry-after")
            || name.starts_with("x-ratelimit-")
            || name.starts_with("anthropic-ratelimit-")
            || matches!(name, "content-type" | "request-id" | "x-request-id" | "x-should-retry")
    };
    headers
        .iter()
        .filter(|(name, _)| shown(name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn rest_key(gateway: &Gateway, target: &ModelTarget, key: Option<usize>, failure: &Failure) {
    if let Some(index) = key.filter(|_| failure.blame == Blame::Credential) {
        let rests_ms = failure.retry_after_ms.unwrap_or(target.provider.key_rest.as_millis() as u64);
        target.provider.keys.rest(index, gateway.now_ms().saturating_add(rests_ms));
    }
}

fn failed(target: &ModelTarget, failure: Failure) -> Stop {
    let class = match failure.kind {
        FailureKind::Authentication | FailureKind::Permission | FailureKind::Quota => Some(Class::Credential),
        FailureKind::RateLimited => Some(Class::RateLimit),
        _ if failure.retryable => Some(Class::Server),
        _ => None,
    };
    let (blame, retry_after) = (failure.blame, failure.retry_after_ms.map(Duration::from_millis));
    let error = Box::new(Error::Provider { provider: target.provider.name.to_string(), failure });
    if blame == Blame::Request { Stop::Final(error) } else { Stop::Failed(Failed { error, class, retry_after }) }
}

fn plugin_failed(target: &ModelTarget, fault: PluginError) -> Stop {
    // The client is told no more than that a plugin failed; whoever runs it needs to know how.
    let (kind, detail) = (fault.kind(), fault.detail().unwrap_or_default());
    tracing::warn!(provider = &*target.provider.name, kind, detail, "a plugin failed: {fault}");
    let error = Box::new(Error::Plugin { provider: target.provider.name.to_string(), fault });
    Stop::Failed(Failed { error, class: None, retry_after: None })
}

fn in_trouble(target: &ModelTarget, trouble: UpstreamError) -> Stop {
    let class = trouble.class();
    let error = Box::new(Error::Upstream { provider: target.provider.name.to_string(), trouble });
    Stop::Failed(Failed { error, class, retry_after: None })
}

impl From<Gone> for Refusal<'_> {
    fn from(_: Gone) -> Self {
        Refusal::Gone
    }
}
