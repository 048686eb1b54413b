//! Answers that come as a stream.
//!
//! Nothing goes to the client before the first event that it can use, so that an error inside a successful answer can
//! still be retried. The last event waits for the row.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use super::{
    admit::Admitted,
    attempt_error::AttemptError,
    call_io::CallIo,
    call_state::{CallState, Ending},
    client::{Downstream, Gone, Interruption},
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
    snapshot::ModelTarget,
    upstream::UpstreamError,
};

/// Silence after which the client is sent a comment, so that nothing between takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Pieces are gathered into one write up to this many bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;
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
    mut sent: Sent<'_, P::Exchange>,
) -> Result<Ending, AttemptError> {
    if is_document(&sent) {
        return Err(document(io, state, sent).await);
    }
    let name = (!sent.request.passthrough).then(|| state.name());
    let encoder = state.identity.dialect.stream(&admitted.call, name);
    let mut decoder = Decoder::new(&mut sent, encoder, io.gateway.bounds.frame_bytes_max);
    let mut committed = false;
    match pump(io, state, &mut sent, &mut decoder, &mut committed).await {
        Ok(()) => {
            let Sent { target, exchange, .. } = sent;
            let tokens = settle::answered(io.gateway, state, admitted, target).await;
            finish(io, state, decoder, &tokens, committed).await?;
            io.providers.drain_aside(exchange).await;
            Ok(Ending::GOOD)
        }
        Err(error) if committed => {
            let target = sent.target;
            // Stops the provider.
            drop(sent);
            settle::unfinished(io.gateway, state, admitted, target).await;
            Ok(broken_off(io, state, error, target).await)
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

/// Lets the adapter read a document in a stream's place. One that turns out to be an answer is of no use: the client
/// waits for a stream.
async fn document<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    mut sent: Sent<'_, P::Exchange>,
) -> AttemptError {
    let began = Instant::now();
    let mut body = Body::default();
    let collected = sent.collect(&mut body, DOCUMENT_BYTES_MAX, io.client).await;
    state.timing.waited(began.elapsed());
    let translated = match collected {
        Ok(_) => whole::translated(&sent, &body.into_bytes()).await,
        Err(error) => Err(error),
    };
    match translated {
        Ok((body, reported)) => {
            state.received = Received::answer(body);
            if let Some(tokens) = reported {
                state.received.report(tokens);
            }
            let message = "the provider answered a streamed call without a stream";
            AttemptError::Provider(Failure::of_provider(FailureKind::Upstream, message))
        }
        Err(error) => error,
    }
}

enum Wake {
    Piece(Result<Option<Bytes>, UpstreamError>),
    Interrupted(Interruption),
    Clock,
}

/// Reads pieces and writes events until the stream is done or broken. The decoder keeps the last event.
async fn pump<D: Downstream, P: Providers>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    sent: &mut Sent<'_, P::Exchange>,
    decoder: &mut Decoder<'_>,
    committed: &mut bool,
) -> Result<(), AttemptError> {
    let idle = sent.target.provider.clocks.idle;
    let (mut heard_at, mut wrote_at) = (Instant::now(), Instant::now());
    // One timer, moved only when it has fired: a busy stream never touches it.
    let mut clock = pin!(sleep_until(sent.first_byte_by.min(sent.total_by)));
    let mut out = BytesMut::new();
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
                if now >= sent.total_by {
                    return Err(UpstreamError::TotalTimeout.into());
                }
                if now >= silence_ends {
                    let trouble = if *committed { UpstreamError::IdleTimeout } else { UpstreamError::FirstByteTimeout };
                    return Err(trouble.into());
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
                let gathered = gather(sent, decoder, &mut state.received, piece, &mut out).await;
                // A client that has seen the beginning is owed all that came before the fault.
                if gathered.is_err() && *committed && !out.is_empty() {
                    io.client.write(out.split().freeze(), false).await?;
                }
                let progress = gathered?;
                settle::shrink(io.gateway, state, sent.target);
                if !*committed && (progress == Progress::Done || !out.is_empty()) {
                    *committed = true;
                    state.timing.first_byte();
                    reply::begin_stream(io.gateway, state, io.client).await?;
                    clock.as_mut().reset((now + idle.min(KEEP_ALIVE_EVERY)).min(sent.total_by));
                }
                if progress == Progress::Done {
                    decoder.hold_back(out);
                    return Ok(());
                }
                if !out.is_empty() {
                    io.client.write(out.split().freeze(), false).await?;
                    wrote_at = now;
                }
            }
        }
    }
}

/// Takes `piece` and what has arrived meanwhile, to go out in one write.
async fn gather<E: Exchange>(
    sent: &mut Sent<'_, E>,
    decoder: &mut Decoder<'_>,
    received: &mut Received,
    piece: Result<Option<Bytes>, UpstreamError>,
    out: &mut BytesMut,
) -> Result<Progress, AttemptError> {
    let mut progress = decoder.take(piece?, received, out).await?;
    while progress == Progress::More
        && out.len() < WRITE_BYTES_MAX
        && let Some(piece) = ready(sent.exchange.piece()).await
    {
        progress = decoder.take(piece?, received, out).await?;
    }
    Ok(progress)
}

/// What `future` yields without waiting. It must be safe to drop.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The stream is whole and settled: write the row, then let the last events go.
async fn finish<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    mut decoder: Decoder<'_>,
    tokens: &Tokens,
    committed: bool,
) -> Result<(), AttemptError> {
    if let Err(error) = state.end(io.gateway, Ending::GOOD) {
        if !committed {
            return Err(AttemptError::Final(error));
        }
        reply::break_off(state, &error.verdict(&state.snapshot.redactor), io.client).await;
        return Ok(());
    }
    if io.client.write(decoder.last(tokens), true).await == Err(Gone) {
        io.client.close_after();
    }
    Ok(())
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
