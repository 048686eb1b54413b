//! One request's client, as the engine sees it.

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use pingora::{
    ErrorType,
    http::{RequestHeader, ResponseHeader},
    protocols::http::{ServerSession, v1::server::HttpSession},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    answer::{response, taken},
    bodies::Held,
    connections::Serving,
    discard::{discard, linger},
    encoding::Encoding,
    endpoint::{Endpoint, endpoint},
    gone::{self, Probes, Skipped},
    head::{self, HeadBounds, HeadError},
    settings::Settings,
};
use crate::engine::{BodyError, ClientGoneError, Downstream, Head, Interruption};

/// A client whose request head has been read, or has failed to be.
pub(super) struct Client<'a> {
    session: &'a mut ServerSession,
    settings: &'a Settings,
    /// Becomes true when calls that have not ended are cut.
    cut: &'a watch::Receiver<bool>,
    /// Whether pages of other origins may read the answer.
    cors: bool,
    /// The head could not be parsed, so that nothing of the request may be asked for.
    headless: bool,
    answered: Answered,
    body: Reading,
    /// The body, as it is counted until this request is answered.
    held: Held,
    /// None once the request has been answered, although its body still comes: no other connection waits for that.
    serving: Option<Serving<'a>>,
    half_closed: Option<Probes>,
}

#[derive(PartialEq, Eq)]
enum Answered {
    Not,
    /// The head is out, and the body is a stream of events or not.
    Begun {
        events: bool,
    },
    Whole,
}

/// How far a body has been read.
#[derive(Default)]
struct Reading {
    /// When it must be there. None before it is asked for.
    by: Option<Instant>,
    bytes: usize,
    /// It could not be read to its end.
    is_lost: bool,
}

/// How much of an answer the client has the time of one write to take, in bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;

impl<'a> Client<'a> {
    /// `held` is of no bytes yet. `cors`: whether pages of other origins may read the answer.
    pub(super) fn new(
        session: &'a mut ServerSession,
        settings: &'a Settings,
        cut: &'a watch::Receiver<bool>,
        held: Held,
        serving: Serving<'a>,
        cors: bool,
    ) -> Self {
        Client {
            session,
            settings,
            cut,
            cors,
            headless: false,
            answered: Answered::Not,
            body: Reading::default(),
            held,
            serving: Some(serving),
            half_closed: None,
        }
    }

    /// The same client, whose head could not be parsed.
    pub(super) fn headless(self) -> Self {
        Client { headless: true, ..self }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let head = self.session.req_header();
        endpoint(&head.method, head.uri.path_and_query().map_or("/", |target| target.as_str()))
    }

    pub(super) fn method(&self) -> &str {
        self.session.req_header().method.as_str()
    }

    /// What is wrong with the head beside what Pingora refuses by itself.
    pub(super) fn head_fault(&self) -> Option<HeadError> {
        let Settings { headers_max, header_bytes_max, .. } = *self.settings;
        head::fault(self.session, HeadBounds { headers_max, bytes_max: header_bytes_max })
    }

    /// Whether the answer went out whole, so that the connection may serve again.
    pub(super) fn is_answered(&self) -> bool {
        self.answered == Answered::Whole
    }

    /// The request's head, for a router.
    pub(super) fn request(&self, body: Body) -> Request {
        let head = self.session.req_header();
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        request
    }

    /// Answers a browser's question with whatever it asks to send: a fixed list breaks with each release of an SDK.
    pub(super) async fn preflight(&mut self) {
        let wanted = self.session.get_header(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let mut head = Head::whole(204, HeaderValue::from_static("text/plain"), 0);
        head.headers.extend([
            (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS")),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ]);
        head.headers.extend(wanted.map(|wanted| (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted)));
        if self.begin(head).await.is_ok() {
            let _ = self.write(Bytes::new(), true).await;
            self.discard_body().await;
        }
    }

    /// The body's next piece; none at its end. Cancel-safe.
    ///
    /// # Errors
    /// [`BodyError`] where it is larger, slower or shorter than it may be.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, BodyError> {
        let by = match self.body.by {
            Some(by) => by,
            None => {
                if self.body_length().is_some_and(|length| length > self.settings.body_bytes_max) {
                    return Err(BodyError::TooLarge(self.settings.body_bytes_max));
                }
                self.invite_body().await;
                *self.body.by.insert(Instant::now() + self.settings.body)
            }
        };
        let piece = match timeout_at(by, self.session.read_request_body()).await {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) if matches!(error.etype, ErrorType::ReadTimedout) => return Err(self.lost(BodyError::Slow)),
            Ok(Err(_)) => return Err(self.lost(BodyError::Broken)),
            Err(_) => return Err(self.lost(BodyError::Slow)),
        };
        let count = piece.as_ref().map_or(0, Bytes::len);
        self.body.bytes += count;
        if self.body.bytes > self.settings.body_bytes_max {
            return Err(BodyError::TooLarge(self.settings.body_bytes_max));
        }
        if !self.held.add(count) {
            return Err(BodyError::NoRoom);
        }
        Ok(piece)
    }

    /// Nobody knows where the next request would begin: none is read.
    fn lost(&mut self, fault: BodyError) -> BodyError {
        self.body.is_lost = true;
        self.session.set_keepalive(None);
        fault
    }

    /// Whether what is left of the body is worth reading: a client that still waits for leave to send, or has far too
    /// much to send, is better cut off.
    fn is_worth_discarding(&self) -> bool {
        let still_waits = self.waits_for_leave() && self.body.by.is_none();
        let max = self.discard_bytes_max();
        !still_waits && self.body_length().is_none_or(|length| length <= max)
    }

    fn discard_bytes_max(&self) -> usize {
        self.settings.body_bytes_max.saturating_mul(2)
    }

    /// Lets a client whose request cannot be read have its answer, before the connection is closed.
    pub(super) async fn linger(&mut self) {
        self.serving = None;
        linger(self.session).await;
    }

    fn response(&self, head: Head) -> pingora::Result<ResponseHeader> {
        let asked = (!self.headless).then(|| self.session.req_header());
        let is_old = asked.is_some_and(|asked| asked.version == http::Version::HTTP_10);
        let names_origin = asked.is_some_and(|asked| asked.headers.contains_key(header::ORIGIN));
        response(head, is_old, self.cors.then_some(names_origin))
    }

    /// Writes a part of the answer's body, in the time of one write.
    async fn write_piece(&mut self, piece: Bytes, end: bool) -> Result<(), ClientGoneError> {
        match &mut *self.session {
            ServerSession::H1(session) => taken(self.settings.write, write_http1(session, &piece, end)).await,
            // Boxed: its future is twice as large, and every open stream would hold it.
            session => Box::pin(taken(self.settings.write, session.write_response_body(piece, end))).await,
        }
    }

    /// Gives back what the request's headers take, which nobody asks for once its body was read and its stream has begun.
    fn forget_head(&mut self) {
        let ServerSession::H1(session) = &mut *self.session else { return };
        let head = session.req_header();
        if let Ok(mut bare) = RequestHeader::build_no_case(head.method.as_str(), b"/", None) {
            bare.set_version(head.version);
            *session.req_header_mut() = bare;
        }
    }

    /// Answers `Expect: 100-continue`, which Pingora leaves to the application and which switches its keep-alive off.
    async fn invite_body(&mut self) {
        if self.waits_for_leave() && !self.session.is_body_done() {
            let keep = self.session.get_keepalive();
            if taken(self.settings.write, self.session.write_continue_response()).await.is_ok() {
                self.session.set_keepalive(keep);
            }
        }
    }

    /// Whether the client sends its body only once it is told to.
    fn waits_for_leave(&self) -> bool {
        self.session.get_header_bytes(header::EXPECT).eq_ignore_ascii_case(b"100-continue")
    }

    fn body_length(&self) -> Option<usize> {
        std::str::from_utf8(self.session.get_header_bytes(header::CONTENT_LENGTH)).ok()?.parse().ok()
    }

    fn body_encoding(&self) -> Result<Encoding, BodyError> {
        let mut values = self.session.req_header().headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = values.next().map_or(Some(Encoding::Identity), |value| Encoding::named(value.as_bytes()));
        encoding.filter(|_| values.next().is_none()).ok_or(BodyError::UnsupportedEncoding)
    }

    /// The whole body, as it was sent.
    async fn sent_body(&mut self) -> Result<Bytes, BodyError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if first.is_empty() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                // One allocation where the length was declared: the bound has been checked against it.
                whole.reserve(self.body_length().unwrap_or(0).max(first.len() + piece.len()));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }

    /// Returns when the client has left; else never.
    async fn left(&mut self) {
        if self.headless {
            return std::future::pending().await;
        }
        let old = self.session.req_header().version == http::Version::HTTP_10;
        let skipped = match self.answered {
            Answered::Not if !old => Some(Skipped::Interim),
            Answered::Begun { events: true } => Some(Skipped::Comment),
            _ => None,
        };
        gone::left(self.session, &mut self.half_closed, skipped).await;
    }
}

/// Writes a part of an answer's body over HTTP/1.1. Nothing is written of an empty part, which would end the body.
async fn write_http1(session: &mut HttpSession, bytes: &[u8], end: bool) -> pingora::Result<()> {
    if !bytes.is_empty() {
        session.write_body(bytes).await?;
    }
    if end {
        session.finish_body().await?;
    }
    Ok(())
}

impl Downstream for Client<'_> {
    fn header(&self, name: HeaderName) -> Option<&[u8]> {
        if self.headless { None } else { self.session.get_header(name).map(HeaderValue::as_bytes) }
    }

    fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        let head = (!self.headless).then(|| self.session.req_header());
        head.into_iter().flat_map(move |head| head.headers.get_all(&name)).map(HeaderValue::as_bytes)
    }

    async fn body(&mut self) -> Result<Bytes, BodyError> {
        let encoding = self.body_encoding()?;
        let body = self.sent_body().await?;
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        let by = self.body.by.unwrap_or_else(Instant::now);
        // Rare, and large beside the rest of a call's future.
        Box::pin(encoding.decode(body, self.settings.body_bytes_max, by, &mut self.held)).await
    }

    async fn discard_body(&mut self) {
        if self.headless || (self.session.is_body_done() && !self.body.is_lost) {
            return;
        }
        if self.body.is_lost || !self.is_worth_discarding() {
            return self.linger().await;
        }
        self.serving = None;
        let bytes_max = self.discard_bytes_max();
        if !discard(self.session, self.settings.body, bytes_max).await {
            self.session.set_keepalive(None);
        }
    }

    async fn interrupted(&mut self) -> Interruption {
        let mut cut = self.cut.clone();
        tokio::select! {
            biased;
            () = self.left() => Interruption::ClientGone,
            _ = cut.wait_for(|cut| *cut) => Interruption::Stopping,
        }
    }

    async fn begin(&mut self, head: Head) -> Result<(), ClientGoneError> {
        if !self.headless && !self.session.is_body_done() && !self.is_worth_discarding() {
            self.session.set_keepalive(None);
        }
        let events = head.length.is_none() && head.content_type.as_bytes().starts_with(b"text/event-stream");
        let response = self.response(head).map_err(|_| ClientGoneError)?;
        self.answered = Answered::Begun { events };
        taken(self.settings.write, self.session.write_response_header(Box::new(response))).await?;
        if events && !self.headless && self.session.is_body_done() {
            self.forget_head();
        }
        Ok(())
    }

    async fn write(&mut self, mut bytes: Bytes, end: bool) -> Result<(), ClientGoneError> {
        if !self.headless && self.session.req_header().method == http::Method::HEAD {
            bytes = Bytes::new();
        }
        // A client that reads, however slowly, is given all of a long answer: it is its pauses that are bounded.
        while bytes.len() > WRITE_BYTES_MAX {
            let piece = bytes.split_to(WRITE_BYTES_MAX);
            self.write_piece(piece, false).await?;
        }
        self.write_piece(bytes, end).await?;
        if end {
            self.answered = Answered::Whole;
        }
        Ok(())
    }

    fn close_after(&mut self) {
        self.session.set_keepalive(None);
    }
}

#[cfg(test)]
mod tests;
