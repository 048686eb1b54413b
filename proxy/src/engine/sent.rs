//! A request that a provider has been sent, and the reading of its answer within the provider's clocks.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{attempt_error::AttemptError, client::Downstream, providers::Exchange};
use crate::{
    plugin::{Context, Request, StreamPlace},
    snapshot::ModelTarget,
    upstream::{Answer, UpstreamError},
};

/// A request that a provider has been sent, and what it takes to read the answer.
pub(super) struct Sent<'a, E> {
    pub(super) target: &'a ModelTarget,
    pub(super) request: Request,
    pub(super) context: Context<'a>,
    /// For an answer that is a stream to translate.
    pub(super) stream_place: Option<StreamPlace>,
    pub(super) exchange: E,
    pub(super) answer: Answer,
    /// When the first event must be there.
    pub(super) first_byte_by: Instant,
    /// When the whole answer must be there.
    pub(super) total_by: Instant,
}

/// A body as it arrives: not copied where it comes in one piece.
#[derive(Default)]
pub(super) struct Body {
    first: Bytes,
    more: BytesMut,
    /// Where it is counted with all others; none for a short one.
    all: Option<Arc<Semaphore>>,
    held: Held,
}

/// What a body takes of the room for all of them, until dropped.
#[derive(Default)]
pub(super) struct Held(Option<OwnedSemaphorePermit>);

impl<E: Exchange> Sent<'_, E> {
    /// Reads an answer into `body` to its end, within the idle and total clocks. False if it is longer than `bytes_max`.
    ///
    /// # Errors
    /// [`AttemptError`] where the client leaves, the provider breaks off, or there is no room; `body` has what came before.
    pub(super) async fn collect<D: Downstream>(
        &mut self,
        body: &mut Body,
        bytes_max: usize,
        client: &mut D,
    ) -> Result<bool, AttemptError> {
        loop {
            let idle_by = Instant::now() + self.target.provider.clocks.idle;
            let deadline = idle_by.min(self.total_by);
            let piece = tokio::select! {
                biased;
                piece = timeout_at(deadline, self.exchange.piece()) => piece,
                why = client.interrupted() => return Err(why.into()),
            };
            match piece {
                Ok(Ok(Some(piece))) if body.len() + piece.len() > bytes_max => return Ok(false),
                Ok(Ok(Some(piece))) if !body.has_room(piece.len()) => return Err(AttemptError::NoRoom),
                Ok(Ok(Some(piece))) => body.push(piece),
                Ok(Ok(None)) => return Ok(true),
                Ok(Err(trouble)) => return Err(trouble.into()),
                Err(_) if deadline == self.total_by => return Err(UpstreamError::TotalTimeout.into()),
                Err(_) => {
                    self.exchange.distrust();
                    return Err(UpstreamError::IdleTimeout.into());
                }
            }
        }
    }
}

impl Body {
    /// A body that is counted with all others, in KiB.
    pub(super) fn counted(all: &Arc<Semaphore>) -> Body {
        Body { all: Some(all.clone()), ..Body::default() }
    }

    /// Takes the room for `bytes` more, if there is any.
    fn has_room(&mut self, bytes: usize) -> bool {
        let Some(all) = &self.all else { return true };
        let kib = (self.len() + bytes).div_ceil(1024);
        let more = kib.saturating_sub(self.held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let Ok(more) = u32::try_from(more) else { return false };
        let Ok(more) = all.clone().try_acquire_many_owned(more) else { return false };
        match &mut self.held.0 {
            Some(held) => held.merge(more),
            held => *held = Some(more),
        }
        true
    }

    /// The room that the body takes, for as long as somebody holds it.
    pub(super) fn take_held(&mut self) -> Held {
        std::mem::take(&mut self.held)
    }

    fn len(&self) -> usize {
        self.first.len().max(self.more.len())
    }

    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.more.is_empty() {
            self.more.reserve((self.first.len() + piece.len()) * 2);
            self.more.extend_from_slice(&self.first);
        }
        self.more.extend_from_slice(&piece);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.freeze() }
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
