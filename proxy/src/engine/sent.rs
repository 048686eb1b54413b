//! A request that a provider has been sent, and the reading of its answer within the provider's clocks.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

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
}

impl<E: Exchange> Sent<'_, E> {
    /// Reads an answer into `body` to its end, within the idle and total clocks. False if it is longer than `bytes_max`.
    ///
    /// # Errors
    /// [`AttemptError`] where the client leaves or the provider breaks off; `body` has what came before.
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
