//! What is wrong with a request's head that Pingora has let through.

use http::{HeaderMap, Version, header};
use pingora::{http::RequestHeader, protocols::http::ServerSession};

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadBounds {
    pub(super) headers_max: usize,
    /// Names and values together.
    pub(super) bytes_max: usize,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    /// Too many headers, or too long ones.
    TooLarge,
    /// It does not say which host it is for, or where its body ends.
    Invalid,
}

/// What is wrong with the head that `session` has read, if anything.
pub(super) fn fault(session: &ServerSession, bounds: HeadBounds) -> Option<HeadError> {
    let head = session.req_header();
    if is_too_large(&head.headers, bounds) {
        return Some(HeadError::TooLarge);
    }
    let ServerSession::H1(session) = session else { return None };
    let hostless = head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST);
    let ambiguous =
        head.headers.contains_key(header::TRANSFER_ENCODING) && is_ambiguous(head, &session.get_headers_raw_bytes());
    (hostless || ambiguous).then_some(HeadError::Invalid)
}

fn is_too_large(headers: &HeaderMap, bounds: HeadBounds) -> bool {
    let bytes = || headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
    headers.len() > bounds.headers_max || bytes() > bounds.bytes_max
}

/// Whether a head with a `transfer-encoding` could be read by someone else as one whose body ends elsewhere. Pingora
/// drops a `content-length` that stands beside it, so that only the raw head still shows one.
fn is_ambiguous(head: &RequestHeader, raw: &[u8]) -> bool {
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = encodings.next().is_some_and(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    let is_length = |line: &[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    };
    !chunked || encodings.next().is_some() || raw.split(|byte| *byte == b'\n').any(is_length)
}
