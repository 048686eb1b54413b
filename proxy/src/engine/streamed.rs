//! Answers that come as a stream.
//!
//! Nothing goes to the client before the first event that it can use, so that an error inside a successful answer can
//! still be retried. The last event waits for the row.

use std::{pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

use super::{
    admit::Admitted,
    attempt_error::AttemptError,
    call_io::{CallIo, turn_before},
    call_state::{CallState, Ending},
    client::{ClientGoneError, Downstream, Interruption},
    decode::{Decoder, Progress},
    providers::{Exchange, Providers},
    received::Received,
    reply,
    sent::{Body, Sent},
    settle, whole,
};
use crate::{
    call::{Failure, FailureKind, Tokens},
    framing::Framing,
    plugin::{Turn, Work},
    snapshot::ModelTarget,
    upstream::{UpstreamError, ready},
};

/// Silence after which the client is sent a comment, so that nothing between takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Pieces are gathered into one write up to this many bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// Pieces are read without a pause up to this many bytes.
const READ_BYTES_MAX: usize = 256 << 10;
/// How much of a document in a stream's place is read, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Passes a stream on, event by event. Returns how it ended.
///
/// # Errors
/// [`AttemptError`] where nothing of it has gone to the client.
pub(super) async fn answer<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    mut sent: Box<Sent<'_, P::Exchange>>,
) -> Result<Ending, AttemptError> {
    if is_document(&sent) {
        return Err(Box::pin(document(io, state, admitted, sent)).await);
    }
    // Nobody asks for them again, and a stream may be long.
    sent.answer.headers = HeaderMap::new();
    let name = (!sent.request.passthrough).then(|| state.name());
    let encoder = state.identity.dialect.stream(&admitted.call, name);
    let mut decoder = Decoder::new(&mut sent, encoder, io.gateway.bounds.frame_bytes_max);
    let mut committed = false;
    match pump(io, state, admitted, &mut sent, &mut decoder, &mut committed).await {
        Ok(end) => {
            let Sent { target, exchange, .. } = *sent;
            let tokens = settle::answered(io.gateway, state, admitted, target).await;
            finish(io, state, &mut decoder, &tokens).await;
            if end == End::Told {
                Box::pin(io.providers.drain_aside(exchange)).await;
            }
            Ok(Ending::GOOD)
        }
        Err(error) if committed => {
            let target = sent.target;
            // Stops the provider.
            drop(sent);
            settle::unfinished(io.gateway, state, admitted, target).await;
            Ok(Box::pin(broken_off(io, state, error, target)).await)
        }
        Err(error) => Err(error),
    }
}

/// Whether a provider answers a streamed call with one document: it has an error to tell, whatever its status.
fn is_document<E>(sent: &Sent<'_, E>) -> bool {
    let content_type = sent.answer.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_document = content_type.starts_with("application/json") || content_type.starts_with("text/html");
    is_document && sent.request.framing == Framing::Sse
}

/// Lets the adapter read a document in a stream's place. One that turns out to be an answer is of no use, for the client
/// waits for a stream; its provider has worked for it all the same.
async fn document<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    mut sent: Box<Sent<'_, P::Exchange>>,
) -> AttemptError {
    let began = Instant::now();
    let mut body = Body::default();
    let collected = sent.collect(&mut body, DOCUMENT_BYTES_MAX, io.client).await;
    state.timing.waited(began.elapsed());
    let body = body.into_bytes();
    state.received = Received::unread(body.len(), admitted.output_max);
    if let Err(error) = collected {
        return error;
    }
    match whole::translated(io, &sent, &body).await {
        Ok((body, reported)) => {
            state.received = Received::answer(body);
            if let Some(tokens) = reported {
                state.received.report(tokens);
            }
            let message = "The provider answered a streamed call without a stream.";
            AttemptError::Unreadable(Failure::of_provider(FailureKind::Upstream, message))
        }
        Err(error) => error,
    }
}

enum Wake {
    Piece(Result<Option<Bytes>, UpstreamError>),
    Interrupted(Interruption),
    Clock,
}

/// How the exchange stands when its answer is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The provider has said that it is: the connection may serve again.
    Told,
    /// The provider had only said why it would end.
    Cut,
}

/// Reads pieces and writes events until the stream is done, and begun, or broken. The decoder keeps the last event.
async fn pump<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    admitted: &Admitted,
    sent: &mut Sent<'_, P::Exchange>,
    decoder: &mut Decoder<'_>,
    committed: &mut bool,
) -> Result<End, AttemptError> {
    let idle = sent.target.provider.clocks.idle;
    let (mut heard_at, mut wrote_at) = (Instant::now(), Instant::now());
    // One timer, moved only when it has fired: a busy stream never touches it.
    let mut clock = pin!(sleep_until(sent.first_byte_by.min(sent.total_by)));
    let mut out = BytesMut::new();
    let mut bytes_left = io.gateway.bounds.answer_bytes_max;
    loop {
        let wait_began = Instant::now();
        let wake = tokio::select! {
            biased;
            piece = sent.exchange.piece() => Wake::Piece(piece),
            why = io.client.interrupted() => Wake::Interrupted(why),
            () = &mut clock => Wake::Clock,
        };
        let now = Instant::now();
        state.timing.waited(now - wait_began);
        match wake {
            Wake::Interrupted(why) => return Err(why.into()),
            Wake::Clock => {
                let silence_ends = if *committed { heard_at + idle } else { sent.first_byte_by };
                if let Some(trouble) = timed_out(now, sent.total_by, silence_ends, *committed) {
                    if trouble != UpstreamError::TotalTimeout {
                        sent.exchange.distrust();
                    }
                    Box::pin(end_cut(trouble.into(), io.client, sent, decoder, &mut state.received, &mut out)).await?;
                    decoder.hold_back(out);
                    return Ok(End::Cut);
                }
                if *committed && now >= wrote_at + KEEP_ALIVE_EVERY {
                    io.client.write(state.identity.dialect.keep_alive(), false).await?;
                    wrote_at = now;
                }
                let comment_due = if *committed { wrote_at + KEEP_ALIVE_EVERY } else { sent.total_by };
                clock.as_mut().reset(silence_ends.min(sent.total_by).min(comment_due));
            }
            Wake::Piece(piece) => {
                heard_at = now;
                let mut end = End::Told;
                let mut gathered = gather(io.client, sent, decoder, &mut state.received, piece, &mut out).await;
                if let Err(error @ AttemptError::Upstream(_)) = gathered {
                    end = End::Cut;
                    gathered = Box::pin(end_cut(error, io.client, sent, decoder, &mut state.received, &mut out)).await;
                }
                // A client that has seen the beginning is owed all that came before the fault.
                if gathered.is_err() && *committed && !out.is_empty() {
                    io.client.write(std::mem::take(&mut out).freeze(), false).await?;
                }
                let progress = gathered?;
                bytes_left = bytes_left.checked_sub(out.len()).ok_or_else(over_long)?;
                if state.received.bytes() > told_bytes_max(admitted) {
                    return Err(over_told());
                }
                settle::shrink(io.gateway, state, sent.target).await;
                if !*committed && (progress == Progress::Done || !out.is_empty()) {
                    *committed = true;
                    state.timing.first_byte();
                    Box::pin(reply::begin_stream(io.gateway, state, io.client)).await?;
                    clock.as_mut().reset((now + idle.min(KEEP_ALIVE_EVERY)).min(sent.total_by));
                }
                if progress == Progress::Done {
                    decoder.hold_back(out);
                    return Ok(end);
                }
                if !out.is_empty() {
                    // Taken whole: what is left of a buffer would be kept through the silence that follows.
                    io.client.write(std::mem::take(&mut out).freeze(), false).await?;
                    wrote_at = now;
                }
            }
        }
    }
}

/// Takes `piece` and what has arrived meanwhile, to go out in one write.
async fn gather<D: Downstream, E: Exchange>(
    client: &mut D,
    sent: &mut Sent<'_, E>,
    decoder: &mut Decoder<'_>,
    received: &mut Received,
    piece: Result<Option<Bytes>, UpstreamError>,
    out: &mut BytesMut,
) -> Result<Progress, AttemptError> {
    let mut piece = piece?;
    // Where there is always a piece, nobody has looked at the clock.
    if Instant::now() >= sent.total_by {
        return Err(UpstreamError::TotalTimeout.into());
    }
    let mut taken_bytes = 0;
    out.reserve(piece.as_ref().map_or(0, Bytes::len));
    loop {
        taken_bytes += piece.as_ref().map_or(0, Bytes::len);
        let turn = turn(client, sent, decoder, piece.as_ref().map_or(0, Bytes::len)).await?;
        let progress = decoder.take(turn, piece, received, out)?;
        if progress == Progress::Done {
            return Ok(progress);
        }
        if out.len() >= WRITE_BYTES_MAX {
            return unless_interrupted(client).await;
        }
        // What says nothing to the client, such as blank lines, may go on for long: others get their turn.
        if taken_bytes >= READ_BYTES_MAX {
            tokio::task::yield_now().await;
            return unless_interrupted(client).await;
        }
        let Some(next) = ready(sent.exchange.piece()).await else { return Ok(progress) };
        piece = next?;
    }
}

/// More of an answer is to be read, unless the call is to end: where there is always a piece, nobody has looked.
async fn unless_interrupted<D: Downstream>(client: &mut D) -> Result<Progress, AttemptError> {
    match ready(client.interrupted()).await {
        Some(why) => Err(why.into()),
        None => Ok(Progress::More),
    }
}

/// The adapter's turn to read so many bytes. None where there is nothing to translate.
async fn turn<'a, D: Downstream, E>(
    client: &mut D,
    sent: &Sent<'a, E>,
    decoder: &Decoder<'a>,
    bytes: usize,
) -> Result<Option<Turn<'a>>, AttemptError> {
    let Some(adapter) = decoder.adapter() else { return Ok(None) };
    Box::pin(turn_before(Some(sent.total_by), client, adapter.turn(Work::Push, bytes))).await.map(Some)
}

/// Ends an answer that broke off.
///
/// # Errors
/// `error`, unless the provider had said why it would end: then the answer is whole.
async fn end_cut<D: Downstream, E>(
    error: AttemptError,
    client: &mut D,
    sent: &Sent<'_, E>,
    decoder: &mut Decoder<'_>,
    received: &mut Received,
    out: &mut BytesMut,
) -> Result<Progress, AttemptError> {
    let Ok(turn) = turn(client, sent, decoder, 0).await else { return Err(error) };
    if decoder.is_whole_if_cut(turn, received, out) { Ok(Progress::Done) } else { Err(error) }
}

/// Which clock has run out.
fn timed_out(now: Instant, total_by: Instant, silence_ends: Instant, committed: bool) -> Option<UpstreamError> {
    if now >= total_by {
        return Some(UpstreamError::TotalTimeout);
    }
    let silent = if committed { UpstreamError::IdleTimeout } else { UpstreamError::FirstByteTimeout };
    (now >= silence_ends).then_some(silent)
}

/// More would go to the client than one answer may have.
fn over_long() -> AttemptError {
    overrun("The provider's answer is too long.")
}

/// Text of twice the tokens that an answer may have, if they are long ones.
const TWO_TOKENS_BYTES: u64 = 32;
/// What even a short answer may have, in bytes.
const TOLD_SLACK_BYTES: u64 = 16 << 10;

/// Beyond what text a provider goes on as if it had not been told how much it may answer.
fn told_bytes_max(admitted: &Admitted) -> u64 {
    if !admitted.is_output_told {
        return u64::MAX;
    }
    admitted.output_max.saturating_mul(TWO_TOKENS_BYTES).saturating_add(TOLD_SLACK_BYTES)
}

fn over_told() -> AttemptError {
    overrun("The provider answers far more than it was told that it may.")
}

/// The provider has worked for it, whatever becomes of it.
fn overrun(message: &str) -> AttemptError {
    AttemptError::Unreadable(Failure::of_provider(FailureKind::Upstream, message))
}

/// The stream is whole and settled: write the row, then let the last events go.
async fn finish<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    decoder: &mut Decoder<'_>,
    tokens: &Tokens,
) {
    if let Err(error) = state.end(io.gateway, Ending::GOOD) {
        Box::pin(reply::break_off(state, &error.verdict(&state.snapshot.redactor), io.client)).await;
        return;
    }
    if io.client.write(decoder.last(tokens), true).await == Err(ClientGoneError) {
        io.client.close_after();
    }
}

/// Ends a stream that the client has seen the beginning of, and tells the client if it is still there.
async fn broken_off<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    error: AttemptError,
    target: &ModelTarget,
) -> Ending {
    if matches!(error, AttemptError::ClientGone) {
        io.client.close_after();
        // Nobody is left to be told, should the ledger fail too: it has logged it.
        let _ = state.end(io.gateway, Ending::CLIENT_GONE);
        return Ending::CLIENT_GONE;
    }
    let verdict = error.into_error(target).verdict(&state.snapshot.redactor);
    let ending = Ending::failed(200, verdict.class);
    // The client is told that its answer broke off either way.
    let _ = state.end(io.gateway, ending);
    reply::break_off(state, &verdict, io.client).await;
    ending
}
