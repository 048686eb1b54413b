//! One request to a provider and its answer, over HTTP/1.1 or HTTP/2.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::{
    ErrorType, RetryType,
    connectors::{ConnectorOptions, http::Connector as HttpConnector},
    http::RequestHeader,
    protocols::http::client::HttpSession,
    upstreams::peer::HttpPeer,
};

use super::{Provider, UpstreamError};
use crate::sign::Credential;

/// The pool of connections to providers. One for the whole process.
pub struct Connector {
    inner: HttpConnector,
}

/// A request as it goes out: head without framing, and the whole body.
pub struct Outgoing<'a> {
    pub method: &'a str,
    /// Path and query below the provider's prefix.
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub credential: &'a Credential,
    pub body: Bytes,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
}

/// One exchange under way. Dropping it stops the provider: the connection is closed, or the stream reset.
pub struct Exchange {
    session: Option<HttpSession>,
    peer: Arc<HttpPeer>,
    reused: bool,
    keep_idle: Duration,
    /// The request went out whole, so that the connection may serve again.
    sent_whole: bool,
}

impl Connector {
    /// `connections_idle_max` bounds the connections kept for reuse.
    pub fn new(connections_idle_max: usize) -> Self {
        Connector { inner: HttpConnector::new(Some(ConnectorOptions::new(connections_idle_max))) }
    }

    /// A connection to `provider`, kept-alive or fresh.
    ///
    /// Not to be raced against anything: cancelling it can leak a slot of an HTTP/2 connection. It is bounded by the
    /// provider's connect clock.
    ///
    /// # Errors
    /// [`UpstreamError`] where the provider cannot be reached.
    pub async fn open(&self, provider: &Provider) -> Result<Exchange, UpstreamError> {
        let peer = provider.peer().await?;
        match self.inner.get_http_session(&*peer).await {
            Ok((mut session, reused)) => {
                session.set_write_timeout(Some(provider.clocks.write));
                let keep_idle = provider.keep_idle;
                Ok(Exchange { session: Some(session), peer, reused, keep_idle, sent_whole: false })
            }
            Err(error) => Err(trouble(&error, false)),
        }
    }

    /// Ends an exchange whose answer was read whole, and keeps its connection.
    pub async fn release(&self, mut exchange: Exchange) {
        if let Some(session) = exchange.session.take()
            && exchange.sent_whole
        {
            self.inner.release_http_session(session, &*exchange.peer, Some(exchange.keep_idle)).await;
        }
    }
}

impl Exchange {
    /// Sends the request, bounded by the write clock. Once this was dropped half-way the exchange is only good for
    /// dropping too.
    ///
    /// # Errors
    /// [`UpstreamError`] where the provider did not take it. An answer may be there to read all the same.
    pub async fn send(&mut self, provider: &Provider, outgoing: Outgoing<'_>) -> Result<(), UpstreamError> {
        let head = request_head(provider, &outgoing, matches!(self.session, Some(HttpSession::H2(_))))?;
        let reused = self.reused;
        let session = self.session_mut();
        session.write_request_header(head).await.map_err(|error| trouble(&error, reused))?;
        if !outgoing.body.is_empty() {
            session.write_request_body(outgoing.body, true).await.map_err(|error| trouble(&error, reused))?;
        }
        session.finish_request_body().await.map_err(|error| trouble(&error, reused))?;
        self.sent_whole = true;
        Ok(())
    }

    /// Reads the answer's head, past any 1xx. Cancel-safe; the caller brings the clock.
    ///
    /// # Errors
    /// [`UpstreamError`], [`UpstreamError::Stale`] among it.
    pub async fn head(&mut self) -> Result<Answer, UpstreamError> {
        let reused = self.reused;
        let session = self.session_mut();
        loop {
            session.read_response_header().await.map_err(|error| trouble(&error, reused))?;
            let Some(head) = session.response_header() else { return Err(UpstreamError::Protocol) };
            let status = head.status.as_u16();
            if status == 101 {
                return Err(UpstreamError::Protocol);
            }
            if status >= 200 {
                return Ok(Answer { status, headers: head.headers.clone() });
            }
        }
    }

    /// The answer's next piece; none at its end. Cancel-safe; the caller brings the clock.
    ///
    /// # Errors
    /// [`UpstreamError::Reset`] where the answer breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.session_mut().read_response_body().await {
            Ok(piece) => Ok(piece),
            Err(error) => Err(trouble(&error, false)),
        }
    }

    /// Whether the whole answer has been read.
    pub fn is_done(&mut self) -> bool {
        self.session_mut().response_done()
    }

    fn session_mut(&mut self) -> &mut HttpSession {
        self.session.as_mut().expect("only `Connector::release` takes the session, and it consumes the exchange")
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
    for (name, value) in outgoing.headers {
        head.append_header(name.clone(), value.as_str()).map_err(invalid)?;
    }
    if let Credential::Header { name, value } = outgoing.credential {
        let mut value = HeaderValue::from_str(value).map_err(|_| UpstreamError::Protocol)?;
        value.set_sensitive(true);
        head.insert_header(name.clone(), value).map_err(invalid)?;
    }
    Ok(Box::new(head))
}

fn trouble(error: &pingora::Error, reused: bool) -> UpstreamError {
    if reused && (matches!(error.retry, RetryType::ReusedOnly) || matches!(error.retry, RetryType::Decided(true))) {
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
        _ => UpstreamError::Reset,
    }
}
