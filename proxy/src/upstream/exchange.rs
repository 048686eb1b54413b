//! One request to a provider and its answer, over HTTP/1.1 or HTTP/2.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::{
    ErrorType, RetryType, http::RequestHeader, protocols::http::v2::client::Http2Session, upstreams::peer::HttpPeer,
};

use super::{
    Answer, Picked, Provider, UpstreamError,
    http1::Http1,
    scrub::{Needle, Scrubber, blanked},
};
use crate::sign::Credential;

/// A request as it goes out: head without framing, and the whole body.
pub struct Outgoing<'a> {
    pub method: &'a str,
    /// Path and query below the provider's prefix.
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub credential: &'a Credential,
    /// The way that the request has come, this gateway included.
    pub via: &'a str,
    /// The key that the credential was made of.
    pub key: Option<&'a Picked<'a>>,
    pub body: Bytes,
}

/// One exchange under way. Dropping it stops the provider: the connection is closed, or the stream reset.
pub struct Exchange {
    session: Session,
    peer: Arc<HttpPeer>,
    keep_idle: Duration,
    /// Something of the request may have gone out, so that there may be an answer.
    is_begun: bool,
    /// The request went out whole, so that the connection may serve again.
    sent_whole: bool,
    /// What the provider was sent and must not show to anyone.
    needle: Option<Arc<Needle>>,
    scrubber: Scrubber,
}

/// A connection, or a stream of one, that serves one exchange.
pub(super) enum Session {
    Http1(Http1),
    Http2 {
        session: Box<Http2Session>,
        /// The connection has served before, and may have been closed meanwhile.
        reused: bool,
    },
}

/// What is left of an exchange whose request went out whole and whose answer was read whole.
pub(super) struct Ended {
    pub(super) session: Session,
    pub(super) peer: Arc<HttpPeer>,
    pub(super) keep_idle: Duration,
}

impl Exchange {
    pub(super) fn new(session: Session, peer: Arc<HttpPeer>, keep_idle: Duration) -> Exchange {
        Exchange {
            session,
            peer,
            keep_idle,
            is_begun: false,
            sent_whole: false,
            needle: None,
            scrubber: Scrubber::default(),
        }
    }

    /// Sends the request, bounded by the write clock. Once this was dropped half-way the exchange is only good for
    /// dropping too.
    ///
    /// # Errors
    /// [`UpstreamError`] where the provider did not take it. An answer may be there to read all the same.
    pub async fn send(&mut self, provider: &Provider, outgoing: Outgoing<'_>) -> Result<(), UpstreamError> {
        let head = request_head(provider, &outgoing, matches!(self.session, Session::Http2 { .. }))?;
        self.needle = needle(&outgoing);
        match &mut self.session {
            Session::Http1(session) => {
                let taken = session.send(&head, &outgoing.body, provider.clocks.write).await;
                // A head that cannot be written is found before the first byte goes out.
                self.is_begun = taken != Err(UpstreamError::Protocol);
                taken?;
            }
            Session::Http2 { session, reused } => {
                session.write_timeout = Some(provider.clocks.write);
                let whole = outgoing.body.is_empty();
                // A connection that takes no stream any more has seen nothing of the request.
                let taken = session.write_request_header(head, whole);
                taken.map_err(|error| match error.etype {
                    ErrorType::InvalidHTTPHeader => UpstreamError::Protocol,
                    _ => UpstreamError::Stale,
                })?;
                self.is_begun = true;
                if !whole {
                    let taken = session.write_request_body(outgoing.body, true).await;
                    taken.map_err(|error| trouble(&error, *reused, false))?;
                }
            }
        }
        self.sent_whole = true;
        Ok(())
    }

    /// Reads the answer's head, past any 1xx. Cancel-safe; the caller brings the clock.
    ///
    /// # Errors
    /// [`UpstreamError`], [`UpstreamError::Stale`] among it; [`UpstreamError::Reset`] at once where no request went out.
    pub async fn head(&mut self) -> Result<Answer, UpstreamError> {
        if !self.is_begun {
            return Err(UpstreamError::Reset);
        }
        let mut answer = match &mut self.session {
            Session::Http1(session) => session.head().await?,
            Session::Http2 { session, reused } => {
                let read = session.read_response_header().await;
                read.map_err(|error| trouble(&error, *reused, self.sent_whole))?;
                let head = session.response_header().ok_or(UpstreamError::Protocol)?;
                Answer { status: head.status.as_u16(), headers: head.headers.clone() }
            }
        };
        if let Some(needle) = &self.needle {
            blank_values(&mut answer.headers, needle);
        }
        Ok(answer)
    }

    /// The answer's next piece; none at its end. Cancel-safe; the caller brings the clock.
    ///
    /// # Errors
    /// [`UpstreamError::Reset`] where the answer breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let read = match &mut self.session {
                Session::Http1(session) => session.piece().await?,
                Session::Http2 { session, .. } => {
                    session.read_response_body().await.map_err(|error| trouble(&error, false, true))?
                }
            };
            let Some(needle) = &self.needle else { return Ok(read) };
            let Some(piece) = read else {
                let rest = self.scrubber.finish();
                return Ok((!rest.is_empty()).then_some(rest));
            };
            let shown = self.scrubber.push(needle, piece);
            if !shown.is_empty() {
                return Ok(Some(shown));
            }
        }
    }

    /// Keeps the connection from further calls: it has let this one wait for too long, and may be dead. Those that it
    /// serves go on.
    pub fn distrust(&mut self) {
        if let Session::Http2 { session, .. } = &self.session {
            session.conn.mark_shutdown();
        }
        self.sent_whole = false;
    }

    /// What may serve again; none where the request did not go out whole.
    pub(super) fn end(self) -> Option<Ended> {
        let Exchange { session, peer, keep_idle, sent_whole, .. } = self;
        sent_whole.then_some(Ended { session, peer, keep_idle })
    }
}

fn request_head(provider: &Provider, outgoing: &Outgoing<'_>, h2: bool) -> Result<Box<RequestHeader>, UpstreamError> {
    let base = &provider.base;
    let invalid = |_| UpstreamError::Protocol;
    let path = [base.prefix.as_bytes(), outgoing.path.as_bytes()].concat();
    let mut head =
        RequestHeader::build_no_case(outgoing.method, &path, Some(outgoing.headers.len() + 4)).map_err(invalid)?;
    if h2 && !base.tls {
        // Without an authority the scheme would be sent as https, which a plaintext server may refuse.
        let uri = http::Uri::builder()
            .scheme("http")
            .authority(base.authority.as_str())
            .path_and_query(path.as_slice())
            .build()
            .map_err(|_| UpstreamError::Protocol)?;
        head.set_uri(uri);
    }
    head.insert_header(header::HOST, base.authority.as_str()).map_err(invalid)?;
    if outgoing.method != "GET" {
        head.insert_header(header::CONTENT_LENGTH, outgoing.body.len()).map_err(invalid)?;
        head.insert_header(header::CONTENT_TYPE, "application/json").map_err(invalid)?;
    }
    head.insert_header(header::USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION"))).map_err(invalid)?;
    head.insert_header(header::VIA, outgoing.via).map_err(invalid)?;
    for (name, value) in outgoing.headers {
        // The adapter's word stands in place of the host's, not beside it.
        if matches!(name.as_str(), "content-type" | "user-agent") {
            head.insert_header(name.clone(), value.as_str()).map_err(invalid)?;
        } else {
            head.append_header(name.clone(), value.as_str()).map_err(invalid)?;
        }
    }
    if let Credential::Header { name, value } = outgoing.credential {
        let mut value = HeaderValue::from_str(value).map_err(|_| UpstreamError::Protocol)?;
        value.set_sensitive(true);
        head.insert_header(name.clone(), value).map_err(invalid)?;
    }
    Ok(Box::new(head))
}

/// The secret that goes out with the request: the key, or the token that was made of it.
fn needle(outgoing: &Outgoing<'_>) -> Option<Arc<Needle>> {
    let key = outgoing.key?;
    match outgoing.credential {
        Credential::None => None,
        Credential::Header { value, .. } if !value.contains(key.secret.expose()) => {
            let token = value.rsplit(' ').next().unwrap_or_default();
            Needle::new(token).map(Arc::new)
        }
        Credential::Header { .. } | Credential::Query { .. } => key.needle.cloned(),
    }
}

fn blank_values(headers: &mut HeaderMap, needle: &Needle) {
    for value in headers.values_mut().filter(|value| needle.is_in(value.as_bytes())) {
        let clean = blanked(needle, Bytes::copy_from_slice(value.as_bytes()));
        // Asterisks are as good in a header as what they stand for.
        *value = HeaderValue::from_maybe_shared(clean).unwrap_or_else(|_| HeaderValue::from_static(""));
    }
}

/// What an error of Pingora's means.
///
/// A connection that has served before may have been closed before this request. It was not processed where it did not
/// go out whole, or where the provider says so; else it may have been, and is not sent again as if nothing were.
pub(super) fn trouble(error: &pingora::Error, reused: bool, sent_whole: bool) -> UpstreamError {
    let unprocessed = match error.retry {
        RetryType::ReusedOnly => !sent_whole,
        RetryType::Decided(says_so) => says_so && error.etype != ErrorType::InvalidH2,
    };
    if reused && unprocessed {
        return UpstreamError::Stale;
    }
    match &error.etype {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => UpstreamError::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => UpstreamError::Tls,
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::SocketError
        | ErrorType::BindError => UpstreamError::Unreachable,
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::H1Error => UpstreamError::Protocol,
        ErrorType::ReadTimedout => UpstreamError::IdleTimeout,
        ErrorType::WriteTimedout => UpstreamError::WriteTimeout,
        _ => UpstreamError::Reset,
    }
}
