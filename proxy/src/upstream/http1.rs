//! One exchange over HTTP/1.1, on a connection that Pingora made.
//!
//! Pingora connects, encrypts and pools; what is said on the connection is written and read here, because Pingora's own
//! session keeps 70 KB for as long as an answer lasts, which is mostly silence. Invariant: while an answer is waited
//! for, nothing is kept but what was read of it and not taken.

mod body;
mod head;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use pingora::{http::RequestHeader, protocols::Stream};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use self::{
    body::{Body, MalformedError},
    head::ReadHead,
};
use super::{Answer, UpstreamError};

/// How much is read at once, onto the stack.
const READ_BYTES_MAX: usize = 32 << 10;
/// A body of at most so many bytes goes out in one write with its head.
const JOINED_BYTES_MAX: usize = 16 << 10;
/// The whole head of an answer.
const HEAD_BYTES_MAX: usize = 128 << 10;

/// One connection, and how far its exchange has come.
pub(super) struct Http1 {
    stream: Stream,
    /// The connection has served before, and may have been closed meanwhile.
    reused: bool,
    /// Read and not yet taken.
    unread: Vec<u8>,
    body: Body,
    sent_whole: bool,
    /// The request went out whole, and nothing of the answer speaks against another exchange.
    keeps: bool,
}

impl Http1 {
    pub(super) fn new(stream: Stream, reused: bool) -> Http1 {
        Http1 { stream, reused, unread: Vec::new(), body: Body::Done, sent_whole: false, keeps: false }
    }

    /// Sends a request. `write_timeout` bounds the time between two pieces of it being taken.
    ///
    /// # Errors
    /// [`UpstreamError`] where it was not taken whole.
    pub(super) async fn send(
        &mut self,
        head: &RequestHeader,
        body: &Bytes,
        write_timeout: Duration,
    ) -> Result<(), UpstreamError> {
        let joined = body.len() <= JOINED_BYTES_MAX;
        let mut text = Vec::with_capacity(1024 + if joined { body.len() } else { 0 });
        head::write(head, &mut text).map_err(|MalformedError| UpstreamError::Protocol)?;
        if joined {
            text.extend_from_slice(body);
        }
        self.write(&text, write_timeout).await?;
        if !joined {
            self.write(body, write_timeout).await?;
        }
        let flushed = timeout(write_timeout, self.stream.flush()).await;
        flushed.map_err(|_| UpstreamError::WriteTimeout)?.map_err(|error| self.lost(&error))?;
        self.keeps = true;
        self.sent_whole = true;
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8], write_timeout: Duration) -> Result<(), UpstreamError> {
        while !bytes.is_empty() {
            match timeout(write_timeout, self.stream.write(bytes)).await {
                Ok(Ok(0)) => return Err(UpstreamError::Reset),
                Err(_) => return Err(UpstreamError::WriteTimeout),
                Ok(Ok(count)) => bytes.advance(count),
                Ok(Err(error)) => return Err(self.lost(&error)),
            }
        }
        Ok(())
    }

    /// Reads the answer's head, past any 1xx. Cancel-safe.
    ///
    /// # Errors
    /// [`UpstreamError`]. Not [`UpstreamError::Stale`] where the request went out whole: it may have been processed.
    pub(super) async fn head(&mut self) -> Result<Answer, UpstreamError> {
        loop {
            match head::read(&self.unread) {
                Ok(Some(ReadHead { status: 101, .. })) | Err(MalformedError) => return Err(UpstreamError::Protocol),
                Ok(Some(head)) => {
                    self.unread.drain(..head.bytes);
                    if head.status < 200 {
                        continue;
                    }
                    self.body = head.body;
                    self.keeps &= head.keeps && (self.body != Body::Done || self.unread.is_empty());
                    return Ok(Answer { status: head.status, headers: head.headers });
                }
                Ok(None) if self.unread.len() >= HEAD_BYTES_MAX => return Err(UpstreamError::Protocol),
                Ok(None) => {}
            }
            let read = poll_fn(|cx| {
                poll_read(&mut self.stream, cx, |bytes| {
                    self.unread.extend_from_slice(bytes);
                    bytes.len()
                })
            });
            match read.await {
                Ok(0) if self.unread.is_empty() && self.is_stale() => return Err(UpstreamError::Stale),
                Ok(0) => return Err(UpstreamError::Reset),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    /// The next piece of the body; none at its end. Cancel-safe.
    ///
    /// # Errors
    /// [`UpstreamError::Reset`] where it breaks off, [`UpstreamError::Protocol`] where its framing is broken.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        loop {
            if self.body == Body::Done {
                return Poll::Ready(Ok(None));
            }
            let Http1 { stream, unread, body, keeps, .. } = self;
            let taken = if unread.is_empty() {
                let read = poll_read(stream, cx, |bytes| (!bytes.is_empty()).then(|| (body.take(bytes), bytes.len())));
                match ready!(read) {
                    Ok(Some(taken)) => taken,
                    Ok(None) if body.end() => continue,
                    Ok(None) | Err(_) => return Poll::Ready(Err(UpstreamError::Reset)),
                }
            } else {
                let unread = std::mem::take(unread);
                (body.take(&unread), unread.len())
            };
            let (Ok((piece, used)), count) = taken else { return Poll::Ready(Err(UpstreamError::Protocol)) };
            // What follows the end belongs to no request of ours.
            *keeps &= used == count;
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    /// The connection, if it may serve again.
    pub(super) fn into_reusable(self) -> Option<Stream> {
        (self.keeps && self.body == Body::Done).then_some(self.stream)
    }

    /// What a failure of the connection means: one that has served before may have been closed before this request.
    fn lost(&self, error: &io::Error) -> UpstreamError {
        // An error of TLS is none of the system's, and says nothing of what the provider has read.
        let unheard = self.unread.is_empty() && error.raw_os_error().is_some();
        if self.is_stale() && unheard { UpstreamError::Stale } else { UpstreamError::Reset }
    }

    /// Whether a connection that is lost was closed before the provider could process the request.
    fn is_stale(&self) -> bool {
        self.reused && !self.sent_whole
    }
}

/// Shows `take` what there is to read, which is nothing at the end.
fn poll_read<T>(stream: &mut Stream, cx: &mut Context<'_>, take: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
    let mut room = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
    let mut read = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(take(read.filled())))
}
