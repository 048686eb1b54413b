//! One HTTP/1.1 exchange with the admin listener, on a connection of its own.
//!
//! Knows as much HTTP as that needs: a request with a length, an answer with a length, in chunks, or to the end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A plugin may take a minute to compile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const HEAD_BYTES_MAX: u64 = 64 << 10;
const BODY_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) token: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
}

/// Sends `request` and waits for the answer to it.
pub(super) fn exchange(mut stream: TcpStream, request: &Request<'_>) -> anyhow::Result<Response> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let head = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        request.method,
        request.path,
        stream.peer_addr()?,
        request.token,
        request.content_type,
        request.body.len()
    );
    // An answer may come before the whole body is taken, and then the rest of it is refused.
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(request.body));
    read(BufReader::new(stream)).or_else(|error| match sent {
        Err(unsent) => Err(unsent).context("the request could not be sent"),
        Ok(()) => Err(error),
    })
}

/// Reads one answer.
pub(super) fn read(mut from: impl BufRead) -> anyhow::Result<Response> {
    let mut head = (&mut from).take(HEAD_BYTES_MAX);
    let first = line(&mut head)?;
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| anyhow!("the answer is not HTTP/1.1"))?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let header = line(&mut head)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| anyhow!("the answer has a broken header"))?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<u64>().context("the answer has a broken length")?),
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        read_chunks(&mut from, &mut body)?;
    } else {
        let wanted = length.unwrap_or(BODY_BYTES_MAX + 1);
        ensure!(length.is_none_or(|length| length <= BODY_BYTES_MAX), "the answer is too long");
        from.take(wanted).read_to_end(&mut body)?;
        ensure!(length.is_none_or(|length| length == body.len() as u64), "the answer broke off");
        ensure!(body.len() as u64 <= BODY_BYTES_MAX, "the answer is too long");
    }
    Ok(Response { status, body })
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> anyhow::Result<()> {
    loop {
        let size = line(&mut from.take(1024))?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).context("the answer has a broken chunk")?;
        ensure!(body.len() as u64 + size <= BODY_BYTES_MAX, "the answer is too long");
        let read = from.take(size).read_to_end(body)? as u64;
        ensure!(read == size, "the answer broke off");
        line(&mut from.take(1024))?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn line(from: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").ok_or_else(|| anyhow!("the answer broke off"))?;
    Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
}
