//! Answers that come in one piece.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    admit::Admitted,
    attempt_error::AttemptError,
    call_io::CallIo,
    call_state::{CallState, Ending},
    client::{Downstream, Gone},
    providers::{Exchange, Providers},
    received::Received,
    reply,
    sent::{Body, Sent, shown_headers},
    settle,
};
use crate::{
    call::{Failure, FailureKind, Tokens},
    dialect::canonical,
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
    mut sent: Sent<'_, P::Exchange>,
) -> Result<(), AttemptError> {
    state.timing.first_byte();
    let began = Instant::now();
    let mut body = Body::default();
    let collected = sent.collect(&mut body, io.gateway.bounds.answer_bytes_max, io.client).await;
    state.timing.waited(began.elapsed());
    let body = body.into_bytes();
    match collected {
        Ok(true) => {}
        Ok(false) => return Err(over_long(state, admitted)),
        Err(error) => {
            state.received =
                if sent.request.passthrough { Received::answer(body) } else { Received::unread(body.len()) };
            return Err(error);
        }
    }
    let (body, reported) = if sent.request.passthrough {
        let reported = canonical::whole(&body)?;
        (state.identity.dialect.answer(&admitted.call, body, None)?, reported)
    } else {
        let (body, reported) = translated(&sent, &body).await?;
        (state.identity.dialect.answer(&admitted.call, body, Some(state.name()))?, reported)
    };
    let target = sent.target;
    io.providers.release(sent.exchange).await;
    state.received = Received::answer(body.clone());
    if let Some(tokens) = reported {
        state.received.report(tokens);
    }
    settle::answered(io.gateway, state, admitted, target).await;
    state.end(io.gateway, Ending::GOOD).map_err(AttemptError::Final)?;
    // The row is written: a client that leaves now has left a call that is settled.
    if reply::json(io.gateway, state, body, io.client).await == Err(Gone) {
        io.client.close_after();
    }
    Ok(())
}

/// An answer in the provider's dialect, as canonical JSON.
///
/// # Errors
/// [`AttemptError`] where the adapter finds an error in it, or fails.
pub(super) async fn translated<E: Exchange>(
    sent: &Sent<'_, E>,
    body: &Bytes,
) -> Result<(Bytes, Option<Tokens>), AttemptError> {
    let text = std::str::from_utf8(body)
        .map_err(|_| AttemptError::of_provider(FailureKind::Upstream, "the provider's answer is not UTF-8"))?;
    let headers = shown_headers(&sent.answer.headers);
    let turn = sent.target.adapter.turn(Work::Decode, text.len()).await?;
    let answer = turn.run(|| sent.target.adapter.decode(&sent.context, sent.answer.status, &headers, text))??;
    Ok((answer.body.into(), answer.usage))
}

/// An answer past the bound: the client gets an error, but the provider has done the work, so the hold is charged.
fn over_long(state: &mut CallState, admitted: &Admitted) -> AttemptError {
    let tokens = Tokens { input: admitted.input_estimate, output: admitted.output_max, ..Tokens::default() };
    state.attempts.add(&tokens, Source::Estimated);
    let failure = Failure::of_provider(FailureKind::Upstream, "the provider's answer is too long");
    match state.attempts.target() {
        Some(target) => AttemptError::Final(AttemptError::Provider(failure).into_error(target)),
        None => AttemptError::Provider(failure),
    }
}
