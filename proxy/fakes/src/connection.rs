//! One HTTP/1.1 connection of a fake: reads requests, writes bytes, and notices a client that leaves. Owns the socket
//! and its buffers; never knows what is asked or answered. TLS, HTTP/2 and pipelining are not spoken.

use std::{
    io::{self, ErrorKind},
    ops::Range,
};

use memchr::memmem;
use tokio::{
    io::AsyncReadExt,
    net::{TcpStream, tcp::ReadHalf},
};

const HEAD_BYTES_MAX: usize = 256 << 10;
const BODY_BYTES_MAX: usize = 64 << 20;
/// The size of a chunk, and what else stands beside it.
const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
const READ_BYTES: usize = 16 << 10;
const INBOX_BYTES_KEPT: usize = 1 << 20;

pub(super) struct Connection {
    stream: TcpStream,
    inbox: Vec<u8>,
    /// The request under way, as ranges of `inbox`.
    head: Range<usize>,
    body: Range<usize>,
    /// Where the next request begins in `inbox`.
    next: usize,
}

/// A request as it lies in its connection's buffer.
pub(super) struct Request<'a> {
    pub(super) head: &'a str,
    pub(super) method: &'a str,
    /// Without the query.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }

    /// Names, as they were written, and values.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        headers(self.head)
    }
}

/// What keeps a request from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Malformed,
    HeadTooLong,
    BodyTooLong,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Connection {
        Connection { stream, inbox: Vec::with_capacity(READ_BYTES), head: 0..0, body: 0..0, next: 0 }
    }

    /// Reads the next request. False at the end of the connection.
    pub(super) async fn read(&mut self) -> io::Result<Result<bool, Unreadable>> {
        self.inbox.drain(..self.next);
        self.inbox.shrink_to(INBOX_BYTES_KEPT);
        self.next = 0;
        let mut searched = 0;
        let head_end = loop {
            let from = searched;
            if let Some(at) = memmem::find(&self.inbox[from..], b"\r\n\r\n") {
                break from + at + 4;
            }
            if self.inbox.len() > HEAD_BYTES_MAX {
                return Ok(Err(Unreadable::HeadTooLong));
            }
            searched = self.inbox.len().saturating_sub(3);
            if !self.fill().await? {
                return Ok(if self.inbox.is_empty() { Ok(false) } else { Err(Unreadable::Malformed) });
            }
        };
        self.head = 0..head_end;
        let Ok(head) = std::str::from_utf8(&self.inbox[..head_end]) else { return Ok(Err(Unreadable::Malformed)) };
        let chunked = header(head, "transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked"));
        let length = header(head, "content-length").map_or(Ok(0), str::parse::<usize>);
        let continues = header(head, "expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue"));
        let Ok(length) = length else { return Ok(Err(Unreadable::Malformed)) };
        if length > BODY_BYTES_MAX {
            return Ok(Err(Unreadable::BodyTooLong));
        }
        if continues && self.inbox.len() == head_end {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if chunked {
            return self.read_chunks(head_end).await.map(|read| read.map(|()| true));
        }
        self.read_to(head_end + length).await?;
        self.body = head_end..head_end + length;
        self.next = self.body.end;
        Ok(Ok(true))
    }

    /// The request that [`Connection::read`] read.
    pub(super) fn request(&self) -> Option<Request<'_>> {
        let head = std::str::from_utf8(&self.inbox[self.head.clone()]).ok()?;
        let mut words = head.lines().next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Request { head, method, path, query, body: &self.inbox[self.body.clone()] })
    }

    /// Writes all of `bytes`. A client that leaves meanwhile is an error.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let ahead = self.next + HEAD_BYTES_MAX;
        let (mut reader, writer) = self.stream.split();
        let mut rest = bytes;
        loop {
            match writer.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if rest.is_empty() {
                return Ok(());
            }
            tokio::select! {
                ready = writer.writable() => ready?,
                gone = departure(&mut reader, &mut self.inbox, ahead) => return Err(gone),
            }
        }
    }

    /// Waits for `other`. A client that leaves meanwhile is an error.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> io::Result<T> {
        let ahead = self.next + HEAD_BYTES_MAX;
        let (mut reader, _writer) = self.stream.split();
        tokio::select! {
            output = other => Ok(output),
            gone = departure(&mut reader, &mut self.inbox, ahead) => Err(gone),
        }
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }

    /// Decodes a chunked body in place, so that it lies behind its head as any other body.
    async fn read_chunks(&mut self, head_end: usize) -> io::Result<Result<(), Unreadable>> {
        let (mut read, mut decoded) = (head_end, head_end);
        loop {
            let line_end = loop {
                match memmem::find(&self.inbox[read..], b"\r\n") {
                    Some(at) => break read + at,
                    None if self.inbox.len() - read > CHUNK_LINE_BYTES_MAX => return Ok(Err(Unreadable::Malformed)),
                    None => self.read_to(self.inbox.len() + 1).await?,
                }
            };
            let line = std::str::from_utf8(&self.inbox[read..line_end]).unwrap_or_default();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let Ok(size) = size else { return Ok(Err(Unreadable::Malformed)) };
            if decoded - head_end + size > BODY_BYTES_MAX {
                return Ok(Err(Unreadable::BodyTooLong));
            }
            let data = line_end + 2;
            self.read_to(data + size + 2).await?;
            self.inbox.copy_within(data..data + size, decoded);
            decoded += size;
            read = data + size + 2;
            if size == 0 {
                self.body = head_end..decoded;
                self.next = read;
                return Ok(Ok(()));
            }
        }
    }

    async fn read_to(&mut self, length: usize) -> io::Result<()> {
        self.inbox.reserve(length.saturating_sub(self.inbox.len()));
        while self.inbox.len() < length {
            if !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.inbox.reserve(1);
        Ok(self.stream.read_buf(&mut self.inbox).await? > 0)
    }
}

/// Ends when the client does. What it sends meanwhile is kept for the next request, until `inbox` holds `ahead` bytes.
async fn departure(reader: &mut ReadHalf<'_>, inbox: &mut Vec<u8>, ahead: usize) -> io::Error {
    loop {
        if inbox.len() > ahead {
            std::future::pending::<()>().await;
        }
        match reader.read_buf(inbox).await {
            Ok(0) => return ErrorKind::ConnectionAborted.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    headers(head).find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
}
