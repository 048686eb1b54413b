use std::time::Duration;

use http::header;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const WAIT: Duration = Duration::from_secs(20);

/// An exchange, and the provider's end of its connection.
fn exchange(reused: bool) -> (Http1, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    (Http1::new(Box::new(ours), reused), theirs)
}

fn request() -> RequestHeader {
    let mut head = RequestHeader::build_no_case("POST", b"/v1/chat?x=1", None).unwrap();
    head.insert_header(header::HOST, "a.test").unwrap();
    head
}

/// What is read of `answer`, which comes cut into pieces of `size` bytes: status, body, and whether the connection may
/// serve again. The connection ends behind it if `closes`.
async fn read_in(answer: &str, size: usize, closes: bool) -> Result<(u16, String, bool), UpstreamError> {
    let (mut http1, mut provider) = exchange(false);
    http1.send(&request(), &Bytes::new(), WAIT).await?;
    let pieces: Vec<Vec<u8>> = answer.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
    let writing = tokio::spawn(async move {
        for piece in pieces {
            provider.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        (!closes).then_some(provider)
    });
    let read = read(&mut http1).await;
    let provider = writing.await.unwrap();
    let (status, body) = read?;
    drop(provider);
    Ok((status, body, http1.into_reusable().is_some()))
}

async fn read(http1: &mut Http1) -> Result<(u16, String), UpstreamError> {
    let status = http1.head().await?.status;
    let mut body = Vec::new();
    while let Some(piece) = http1.piece().await? {
        assert!(!piece.is_empty());
        body.extend_from_slice(&piece);
    }
    Ok((status, String::from_utf8(body).unwrap()))
}

/// Holds that however the answer is cut, it reads as `body`, and leaves the connection as `keeps` says.
#[track_caller]
fn reads(answer: &str, closes: bool, status: u16, body: &str, keeps: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for size in [1, 2, 3, 7, answer.len()] {
        let read = runtime.block_on(read_in(answer, size, closes));
        assert_eq!(read, Ok((status, body.to_owned(), keeps)), "in pieces of {size}: {answer:?}");
    }
}

#[track_caller]
fn fails(answer: &str, closes: bool, error: UpstreamError) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for size in [1, answer.len()] {
        let read = runtime.block_on(read_in(answer, size, closes));
        assert_eq!(read, Err(error.clone()), "in pieces of {size}: {answer:?}");
    }
}

#[test]
fn a_body_ends_where_its_head_says() {
    reads("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, 200, "hello", true);
    reads("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ncontent-length: 5\r\n\r\nhello", false, 200, "hello", true);
    reads("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, 200, "", true);
    reads("HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true);
    reads("HTTP/1.1 200 OK\r\n\r\nhello", true, 200, "hello", false);
    reads("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello", true, 200, "hello", false);
    reads("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", false, 200, "ok", true);
}

#[test]
fn chunks_are_joined_whatever_lies_between_them() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
    reads(
        &format!("{head}5\r\nhello\r\n00A;name=\"v\"\r\n0123456789\r\n0\r\n\r\n"),
        false,
        200,
        "hello0123456789",
        true,
    );
    reads(&format!("{head}1 \r\na\r\n0\r\ntrailer: x\r\nother: y\r\n\r\n"), false, 200, "a", true);
    for broken in ["5\nhello", "5\r\nhellox", "\r\n", "g\r\n", "1;a\nb", "1000000000000000\r\n", "0\r\n\n"] {
        fails(&format!("{head}{broken}"), false, UpstreamError::Protocol);
    }
    for cut in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\na: b\r\n"] {
        fails(&format!("{head}{cut}"), true, UpstreamError::Reset);
    }
}

#[test]
fn a_head_that_could_be_read_in_two_ways_is_refused_or_ends_the_connection() {
    fails("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", false, UpstreamError::Protocol);
    fails("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello", false, UpstreamError::Protocol);
    fails("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, UpstreamError::Protocol);
    fails("SSH-2.0-OpenSSH\r\n\r\n", false, UpstreamError::Protocol);
    let both = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n";
    reads(both, false, 200, "a", false);
}

#[test]
fn a_connection_serves_again_only_where_both_sides_keep_it() {
    reads("HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 1\r\n\r\na", false, 200, "a", false);
    reads("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", false, 200, "a", false);
    reads("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", false, 200, "a", true);
    // Nobody asked for what follows.
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = runtime.block_on(read_in(answer, answer.len(), false));
    assert_eq!(read, Ok((200, "a".to_owned(), false)));
}

#[test]
fn a_head_has_an_end() {
    fails(&format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_BYTES_MAX)), false, UpstreamError::Protocol);
    let many: String = (0..300).map(|number| format!("h{number}: x\r\n")).collect();
    fails(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), false, UpstreamError::Protocol);
    let some: String = (0..200).map(|number| format!("h{number}: x\r\n")).collect();
    reads(&format!("HTTP/1.1 200 OK\r\n{some}content-length: 0\r\n\r\n"), false, 200, "", true);
}

#[tokio::test]
async fn a_request_goes_out_with_its_body() {
    for length in [0, 1000, JOINED_BYTES_MAX, JOINED_BYTES_MAX + 1, 300_000] {
        let (mut http1, mut provider) = exchange(false);
        let body = Bytes::from(vec![b'x'; length]);
        http1.send(&request(), &body, WAIT).await.unwrap();
        drop(http1);
        let mut sent = Vec::new();
        provider.read_to_end(&mut sent).await.unwrap();
        let head = b"POST /v1/chat?x=1 HTTP/1.1\r\nhost: a.test\r\n\r\n";
        assert!(sent.starts_with(head) && sent[head.len()..] == body, "{length} bytes of body");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_stale_unless_the_request_went_out_whole() {
    for (reused, error) in [(true, UpstreamError::Stale), (false, UpstreamError::Reset)] {
        let (mut http1, provider) = exchange(reused);
        drop(provider);
        assert_eq!(http1.head().await.unwrap_err(), error);
    }
    // The provider may have processed what it has had, whether it has said anything or not.
    for said in ["", "HTTP/1.1 2"] {
        let (mut http1, mut provider) = exchange(true);
        http1.send(&request(), &Bytes::new(), WAIT).await.unwrap();
        provider.write_all(said.as_bytes()).await.unwrap();
        drop(provider);
        assert_eq!(http1.head().await.unwrap_err(), UpstreamError::Reset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_nothing_is_left() {
    let (ours, _theirs) = duplex(16);
    let mut http1 = Http1::new(Box::new(ours), false);
    let sent = http1.send(&request(), &Bytes::from(vec![b'x'; 100]), Duration::from_secs(1)).await;
    assert_eq!(sent, Err(UpstreamError::WriteTimeout));
    assert!(http1.into_reusable().is_none());
}
