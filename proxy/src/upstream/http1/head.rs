//! Heads of HTTP/1.1: a request's written, an answer's read.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use httparse::{ParserConfig, Response, Status};
use pingora::http::RequestHeader;

use super::body::{Body, MalformedError};

/// Headers of one answer.
const HEADERS_MAX: usize = 256;

/// An answer's head, and what it says of the rest.
#[derive(Debug)]
pub(super) struct ReadHead {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The connection may serve again once the body has been read.
    pub(super) keeps: bool,
    /// How many bytes the head had.
    pub(super) bytes: usize,
}

/// Appends the head of a request, blank line included.
///
/// # Errors
/// [`MalformedError`] where the path holds what would end it.
pub(super) fn write(head: &RequestHeader, out: &mut Vec<u8>) -> Result<(), MalformedError> {
    let path = head.raw_path();
    if path.is_empty() || path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(MalformedError);
    }
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(path);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Reads the head at the beginning of `bytes`; none while it is not whole.
///
/// # Errors
/// [`MalformedError`] where it is no head, or does not say where its body ends.
pub(super) fn read(bytes: &[u8]) -> Result<Option<ReadHead>, MalformedError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = Response::new(&mut []);
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let Status::Complete(length) = parsed.map_err(|_| MalformedError)? else { return Ok(None) };
    let status = response.code.ok_or(MalformedError)?;
    let mut map = HeaderMap::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| MalformedError)?;
        map.append(name, value(header.value)?);
    }
    let (body, is_clear) = body(status, &map)?;
    let is_old = response.version != Some(1);
    let keeps = is_clear && if is_old { says(&map, "keep-alive") } else { !says(&map, "close") };
    Ok(Some(ReadHead { status, headers: map, body, keeps, bytes: length }))
}

/// A value copied out, so that it does not keep all that was read. A value that is folded over lines is one line.
fn value(bytes: &[u8]) -> Result<HeaderValue, MalformedError> {
    HeaderValue::from_bytes(bytes).or_else(|_| {
        let line: Vec<u8> = bytes.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }).collect();
        HeaderValue::from_bytes(&line).map_err(|_| MalformedError)
    })
}

/// Where the body of an answer with these headers ends (RFC 9112, 6.3), and whether that is beyond doubt.
fn body(status: u16, headers: &HeaderMap) -> Result<(Body, bool), MalformedError> {
    if status < 200 || matches!(status, 204 | 304) {
        return Ok((Body::Done, true));
    }
    let length = length(headers)?;
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter().peekable();
    if encodings.peek().is_some() {
        let last = encodings.next_back().map(HeaderValue::as_bytes).unwrap_or_default();
        let last = last.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        let body = if is_chunked { Body::CHUNKED } else { Body::UntilClosed };
        // With a length beside it, somebody between may have read another end.
        return Ok((body, is_chunked && length.is_none()));
    }
    Ok(match length {
        Some(0) => (Body::Done, true),
        Some(length) => (Body::Length(length), true),
        None => (Body::UntilClosed, false),
    })
}

/// The declared length. Said twice, it must be the same.
fn length(headers: &HeaderMap) -> Result<Option<u64>, MalformedError> {
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for text in value.as_bytes().split(|byte| *byte == b',') {
            let text = text.trim_ascii();
            let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let said = digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(MalformedError)?;
            if length.is_some_and(|before| before != said) {
                return Err(MalformedError);
            }
            length = Some(said);
        }
    }
    Ok(length)
}

/// Whether the `connection` header has this word.
fn says(headers: &HeaderMap, word: &str) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}
