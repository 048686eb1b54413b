//! The connections to providers: made, kept, and given back.

use std::{sync::Arc, time::Duration};

use pingora::{
    connectors::{
        ConnectorOptions, TransportConnector,
        http::v2::{self, H2HandshakeSettings},
    },
    listeners::ALPN,
    protocols::Stream,
    upstreams::peer::{HttpPeer, Peer},
};
use tokio::sync::Semaphore;

use super::{
    Provider, UpstreamError,
    exchange::{Ended, Exchange, Session, trouble},
    http1::Http1,
    ready::ready,
};

/// The pool of connections to providers. One for the whole process.
pub struct Connector {
    inner: Arc<v2::Connector>,
    /// One permit for each answer whose end is being read aside.
    aside: Arc<Semaphore>,
}

/// Answers whose end may be read aside at one time.
const ASIDE_MAX: usize = 256;
/// How much of such an end is read, in bytes.
const ASIDE_BYTES_MAX: usize = 64 << 10;
/// How long it is waited for.
const ASIDE_WAIT: Duration = Duration::from_secs(5);

impl Connector {
    /// `connections_idle_max` bounds the connections kept for reuse.
    pub fn new(connections_idle_max: usize) -> Self {
        let inner = v2::Connector::new(Some(ConnectorOptions::new(connections_idle_max)));
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
        match self.session(&peer).await {
            Ok(session) => Ok(Exchange::new(session, peer, provider.keep_idle)),
            Err(error) => {
                if matches!(error, UpstreamError::Unreachable | UpstreamError::ConnectTimeout) {
                    provider.addresses.failed(&peer);
                }
                Err(error)
            }
        }
    }

    /// A session of the version that `peer` wants, or that its server offers where it wants either.
    async fn session(&self, peer: &HttpPeer) -> Result<Session, UpstreamError> {
        let (oldest, newest) = (peer.options.alpn.get_min_http_version(), peer.options.alpn.get_max_http_version());
        // A kept connection that turns out to be dead is no fault of this attempt: it has left the pool by that.
        while newest > 1
            && let Ok(Some(session)) = self.inner.reused_http_session(peer).await
        {
            // The pool gives a connection that is distrusted once more, and then forgets it.
            if !session.conn.is_shutting_down() {
                return Ok(Session::Http2 { session: Box::new(session), reused: true });
            }
        }
        if oldest == 1
            && let Some(stream) = self.transport().reused_stream(peer).await
        {
            return Ok(Session::Http1(Http1::new(stream, true)));
        }
        // Rare, and large: a call's future would carry it through the whole of its stream.
        Box::pin(self.connect(peer, oldest)).await
    }

    async fn connect(&self, peer: &HttpPeer, oldest: u8) -> Result<Session, UpstreamError> {
        let stream = self.transport().new_stream(peer).await.map_err(|error| trouble(&error, false, false))?;
        match stream.selected_alpn_proto() {
            Some(ALPN::H2) => self.http2(peer, stream).await,
            // By prior knowledge: without TLS nothing is negotiated.
            None if oldest > 1 && !peer.tls() => self.http2(peer, stream).await,
            _ if oldest > 1 => Err(UpstreamError::Protocol),
            _ => Ok(Session::Http1(Http1::new(stream, false))),
        }
    }

    /// The first stream of a fresh HTTP/2 connection, which is left to others as well.
    async fn http2(&self, peer: &HttpPeer, stream: Stream) -> Result<Session, UpstreamError> {
        let failed = |error: Box<pingora::Error>| trouble(&error, false, false);
        let mut settings = H2HandshakeSettings::new();
        settings.max_streams = peer.options.max_h2_streams;
        settings.ping_interval = peer.options.h2_ping_interval;
        settings.stream_window_size = peer.options.h2_stream_window_size;
        settings.connection_window_size = peer.options.h2_connection_window_size;
        let connection = v2::handshake(stream, settings).await.map_err(failed)?;
        let session = connection.spawn_stream().await.map_err(failed)?.ok_or(UpstreamError::Reset)?;
        if connection.more_streams_allowed() {
            self.inner.in_use_pool().insert(peer.reuse_hash(), connection);
        }
        Ok(Session::Http2 { session: Box::new(session), reused: false })
    }

    fn transport(&self) -> &TransportConnector {
        self.inner.transport()
    }

    /// Ends an exchange whose answer was read whole, and keeps its connection.
    pub fn release(&self, exchange: Exchange) {
        release(&self.inner, exchange);
    }

    /// Ends an exchange whose answer is complete although its body may not be: what follows is read aside, within
    /// bounds of time, bytes and number, so that the connection may serve again. The caller does not wait for it.
    pub async fn drain_aside(&self, mut exchange: Exchange) {
        let mut bytes_left = ASIDE_BYTES_MAX;
        // Mostly the end has arrived together with what went before.
        loop {
            match ready(exchange.piece()).await {
                Some(Ok(Some(piece))) if piece.len() <= bytes_left => bytes_left -= piece.len(),
                Some(Ok(None)) => return self.release(exchange),
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
                release(&inner, exchange);
            }
        });
    }
}

fn release(connector: &v2::Connector, exchange: Exchange) {
    let Some(Ended { session, peer, keep_idle }) = exchange.end() else { return };
    match session {
        Session::Http1(session) => {
            if let Some(stream) = session.into_reusable() {
                connector.transport().release_stream(stream, peer.reuse_hash(), Some(keep_idle));
            }
        }
        Session::Http2 { session, .. } => connector.release_http_session(*session, &*peer, Some(keep_idle)),
    }
}
