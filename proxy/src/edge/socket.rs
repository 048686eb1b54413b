//! A client's TCP connection, as Pingora reads and writes it.
//!
//! Reads go straight to whoever reads, and writes are gathered until they are flushed. Pingora's own stream keeps two
//! buffers for the whole life of a connection, most of which is silence.

use std::{
    io::{self, IoSlice},
    os::fd::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

/// What a client begins with who speaks HTTP/2 without TLS.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Writes are gathered up to this many bytes.
const GATHERED_BYTES_MAX: usize = 16 << 10;
/// A buffer of at most this many bytes is kept after it was flushed.
const KEPT_BYTES_MAX: usize = 4 << 10;
/// How much is read at once while looking for the preface.
const PEEKED_BYTES_MAX: usize = 4 << 10;

/// One connection of a client.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    digest: Arc<SocketDigest>,
    /// Looked at and not yet read.
    unread: BytesMut,
    /// Written and not yet flushed, up to `flushed`.
    gathered: Vec<u8>,
    flushed: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        let digest = Arc::new(SocketDigest::from_raw_fd(stream.as_raw_fd()));
        Socket { stream, digest, unread: BytesMut::new(), gathered: Vec::new(), flushed: 0 }
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.flushed < self.gathered.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.flushed..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.flushed += count;
        }
        self.flushed = 0;
        if self.gathered.capacity() > KEPT_BYTES_MAX {
            self.gathered = Vec::new()
        } else {
            self.gathered.clear()
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..count]);
        this.unread.advance(count);
        if this.unread.is_empty() {
            this.unread = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if this.gathered.len() + count > GATHERED_BYTES_MAX {
            ready!(this.poll_gathered(cx))?;
            if count > GATHERED_BYTES_MAX {
                return Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
            }
        }
        pieces.iter().for_each(|piece| this.gathered.extend_from_slice(piece));
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_gathered(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_gathered(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Peek for Socket {
    /// Fills `wanted` with the connection's first bytes, as far as they may still be HTTP/2's preface. What is shown in
    /// place of the others is zero: a request that is shorter than the preface must not be waited for.
    async fn try_peek(&mut self, wanted: &mut [u8]) -> io::Result<bool> {
        while self.unread.len() < wanted.len() && H2_PREFACE.starts_with(&self.unread) {
            self.unread.reserve(PEEKED_BYTES_MAX);
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                break;
            }
        }
        let count = self.unread.len().min(wanted.len());
        wanted[..count].copy_from_slice(&self.unread[..count]);
        wanted[count..].fill(0);
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // Whether the client is still there to see it makes no difference.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}
