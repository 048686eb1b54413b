//! A client's TCP connection, as Pingora reads and writes it.
//!
//! Reads go straight to whoever reads, and writes are gathered until they are flushed. Pingora's own stream keeps two
//! buffers for the whole life of a connection, most of which is silence.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
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
const KEPT_BYTES_MAX: usize = 512;
/// How much is read at once while looking for the preface.
const PEEKED_BYTES_MAX: usize = 4 << 10;

/// How much is read at once of what nobody will look at.
const FORGOTTEN_BYTES_MAX: usize = 16 << 10;

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
    /// Nothing more is written.
    is_shut: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        let digest = Arc::new(SocketDigest::from_raw_fd(stream.as_raw_fd()));
        Socket { stream, digest, unread: BytesMut::new(), gathered: Vec::new(), flushed: 0, is_shut: false }
    }

    /// Reads all that has come, and shows its first bytes alone.
    fn poll_forgotten(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut room = [const { MaybeUninit::uninit() }; FORGOTTEN_BYTES_MAX];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        let shown = read.filled().len().min(buf.remaining());
        buf.put_slice(&read.filled()[..shown]);
        Poll::Ready(Ok(()))
    }

    /// Whether the client begins with HTTP/2's preface. What was read to see it is still to be read.
    pub(super) async fn begins_http2(&mut self) -> io::Result<bool> {
        self.read_preface(H2_PREFACE.len()).await?;
        Ok(self.unread.starts_with(H2_PREFACE))
    }

    /// Reads ahead until there are so many bytes, or what there is cannot become the preface.
    async fn read_preface(&mut self, bytes: usize) -> io::Result<()> {
        while self.unread.len() < bytes && H2_PREFACE.starts_with(&self.unread) {
            self.unread.reserve(PEEKED_BYTES_MAX);
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                break;
            }
        }
        Ok(())
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
            // Byte by byte, once the answer has ended, only the connection's end is waited for. TLS reads in larger pieces.
            if this.is_shut && buf.remaining() == 1 {
                return this.poll_forgotten(cx, buf);
            }
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
        this.is_shut = true;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Peek for Socket {
    /// Fills `wanted` with the connection's first bytes, as far as they may still be HTTP/2's preface. What is shown in
    /// place of the others is zero: a request that is shorter than the preface must not be waited for.
    async fn try_peek(&mut self, wanted: &mut [u8]) -> io::Result<bool> {
        self.read_preface(wanted.len()).await?;
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_answer_is_read_in_large_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::new(listener.accept().await.unwrap().0);
        let sending = tokio::spawn(async move {
            client.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
            client.shutdown().await.unwrap();
            client
        });
        let mut byte = [0];
        for _ in 0..100 {
            assert_eq!(socket.read(&mut byte).await.unwrap(), 1);
        }
        AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        // The rest has come to the kernel by now, or comes as it is read.
        let mut reads = 0;
        while socket.read(&mut byte).await.unwrap() > 0 {
            reads += 1;
        }
        sending.await.unwrap();
        assert!(reads < 100_000, "{reads} reads for a megabyte");
    }
}
