//! One request's client, as the engine sees it.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use pingora::{ErrorType, http::ResponseHeader, protocols::http::ServerSession};
use tokio::time::{Instant, timeout_at};

use super::{EXPOSED, Endpoint, ORIGIN, Settings, endpoint};
use crate::engine::{BodyFault, Downstream, Gone, Head};

/// A client whose request head has been read, or has failed to be.
pub(super) struct Client<'a> {
    session: &'a mut ServerSession,
    settings: &'a Settings,
    body_bytes_max: usize,
    /// The head could not be parsed, so that nothing of the request may be asked for.
    headless: bool,
    answered: Answered,
}

#[derive(PartialEq, Eq)]
enum Answered {
    Not,
    Begun,
    Whole,
}

impl<'a> Client<'a> {
    pub(super) fn new(session: &'a mut ServerSession, settings: &'a Settings, body_bytes_max: usize) -> Self {
        Client { session, settings, body_bytes_max, headless: false, answered: Answered::Not }
    }

    pub(super) fn headless(session: &'a mut ServerSession, settings: &'a Settings, body_bytes_max: usize) -> Self {
        Client { headless: true, ..Client::new(session, settings, body_bytes_max) }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let head = self.session.req_header();
        endpoint(&head.method, head.uri.path_and_query().map_or("/", |target| target.as_str()))
    }

    pub(super) fn method(&self) -> &str {
        self.session.req_header().method.as_str()
    }

    /// Whether the head is beyond what the operator takes. Pingora's own bounds are far wider.
    pub(super) fn is_head_too_large(&self) -> bool {
        let headers = &self.session.req_header().headers;
        let bytes = || headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        headers.len() > self.settings.headers_max || bytes() > self.settings.header_bytes_max
    }

    /// Whether the answer went out whole, so that the connection may serve again.
    pub(super) fn is_answered(&self) -> bool {
        self.answered == Answered::Whole
    }

    /// Answers a browser's question with whatever it asks to send: a fixed list breaks with each release of an SDK.
    pub(super) async fn preflight(&mut self) {
        let wanted = self.session.get_header(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let mut head = Head::whole(204, HeaderValue::from_static("text/plain"), 0);
        head.headers.extend([
            (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE, OPTIONS")),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ]);
        head.headers.extend(wanted.map(|wanted| (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted)));
        if self.begin(head).await.is_ok() {
            let _ = self.write(Bytes::new(), true).await;
        }
    }

    fn response(&self, head: Head) -> pingora::Result<ResponseHeader> {
        let mut response = ResponseHeader::build_no_case(head.status, Some(head.headers.len() + 5))?;
        let old = !self.headless && self.session.req_header().version == http::Version::HTTP_10;
        match head.length {
            Some(_) if head.status == 204 => {}
            Some(length) => response.insert_header(header::CONTENT_LENGTH, length)?,
            // HTTP/2 strips it; HTTP/1.0 reads to the end of the connection.
            None if !old => response.insert_header(header::TRANSFER_ENCODING, "chunked")?,
            None => {}
        }
        if head.status != 204 {
            response.insert_header(header::CONTENT_TYPE, head.content_type)?;
        }
        for (name, value) in head.headers {
            response.insert_header(name, value)?;
        }
        response.insert_header(ORIGIN.0, ORIGIN.1)?;
        if !self.headless && self.session.get_header(header::ORIGIN).is_some() {
            response.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
        }
        Ok(response)
    }

    /// Answers `Expect: 100-continue`, which Pingora leaves to the application and which switches its keep-alive off.
    async fn invite_body(&mut self) {
        let expected = self.session.get_header_bytes(header::EXPECT).eq_ignore_ascii_case(b"100-continue");
        if expected && !self.session.is_body_done() {
            let keep = self.session.get_keepalive();
            if self.session.write_continue_response().await.is_ok() {
                self.session.set_keepalive(keep);
            }
        }
    }

    fn body_length(&self) -> Option<usize> {
        std::str::from_utf8(self.session.get_header_bytes(header::CONTENT_LENGTH)).ok()?.parse().ok()
    }
}

impl Downstream for Client<'_> {
    fn header(&self, name: HeaderName) -> Option<&[u8]> {
        if self.headless { None } else { self.session.get_header(name).map(HeaderValue::as_bytes) }
    }

    async fn body(&mut self) -> Result<Bytes, BodyFault> {
        let max = self.body_bytes_max;
        let declared = self.body_length();
        if declared.is_some_and(|length| length > max) {
            return Err(BodyFault::TooLarge(max));
        }
        self.invite_body().await;
        let deadline = Instant::now() + self.settings.body;
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        loop {
            let piece = match timeout_at(deadline, self.session.read_request_body()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break,
                Ok(Err(error)) if matches!(error.etype, ErrorType::ReadTimedout) => return Err(BodyFault::Slow),
                Ok(Err(_)) => return Err(BodyFault::Broken),
                Err(_) => return Err(BodyFault::Slow),
            };
            if first.len().max(whole.len()) + piece.len() > max {
                return Err(BodyFault::TooLarge(max));
            }
            if first.is_empty() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                // One allocation where the length was declared: the bound has been checked against it.
                whole.reserve(declared.unwrap_or(0).max(first.len() + piece.len()));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }

    async fn discard_body(&mut self) {
        if self.headless || self.session.is_body_done() {
            return;
        }
        let waits = self.session.get_header_bytes(header::EXPECT).eq_ignore_ascii_case(b"100-continue");
        let max = self.body_bytes_max.saturating_mul(2);
        // A client that still waits for leave to send, or has far too much to send, is better cut off.
        if waits || self.body_length().is_some_and(|length| length > max) {
            self.session.set_keepalive(None);
            return;
        }
        let deadline = Instant::now() + self.settings.body;
        let mut read = 0;
        while let Ok(Ok(Some(piece))) = timeout_at(deadline, self.session.read_request_body()).await {
            read += piece.len();
            if read > max {
                break;
            }
        }
        if !self.session.is_body_done() {
            self.session.set_keepalive(None);
        }
    }

    async fn gone(&mut self) {
        if self.headless {
            return std::future::pending().await;
        }
        // Anything but an error would be a body after the body's end, which pipelining keeps from showing here.
        while self.session.read_body_or_idle(true).await.is_ok() {}
    }

    async fn begin(&mut self, head: Head) -> Result<(), Gone> {
        let response = self.response(head).map_err(|_| Gone)?;
        self.answered = Answered::Begun;
        self.session.write_response_header(Box::new(response)).await.map_err(|_| Gone)
    }

    async fn write(&mut self, bytes: Bytes, end: bool) -> Result<(), Gone> {
        self.session.write_response_body(bytes, end).await.map_err(|_| Gone)?;
        if end {
            self.answered = Answered::Whole;
        }
        Ok(())
    }

    fn close_after(&mut self) {
        self.session.set_keepalive(None);
    }
}
