//! One request to a provider and its answer, over HTTP/1.1 or HTTP/2.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::{
    ErrorType, RetryType,
    connectors::{ConnectorOptions, http::Connector as HttpConnector},
    http::RequestHeader,
    protocols::http::client::HttpSession,
    upstreams::peer::HttpPeer,
};
use tokio::sync::Semaphore;

use super::{
    Picked, Provider, UpstreamError,
    scrub::{Needle, Scrubber, blanked},
};
use crate::sign::Credential;

/// The pool of connections to providers. One for the whole process.
pub struct Connector {
    inner: Arc<HttpConnector>,
    /// One permit for each answer whose end is being read aside.
    aside: Arc<Semaphore>,
}

/// Answers whose end may be read aside at one time.
const ASIDE_MAX: usize = 256;
/// How much of such an end is read, in bytes.
const ASIDE_BYTES_MAX: usize = 64 << 10;
/// How long it is waited for.
const ASIDE_WAIT: Duration = Duration::from_secs(5);

/// A request as it goes out: head without framing, and the whole body.
pub struct Outgoing<'a> {
    pub method: &'a str,
    /// Path and query below the provider's prefix.
    pub path: &'a str,
    pub headers: &'a [(String, String)],
    pub credential: &'a Credential,
    /// The key that the credential was made of.
    pub key: Option<&'a Picked<'a>>,
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
    /// What the provider was sent and must not show to anyone.
    needle: Option<Arc<Needle>>,
    scrubber: Scrubber,
}

impl Connector {
    /// `connections_idle_max` bounds the connections kept for reuse.
    pub fn new(connections_idle_max: usize) -> Self {
        let inner = HttpConnector::new(Some(ConnectorOptions::new(connections_idle_max)));
        Connector { inner: Arc::new(inner), aside: Arc::new(Semaphore::new(ASIDE_MAX)) }
    }

    /// A connection to `provider`, kept-alive or fresh.
    ///
    /// Not to be raced against anything: cancelling it can leak a slot of an HTTP/2 connection. It is bounded by the
    /// provider's connect clock.
    ///
    /// # Errors
    /// [`UpstreamError`] where the provider cannot be reached.
    pub async fn open(&self, provider: &Provider) -> Result<Exchange, UpstreamError> {
        let peer = provider.addresses.peer().await.ok_or(UpstreamError::Unresolved)?;
        match self.inner.get_http_session(&*peer).await {
            Ok((mut session, reused)) => {
                session.set_write_timeout(Some(provider.clocks.write));
                let keep_idle = provider.keep_idle;
                Ok(Exchange {
                    session: Some(session),
                    peer,
                    reused,
                    keep_idle,
                    sent_whole: false,
                    needle: None,
                    scrubber: Scrubber::default(),
                })
            }
            Err(error) => {
                let trouble = trouble(&error, false);
                if matches!(trouble, UpstreamError::Unreachable | UpstreamError::ConnectTimeout) {
                    provider.addresses.failed(&peer);
                }
                Err(trouble)
            }
        }
    }

    /// Ends an exchange whose answer was read whole, and keeps its connection.
    pub async fn release(&self, exchange: Exchange) {
        exchange.release(&self.inner).await;
    }

    /// Ends an exchange whose answer is complete although its body may not be: what follows is read aside, within
    /// bounds of time, bytes and number, so that the connection may serve again. The caller does not wait for it.
    pub async fn drain_aside(&self, mut exchange: Exchange) {
        let mut bytes_left = ASIDE_BYTES_MAX;
        // Mostly the end has arrived together with what went before.
        loop {
            match ready(exchange.piece()).await {
                Some(Ok(Some(piece))) if piece.len() <= bytes_left => bytes_left -= piece.len(),
                Some(Ok(None)) => return exchange.release(&self.inner).await,
                Some(_) => return,
                None => break,
            }
        }
        let Ok(place) = self.aside.clone().try_acquire_owned() else { return };
        let inner = self.inner.clone();
        tokio::spawn(async move {
            let _place = place;
            let ended = async {
                loop {
                    match exchange.piece().await {
                        Ok(Some(piece)) if piece.len() <= bytes_left => bytes_left -= piece.len(),
                        Ok(None) => return true,
                        Ok(Some(_)) | Err(_) => return false,
                    }
                }
            };
            if tokio::time::timeout(ASIDE_WAIT, ended).await == Ok(true) {
                exchange.release(&inner).await;
            }
        });
    }
}

/// What `future` yields without waiting. It must be safe to drop.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
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
        self.needle = needle(&outgoing);
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
                let mut headers = head.headers.clone();
                if let Some(needle) = &self.needle {
                    blank_values(&mut headers, needle);
                }
                return Ok(Answer { status, headers });
            }
        }
    }

    /// The answer's next piece; none at its end. Cancel-safe; the caller brings the clock.
    ///
    /// # Errors
    /// [`UpstreamError::Reset`] where the answer breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let read = self.session_mut().read_response_body().await.map_err(|error| trouble(&error, false))?;
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

    async fn release(mut self, connector: &HttpConnector) {
        if let Some(session) = self.session.take()
            && self.sent_whole
        {
            connector.release_http_session(session, &*self.peer, Some(self.keep_idle)).await;
        }
    }

    fn session_mut(&mut self) -> &mut HttpSession {
        self.session.as_mut().expect("only `release` takes the session, and it consumes the exchange")
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
