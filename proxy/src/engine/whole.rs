//! Answers that come in one piece.

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use super::{
    Admitted, CallState, Downstream, Gone,
    admit::boxed,
    attempt::{Refusal, Sent, shown_headers},
    call_state::End,
    reply, settle,
};
use crate::{
    call::{Failure, FailureKind, Operation, Tokens},
    dialect::openai,
    error::Error,
    gateway::Gateway,
    limit::Hold,
    plugin::PluginError,
    upstream::UpstreamError,
    usage::Source,
};

/// Why a body could not be collected.
pub(super) enum Uncollected {
    Gone,
    TooLong,
    Upstream(UpstreamError),
}

/// Reads an answer to its end, within the idle and total clocks and `bytes_max`.
pub(super) async fn collect<D: Downstream>(
    sent: &mut Sent<'_>,
    bytes_max: usize,
    down: &mut D,
) -> Result<Bytes, Uncollected> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    loop {
        let idle_by = Instant::now() + sent.target.provider.clocks.idle;
        let deadline = idle_by.min(sent.total_by);
        let piece = tokio::select! {
            biased;
            piece = timeout_at(deadline, sent.exchange.piece()) => piece,
            () = down.gone() => return Err(Uncollected::Gone),
        };
        let piece = match piece {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => return Ok(if whole.is_empty() { first } else { whole.freeze() }),
            Ok(Err(trouble)) => return Err(Uncollected::Upstream(trouble)),
            Err(_) if deadline == sent.total_by => return Err(Uncollected::Upstream(UpstreamError::TotalTimeout)),
            Err(_) => return Err(Uncollected::Upstream(UpstreamError::IdleTimeout)),
        };
        if first.len().max(whole.len()) + piece.len() > bytes_max {
            return Err(Uncollected::TooLong);
        }
        if first.is_empty() {
            first = piece;
            continue;
        }
        if whole.is_empty() {
            whole.reserve((first.len() + piece.len()) * 2);
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&piece);
    }
}

/// Passes a whole answer on: translated if need be, settled, recorded, sent.
pub(super) async fn answer<'a, D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    mut sent: Sent<'a>,
    down: &mut D,
) -> Result<(), Refusal<'a>> {
    let target = sent.target;
    state.first_byte = Some(state.started.elapsed());
    let began = Instant::now();
    let body = collect(&mut sent, gateway.bounds.answer_bytes_max, down).await;
    state.waited += began.elapsed();
    let body = match body {
        Ok(body) => body,
        Err(Uncollected::Gone) => return Err(Refusal::Gone),
        Err(Uncollected::Upstream(trouble)) => return Err(Refusal::Upstream(target, trouble)),
        Err(Uncollected::TooLong) => return Err(over_long(state, admitted)),
    };
    let passthrough = sent.request.passthrough;
    let (body, reported) =
        if passthrough { canonical(admitted, body) } else { translated(&sent, &body) }.map_err(|why| match why {
            Unusable::Failure(failure) => Refusal::Failure(target, failure),
            Unusable::Plugin(fault) => Refusal::Plugin(target, fault),
        })?;
    gateway.connector.release(sent.exchange).await;
    let (tokens, source) = match reported {
        Some(tokens) => (tokens, Source::Provider),
        None => {
            settle::counted(gateway, admitted, &target.upstream_model, settle::Received::answer(body.clone())).await
        }
    };
    state.end(gateway, &End::good(tokens, source)).map_err(Refusal::Final)?;
    // The row is written: a client that leaves now has left a call that is settled.
    if reply::json(gateway, state, body, down).await == Err(Gone) {
        down.close_after();
    }
    Ok(())
}

enum Unusable {
    Failure(Failure),
    Plugin(PluginError),
}

/// An answer in the client's dialect already.
fn canonical(admitted: &Admitted, body: Bytes) -> Result<(Bytes, Option<Tokens>), Unusable> {
    let reported = openai::whole(&body).map_err(Unusable::Failure)?;
    if admitted.call.operation != Operation::Embeddings {
        return Ok((body, reported));
    }
    let body = openai::embeddings_as(body, admitted.call.encoding_base64).map_err(Unusable::Failure)?;
    Ok((body, reported))
}

/// An answer in the provider's dialect.
fn translated(sent: &Sent<'_>, body: &Bytes) -> Result<(Bytes, Option<Tokens>), Unusable> {
    let text = std::str::from_utf8(body).map_err(|_| {
        Unusable::Failure(Failure::of_provider(FailureKind::Upstream, "the provider's answer is not UTF-8"))
    })?;
    let headers = shown_headers(&sent.answer.headers);
    let decode = || sent.target.adapter.decode(&sent.context, sent.answer.status, &headers, text);
    let decoded = if text.len() > INLINE_BYTES_MAX { tokio::task::block_in_place(decode) } else { decode() };
    let answer = decoded.map_err(Unusable::Plugin)?.map_err(Unusable::Failure)?;
    Ok((answer.body.into(), answer.usage))
}

/// Answers beyond this are translated with the worker's other calls moved away, in bytes.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// An answer past the bound: the client gets an error, but the provider has done the work, so the hold is charged.
fn over_long<'a>(state: &mut CallState, admitted: &Admitted) -> Refusal<'a> {
    let held = state.hold.as_ref().map_or(0, Hold::tokens);
    let output = held.saturating_sub(admitted.input_estimate);
    let tokens = Tokens { input: admitted.input_estimate, output, ..Tokens::default() };
    state.used = Some((tokens, Source::Estimated));
    let failure = Failure::of_provider(FailureKind::Upstream, "the provider's answer is too long");
    let provider = state.provider.as_deref().unwrap_or_default().to_owned();
    Refusal::Final(boxed(Error::Provider { provider, failure }))
}
