//! Answers that come in one piece.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    admit::Admitted,
    attempt_error::AttemptError,
    call_io::{CallIo, turn_before},
    call_state::{CallState, Ending},
    client::{ClientGoneError, Downstream},
    large,
    providers::Providers,
    received::Received,
    reply,
    sent::{Body, Sent, shown_headers},
    settle,
};
use crate::{
    call::{Failure, FailureKind, Tokens},
    dialect::canonical,
    gateway::Gateway,
    plugin::Work,
    usage::Source,
};

/// Passes a whole answer on: translated if need be, settled, recorded, sent.
///
/// # Errors
/// [`AttemptError`] where nothing of it has gone to the client.
pub(super) async fn answer<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    mut sent: Box<Sent<'_, P::Exchange>>,
) -> Result<(), AttemptError> {
    state.timing.first_byte();
    let began = Instant::now();
    let mut body = Body::counted(&io.gateway.answers);
    let collected = sent.collect(&mut body, io.gateway.bounds.answer_bytes_max, io.client).await;
    state.timing.waited(began.elapsed());
    // Until the client has the answer.
    let _held = body.take_held();
    let body = body.into_bytes();
    match collected {
        Ok(true) => {}
        Ok(false) => return Err(over_long(state, admitted)),
        Err(error) => {
            state.received = heard(admitted, &body);
            return Err(error);
        }
    }
    let (body, reported) = match read(io, state, admitted, &sent, &body).await {
        Ok(answer) => answer,
        Err(error) => {
            state.received = heard(admitted, &body);
            return Err(error);
        }
    };
    let Sent { target, exchange, .. } = *sent;
    io.providers.release(exchange).await;
    state.received = Received::answer(body.clone());
    if let Some(tokens) = reported {
        state.received.report(tokens);
    }
    settle::answered(io.gateway, state, admitted, target).await;
    state.end_before_answer(io.gateway, Ending::GOOD).map_err(AttemptError::Final)?;
    // The row is written: a client that leaves now has left a call that is settled.
    if reply::json(io.gateway, state, body, io.client).await == Err(ClientGoneError) {
        io.client.close_after();
    }
    Ok(())
}

/// The answer as the client is given it, and what its provider reports.
async fn read<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &CallState,
    admitted: &Admitted,
    sent: &Sent<'_, P::Exchange>,
    body: &Bytes,
) -> Result<(Bytes, Option<Tokens>), AttemptError> {
    let (canonical, reported, name) = if sent.request.passthrough {
        let reported = large::scan(io.gateway, body.len(), || canonical::whole(body)).await;
        match reported {
            Ok(reported) => (body.clone(), reported, None),
            Err(failure) => return Err(in_place_of_an_answer(io.gateway, failure, body).await),
        }
    } else {
        let (canonical, reported) = translated(io, sent, body).await?;
        (canonical, reported, Some(state.name()))
    };
    let (dialect, bytes) = (state.identity.dialect, canonical.len());
    let answer = large::scan(io.gateway, bytes, || dialect.answer(&admitted.call, canonical, name)).await;
    Ok((answer.map_err(AttemptError::Unreadable)?, reported))
}

/// What is to be counted of an answer that is of no use.
fn heard(admitted: &Admitted, body: &Bytes) -> Received {
    // Of JSON in any dialect, the text is found by the names that dialects give it.
    let is_json = body.trim_ascii_start().starts_with(b"{");
    if is_json { Received::answer(body.clone()) } else { Received::unread(body.len(), admitted.output_max) }
}

/// A failure that was found where an answer should be: the provider's own words, or that nobody can read it.
pub(super) async fn in_place_of_an_answer(gateway: &Gateway, failure: Failure, body: &[u8]) -> AttemptError {
    let is_verdict = failure.kind != FailureKind::Upstream
        || large::scan(gateway, body.len(), || canonical::tells_error(body)).await;
    if is_verdict { AttemptError::Provider(failure) } else { AttemptError::Unreadable(failure) }
}

/// An answer in the provider's dialect, as canonical JSON.
///
/// # Errors
/// [`AttemptError`] where the adapter finds an error in it, or fails.
pub(super) async fn translated<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    sent: &Sent<'_, P::Exchange>,
    body: &Bytes,
) -> Result<(Bytes, Option<Tokens>), AttemptError> {
    let text = std::str::from_utf8(body).map_err(|_| {
        AttemptError::Unreadable(Failure::of_provider(FailureKind::Upstream, "The provider's answer is not UTF-8."))
    })?;
    let headers = shown_headers(&sent.answer.headers);
    let adapter = &sent.target.adapter;
    let turn = turn_before(Some(sent.total_by), io.client, adapter.turn(Work::Decode, text.len()));
    let turn = Box::pin(turn).await?;
    let answer = turn.run(|| adapter.decode(&sent.context, sent.answer.status, &headers, text))?;
    match answer {
        Ok(answer) => Ok((answer.body.into(), answer.usage)),
        Err(failure) => Err(in_place_of_an_answer(io.gateway, failure, body).await),
    }
}

/// An answer past the bound: the client gets an error, but the provider has done the work. It is charged for the prompt's
/// estimate and for the longest answer that the call may have.
fn over_long(state: &mut CallState, admitted: &Admitted) -> AttemptError {
    let tokens = Tokens { input: admitted.input_estimate, output: admitted.output_max, ..Tokens::default() };
    state.attempts.add(&tokens, Source::Estimated);
    let failure = Failure::of_provider(FailureKind::Upstream, "The provider's answer is too long.");
    match state.attempts.target() {
        Some(target) => AttemptError::Final(AttemptError::Provider(failure).into_error(target)),
        None => AttemptError::Provider(failure),
    }
}
