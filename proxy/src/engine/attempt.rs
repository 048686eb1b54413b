//! One attempt at one target: encode, sign, exchange, and hand the answer on.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::header;
use tokio::time::{Instant, timeout_at};

use super::{
    admit::Admitted,
    attempt_error::AttemptError,
    call_io::{CallIo, turn_before},
    call_state::{CallState, Ending},
    client::Downstream,
    large,
    providers::{Exchange, Providers},
    sent::{Body as Collected, Sent, shown_headers},
    settle, streamed, via, whole,
};
use crate::{
    call::{Blame, Call, Failure, FailureKind, OutputBound},
    plugin::{Auth, Body, Context, PluginError, Request, StreamPlace, View, Work},
    sign,
    snapshot::ModelTarget,
    upstream::{Answer, Outgoing, Picked, UpstreamError},
};

/// Connections of one attempt that may turn out to be closed already, beside the last.
const STALE_MAX: u32 = 2;
/// What is told of an error whose body nobody can read.
const NOT_TEXT: &str = "The provider refused the request, and the body that says why is binary or compressed.";
/// How much of an error's body is read, in bytes.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// Tries the target of this index once. Returns how the call ended: the client has its answer, whole or broken off, and
/// the ledger its row.
///
/// # Errors
/// [`AttemptError`] where nothing has gone to the client. What the attempt cost is settled.
pub(super) async fn attempt<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    index: usize,
) -> Result<Ending, AttemptError> {
    let target = &admitted.model.targets[index];
    state.attempts.begin(index);
    let outcome = exchange(io, state, admitted, target).await;
    if let Err(error) = &outcome {
        settle::failed(io.gateway, state, admitted, target, error).await;
        state.came_back();
    }
    outcome
}

async fn exchange<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    target: &ModelTarget,
) -> Result<Ending, AttemptError> {
    let now_ms = io.gateway.now_ms();
    let picked = target.provider.keys.pick(Instant::now());
    let request_id = state.identity.request_id.clone();
    let context = Context {
        request_id: &request_id,
        caller: state.identity.caller(),
        operation: admitted.call.operation,
        model: &target.upstream_model,
        streaming: admitted.call.stream,
        config: &target.config,
        now_ms,
        seed: state.identity.seed(),
        state: None,
    };
    let key = picked.as_ref().map(|picked| picked.index);
    // Boxed: what asking takes would be held for as long as the answer lasts.
    let asking = Box::pin(ask(io, state, admitted, target, context, picked));
    let (plugin_state, mut sent) = asking.await?;
    sent.context.state = plugin_state.as_deref();
    let outcome = if !(200..300).contains(&sent.answer.status) {
        Err(Box::pin(refused(io, state, sent)).await)
    } else if admitted.call.stream {
        streamed::answer(io, state, admitted, sent).await
    } else {
        whole::answer(io, state, admitted, sent).await.map(|()| Ending::GOOD)
    };
    if let Err(AttemptError::Provider(failure)) = &outcome {
        rest_key(target, key, failure);
    }
    outcome
}

/// Sends the provider's request, and waits for the head of its answer. What the adapter wants to be told again of this
/// attempt comes beside it.
async fn ask<'a, D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    target: &'a ModelTarget,
    context: Context<'a>,
    picked: Option<Picked<'_>>,
) -> Result<(Option<String>, Box<Sent<'a, P::Exchange>>), AttemptError> {
    let (mut request, body) = encode(io, target, &context, admitted, picked.as_ref()).await?;
    let stream_place = stream_place(target, admitted, &request)?;
    let began = Instant::now();
    let sent = send(io, state, target, &request, body, picked).await;
    state.timing.waited(began.elapsed());
    let (exchange, answer, sent_at) = sent?;
    let clocks = &target.provider.clocks;
    let (first_byte_by, total_by) = (sent_at + clocks.first_byte, sent_at + clocks.total);
    let plugin_state = request.state.take();
    let sent = Sent { target, request, context, stream_place, exchange, answer, first_byte_by, total_by };
    Ok((plugin_state, Box::new(sent)))
}

/// The provider's request for this call, and its body.
async fn encode<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    target: &ModelTarget,
    context: &Context<'_>,
    admitted: &Admitted,
    picked: Option<&Picked<'_>>,
) -> Result<(Request, Bytes), AttemptError> {
    let call = &admitted.call;
    let secret = picked.map(|picked| picked.secret.expose().as_bytes());
    let view = match target.adapter.description().view {
        View::Head => Cow::Owned(call.head()),
        View::Whole => Cow::Borrowed(text(call)),
    };
    let turn = target.adapter.turn(Work::Encode { streaming: call.stream, caller: context.caller }, view.len());
    let turn = turn_before(None, io.client, turn).await?;
    let mut request = turn.run(|| target.adapter.encode(context, &view, secret))??;
    let (body, may_lift) = match std::mem::replace(&mut request.body, Body::Edits(Vec::new())) {
        Body::Edits(edits) => (call.edited(&edits), Call::output_bound_is_edited(&edits)),
        Body::Whole(text) => (Bytes::from(text), true),
    };
    if admitted.is_output_capped && may_lift {
        large::scan(io.gateway, body.len(), || stays_within(&body, admitted.output_max)).await?;
    }
    Ok((request, body))
}

/// Refuses a request that lets the provider answer more than is held for the call.
fn stays_within(body: &[u8], output_max: u64) -> Result<(), AttemptError> {
    let bound = OutputBound::of(body);
    let message = match bound.tokens {
        Some(tokens) if bound.total(tokens) <= output_max => return Ok(()),
        Some(_) => "The adapter asks the provider for more output tokens than the call may use.",
        None => "The adapter does not tell the provider how many output tokens the call may use.",
    };
    Err(AttemptError::of_provider(FailureKind::Internal, message))
}

/// A place for the answer, where it is a stream that the adapter translates: taken before anything is paid for.
fn stream_place(
    target: &ModelTarget,
    admitted: &Admitted,
    request: &Request,
) -> Result<Option<StreamPlace>, PluginError> {
    let translated = admitted.call.stream && !request.passthrough;
    translated.then(|| target.adapter.reserve_stream()).transpose()
}

/// The whole canonical request.
fn text(call: &Call) -> &str {
    std::str::from_utf8(call.body()).expect("a call's body was found to be UTF-8 when it was parsed")
}

/// Sends the request and reads the head of the answer; anew where a kept connection was closed before the provider took
/// the request, but not without end: over HTTP/2 a provider may refuse every stream of a connection that it keeps.
async fn send<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    target: &ModelTarget,
    request: &Request,
    body: Bytes,
    picked: Option<Picked<'_>>,
) -> Result<(P::Exchange, Answer, Instant), AttemptError> {
    let secret = picked.as_ref().map(|picked| picked.secret.expose());
    // A provider without keys asks for none, whatever its adapter says.
    let auth = if target.provider.keys.is_empty() { &Auth::None } else { &request.auth };
    let credential = sign::apply(auth, secret, io.gateway.now_ms())
        .map_err(|error| AttemptError::of_provider(FailureKind::Authentication, error.to_string()))?;
    let path = credential.extend_path(&request.path);
    let via = via::onward(io.client.headers(header::VIA), &io.gateway.via);
    let mut stale_left = STALE_MAX;
    loop {
        let outgoing = Outgoing {
            method: request.method,
            path: &path,
            headers: &request.headers,
            credential: &credential,
            via: &via,
            key: picked.as_ref(),
            body: body.clone(),
        };
        let mut exchange = io.providers.open(&target.provider).await?;
        state.sent();
        let taken = tokio::select! {
            biased;
            taken = exchange.send(&target.provider, outgoing) => taken,
            why = io.client.interrupted() => return Err(why.into()),
        };
        let sent_at = Instant::now();
        let deadline = sent_at + target.provider.clocks.first_byte;
        // Also after a failed write: the provider may have answered early.
        let head = tokio::select! {
            biased;
            head = timeout_at(deadline, exchange.head()) => head,
            why = io.client.interrupted() => return Err(why.into()),
        };
        match (head, taken) {
            (Ok(Ok(answer)), _) => return Ok((exchange, answer, sent_at)),
            (Ok(Err(UpstreamError::Stale)), _) | (_, Err(UpstreamError::Stale)) => {
                state.attempts.unsent();
                state.came_back();
                stale_left = stale_left.checked_sub(1).ok_or(UpstreamError::Reset)?;
            }
            (Ok(Err(trouble)), Ok(())) | (_, Err(trouble)) => {
                if trouble.is_timeout() {
                    exchange.distrust();
                }
                return Err(trouble.into());
            }
            (Err(_), Ok(())) => {
                exchange.distrust();
                return Err(UpstreamError::FirstByteTimeout.into());
            }
        }
    }
}

/// Reads an error's body and lets the adapter say what it means.
async fn refused<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    mut sent: Box<Sent<'_, P::Exchange>>,
) -> AttemptError {
    state.attempts.refused();
    let began = Instant::now();
    let mut body = Collected::default();
    let collected = sent.collect(&mut body, ERROR_BODY_BYTES_MAX, io.client).await;
    state.timing.waited(began.elapsed());
    let body = match collected {
        Ok(true) => body.into_bytes(),
        Err(error @ (AttemptError::ClientGone | AttemptError::Stopping)) => return error,
        // The status tells enough.
        Ok(false) | Err(_) => Bytes::new(),
    };
    // A compressed or binary body tells nobody anything.
    let (text, is_text) = std::str::from_utf8(&body).map_or(("", false), |text| (text, true));
    let headers = shown_headers(&sent.answer.headers);
    let Sent { target, context, exchange, answer, total_by, .. } = *sent;
    io.providers.release(exchange).await;
    let turn = target.adapter.turn(Work::Classify, text.len());
    match turn_before(Some(total_by), io.client, turn).await {
        Ok(turn) => turn.run(|| target.adapter.classify(&context, answer.status, &headers, text)).map_or_else(
            AttemptError::from,
            |failure| {
                let message = if is_text { failure.message } else { NOT_TEXT.to_owned() };
                AttemptError::Provider(Failure { message, ..failure })
            },
        ),
        Err(error) => error,
    }
}

fn rest_key(target: &ModelTarget, key: Option<usize>, failure: &Failure) {
    if let Some(index) = key.filter(|_| failure.blame == Blame::Credential) {
        // Who asks for no patience at all has not thought of a key that it refuses.
        let asked = failure.retry_after_ms.filter(|wait_ms| *wait_ms > 0);
        let rest = asked.map_or(target.provider.key_rest, Duration::from_millis);
        target.provider.keys.rest(index, Instant::now(), rest);
    }
}
