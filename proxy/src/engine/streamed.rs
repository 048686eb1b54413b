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
    Admitted, CallState, Downstream, Gone,
    attempt::{Refusal, Sent},
    call_state::{CLIENT_GONE, End},
    decode::{Decoder, Progress},
    reply, settle, whole,
};
use crate::{
    call::{Failure, FailureKind},
    dialect::openai,
    error::Error,
    gateway::Gateway,
    plugin::PluginError,
    snapshot::ModelTarget,
    upstream::{Exchange, UpstreamError},
    usage::Source,
};

/// Why a stream ended before its end.
pub(super) enum Broken {
    Gone,
    Upstream(UpstreamError),
    Failure(Failure),
    Plugin(PluginError),
}

/// Silence after which the client is sent a comment, so that nothing between takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long the end of a finished stream is waited for, to keep its connection.
const TRAILER_WAIT: Duration = Duration::from_millis(100);

/// Passes a stream on, event by event.
pub(super) async fn answer<'a, D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    mut sent: Sent<'a>,
    down: &mut D,
) -> Result<(), Refusal<'a>> {
    let target = sent.target;
    if let Some(refusal) = not_a_stream(&mut sent, down).await {
        return Err(refusal);
    }
    let mut decoder = Decoder::new(gateway, state, admitted, &sent);
    let mut committed = false;
    let ended = pump(gateway, state, &mut sent, &mut decoder, &mut committed, down).await;
    let received = decoder.take_heard();
    match ended {
        Ok(()) => {
            finish(gateway, state, admitted, decoder, received, committed, down).await?;
            release(gateway, sent.exchange).await;
            Ok(())
        }
        Err(Broken::Gone) => {
            drop(sent);
            down.close_after();
            settle::interrupted(gateway, state, admitted, received, CLIENT_GONE).await;
            Ok(())
        }
        Err(broken) if committed => {
            drop(sent);
            let error = broken.into_error(target);
            settle::interrupted(
                gateway,
                state,
                admitted,
                received,
                error.verdict(&state.snapshot.serving.redactor).class,
            )
            .await;
            break_off(state, &error, down).await;
            Ok(())
        }
        Err(broken) => Err(broken.into_refusal(target)),
    }
}

/// A provider that answers a streamed call with one document has an error to tell, whatever its status.
async fn not_a_stream<'a, D: Downstream>(sent: &mut Sent<'a>, down: &mut D) -> Option<Refusal<'a>> {
    let target = sent.target;
    let content_type = sent.answer.headers.get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    let document = content_type.starts_with("application/json") || content_type.starts_with("text/html");
    if !document || sent.request.framing != crate::framing::Framing::Sse {
        return None;
    }
    Some(match whole::collect(sent, DOCUMENT_BYTES_MAX, down).await {
        Ok(body) => Refusal::Failure(target, openai::whole(&body).err().unwrap_or_else(unstreamed)),
        Err(whole::Uncollected::Gone) => Refusal::Gone,
        Err(whole::Uncollected::Upstream(trouble)) => Refusal::Upstream(target, trouble),
        Err(whole::Uncollected::TooLong) => Refusal::Failure(target, unstreamed()),
    })
}

/// How much of a document in a stream's place is read, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

fn unstreamed() -> Failure {
    Failure::of_provider(FailureKind::Upstream, "the provider answered a streamed call without a stream")
}

enum Wake {
    Piece(Result<Option<Bytes>, UpstreamError>),
    Gone,
    Clock,
}

/// Reads pieces and writes events until the stream is done or broken. The decoder keeps the last event.
async fn pump<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    sent: &mut Sent<'_>,
    decoder: &mut Decoder<'_>,
    committed: &mut bool,
    down: &mut D,
) -> Result<(), Broken> {
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
            () = down.gone() => Wake::Gone,
            () = &mut clock => Wake::Clock,
        };
        let now = Instant::now();
        state.waited += now - wait_began;
        match wake {
            Wake::Gone => return Err(Broken::Gone),
            Wake::Clock => {
                let silence_ends = if *committed { heard_at + idle } else { sent.first_byte_by };
                if now >= sent.total_by {
                    return Err(Broken::Upstream(UpstreamError::TotalTimeout));
                }
                if now >= silence_ends {
                    let trouble = if *committed { UpstreamError::IdleTimeout } else { UpstreamError::FirstByteTimeout };
                    return Err(Broken::Upstream(trouble));
                }
                if *committed && now >= wrote_at + KEEP_ALIVE_EVERY {
                    down.write(Bytes::from_static(openai::KEEP_ALIVE), false).await?;
                    wrote_at = now;
                }
                let comment_due = if *committed { wrote_at + KEEP_ALIVE_EVERY } else { sent.total_by };
                clock.as_mut().reset(silence_ends.min(sent.total_by).min(comment_due));
                continue;
            }
            Wake::Piece(piece) => {
                heard_at = now;
                let gathered = gather(sent, decoder, piece, &mut out).await;
                // A client that has seen the beginning is owed all that came before the fault.
                if gathered.is_err() && *committed && !out.is_empty() {
                    down.write(out.split().freeze(), false).await?;
                }
                let progress = gathered?;
                if !*committed && (progress == Progress::Done || !out.is_empty()) {
                    *committed = true;
                    state.first_byte = Some(state.started.elapsed());
                    reply::begin_stream(gateway, state, down).await?;
                    clock.as_mut().reset((now + idle.min(KEEP_ALIVE_EVERY)).min(sent.total_by));
                }
                if progress == Progress::Done {
                    decoder.hold_back(out);
                    return Ok(());
                }
                if !out.is_empty() {
                    down.write(out.split().freeze(), false).await?;
                    wrote_at = now;
                }
            }
        }
    }
}

/// Takes `piece` and what has arrived meanwhile, to go out in one write.
async fn gather(
    sent: &mut Sent<'_>,
    decoder: &mut Decoder<'_>,
    piece: Result<Option<Bytes>, UpstreamError>,
    out: &mut BytesMut,
) -> Result<Progress, Broken> {
    let mut progress = decoder.take(piece.map_err(Broken::Upstream)?, out)?;
    while progress == Progress::More
        && out.len() < WRITE_BYTES_MAX
        && let Some(piece) = ready(sent.exchange.piece()).await
    {
        progress = decoder.take(piece.map_err(Broken::Upstream)?, out)?;
    }
    Ok(progress)
}

/// Pieces are gathered into one write up to this many bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// What `future` yields without waiting. It must be safe to drop.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The stream is whole: settle, write the row, then let the last events go.
async fn finish<'a, D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    admitted: &Admitted,
    mut decoder: Decoder<'_>,
    received: settle::Received,
    committed: bool,
    down: &mut D,
) -> Result<(), Refusal<'a>> {
    let (tokens, source) = match received.reported {
        Some(tokens) => (tokens, Source::Provider),
        None => settle::counted(gateway, admitted, &state.upstream_model.clone(), received).await,
    };
    let recorded = state.end(gateway, &End::good(tokens, source));
    if let Err(error) = recorded {
        if !committed {
            return Err(Refusal::Final(error));
        }
        break_off(state, &error, down).await;
        return Ok(());
    }
    if down.write(decoder.last(tokens), true).await == Err(Gone) {
        down.close_after();
    }
    Ok(())
}

/// Ends a stream that the client has seen the beginning of.
async fn break_off<D: Downstream>(state: &CallState, error: &Error, down: &mut D) {
    let verdict = error.verdict(&state.snapshot.serving.redactor);
    let event = openai::error_event(&verdict.message, verdict.kind, &verdict.code, verdict.param.as_deref());
    if down.write(event.into(), true).await == Err(Gone) {
        down.close_after();
    }
}

/// Reads the end of a finished stream, so that its connection may serve again.
async fn release(gateway: &Gateway, mut exchange: Exchange) {
    let rest = async { while let Ok(Some(_)) = exchange.piece().await {} };
    if tokio::time::timeout(TRAILER_WAIT, rest).await.is_ok() {
        gateway.connector.release(exchange).await;
    }
}

impl Broken {
    fn into_error(self, target: &ModelTarget) -> Box<Error> {
        let provider = target.provider.name.to_string();
        Box::new(match self {
            Broken::Gone => Error::Request(crate::error::RequestError::ClientGone),
            Broken::Upstream(trouble) => Error::Upstream { provider, trouble },
            Broken::Failure(failure) => Error::Provider { provider, failure },
            Broken::Plugin(fault) => Error::Plugin { provider, fault },
        })
    }

    fn into_refusal(self, target: &ModelTarget) -> Refusal<'_> {
        match self {
            Broken::Gone => Refusal::Gone,
            Broken::Upstream(trouble) => Refusal::Upstream(target, trouble),
            Broken::Failure(failure) => Refusal::Failure(target, failure),
            Broken::Plugin(fault) => Refusal::Plugin(target, fault),
        }
    }
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Broken::Gone
    }
}
