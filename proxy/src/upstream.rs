//! One attempt at a provider.
//!
//! Owns the connections to providers, the addresses behind their names, their key pools, and the rules of retrying.
//! An attempt ends here: what follows from its outcome is `engine`'s to sequence. Never sees a client, and never
//! retries by itself: [`UpstreamError::Stale`] tells whoever does that nothing was taken.

mod address;
mod connector;
mod exchange;
mod http1;
mod keys;
mod ready;
mod retry;
mod scrub;

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;
use pingora::upstreams::peer::HttpPeer;

use self::address::Addresses;

pub use address::Base;
pub use connector::Connector;
pub use exchange::{Exchange, Outgoing};
pub use keys::{KeyPool, Picked};
pub(crate) use ready::ready;
pub use retry::{Backoff, Budget, Class, Decision, Retries, Rule};

use crate::secret::Secret;

/// How long each part of an attempt may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clocks {
    /// TCP and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the answer's head, and to a stream's first event.
    pub first_byte: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// The whole attempt.
    pub total: Duration,
    /// Between two pieces of the request being taken by the provider.
    pub write: Duration,
}

/// Which HTTP version to speak to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/2 where TLS negotiates it, HTTP/1.1 otherwise.
    Auto,
    Http1,
    /// HTTP/2 always; without TLS by prior knowledge.
    Http2,
}

/// What an operator says of one provider's transport.
#[derive(Debug, Clone)]
pub struct Settings {
    pub base: Base,
    pub keys: Vec<Secret>,
    pub clocks: Clocks,
    pub version: Version,
    pub retries: Retries,
    /// How long a refused key rests where the provider does not say.
    pub key_rest: Duration,
    /// How long an unused connection is kept.
    pub keep_idle: Duration,
}

/// A provider as the gateway reaches it.
pub struct Provider {
    pub name: Arc<str>,
    pub base: Base,
    pub clocks: Clocks,
    pub retries: Retries,
    pub key_rest: Duration,
    pub keys: KeyPool,
    keep_idle: Duration,
    addresses: Arc<Addresses>,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
}

/// Streams on one HTTP/2 connection; providers allow about a hundred.
const H2_STREAMS_MAX: u32 = 100;
/// How much of one answer over HTTP/2 may be on its way unread, in bytes.
const H2_WINDOW_BYTES: u32 = 256 << 10;

/// Why an attempt got no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    #[error("the provider's name does not resolve")]
    Unresolved,
    #[error("the provider cannot be reached")]
    Unreachable,
    #[error("the provider's certificate or TLS handshake failed")]
    Tls,
    #[error("connecting to the provider took too long")]
    ConnectTimeout,
    #[error("the provider took too long to take the request")]
    WriteTimeout,
    #[error("the provider took too long to answer")]
    FirstByteTimeout,
    #[error("the provider stopped in the middle of its answer")]
    IdleTimeout,
    #[error("the answer took too long")]
    TotalTimeout,
    #[error("the provider closed the connection")]
    Reset,
    /// The connection, a kept one as a rule, was closed before the provider took the request; a fresh one may serve.
    #[error("the provider had closed the connection")]
    Stale,
    #[error("the provider's answer is not HTTP")]
    Protocol,
}

impl UpstreamError {
    /// The stable name in records, metrics and error bodies.
    pub fn code(&self) -> &'static str {
        match self {
            UpstreamError::Unresolved => "upstream_unresolved",
            UpstreamError::Unreachable => "upstream_unreachable",
            UpstreamError::Tls => "upstream_tls_failed",
            UpstreamError::ConnectTimeout => "upstream_connect_timeout",
            UpstreamError::WriteTimeout => "upstream_write_timeout",
            UpstreamError::FirstByteTimeout => "upstream_first_byte_timeout",
            UpstreamError::IdleTimeout => "upstream_idle_timeout",
            UpstreamError::TotalTimeout => "upstream_timeout",
            UpstreamError::Reset | UpstreamError::Stale => "upstream_connection_closed",
            UpstreamError::Protocol => "upstream_protocol_error",
        }
    }

    /// Whether a clock ran out, rather than a connection.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            UpstreamError::ConnectTimeout
                | UpstreamError::WriteTimeout
                | UpstreamError::FirstByteTimeout
                | UpstreamError::IdleTimeout
                | UpstreamError::TotalTimeout
        )
    }

    /// What kind of retry the trouble asks for; none where another try would only wait as long again.
    pub fn class(&self) -> Option<Class> {
        match self {
            UpstreamError::WriteTimeout
            | UpstreamError::FirstByteTimeout
            | UpstreamError::IdleTimeout
            | UpstreamError::TotalTimeout => None,
            _ => Some(Class::Network),
        }
    }
}

impl Provider {
    pub fn new(name: &str, settings: Settings) -> Self {
        let template = template(name, &settings);
        let Settings { base, keys, clocks, version: _, retries, key_rest, keep_idle } = settings;
        let addresses = Addresses::new(&base, clocks.connect, template);
        Provider { name: name.into(), base, clocks, retries, key_rest, keys: KeyPool::new(keys), keep_idle, addresses }
    }
}

/// How a provider is connected to, but for its address.
fn template(name: &str, settings: &Settings) -> HttpPeer {
    let Settings { base, clocks, version, keep_idle, .. } = settings;
    // An empty name would switch certificate checks off; `Base` never has one.
    let mut peer = HttpPeer::new(SocketAddr::from(([0, 0, 0, 0], 0)), base.tls, base.host.clone());
    // Keeps apart the pooled connections of providers that share an address.
    peer.group_key = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    let options = &mut peer.options;
    options.connection_timeout = Some(clocks.connect);
    options.total_connection_timeout = Some(clocks.connect);
    options.idle_timeout = Some(*keep_idle);
    options.max_h2_streams = H2_STREAMS_MAX as usize;
    options.h2_ping_interval = Some(Duration::from_secs(25));
    options.h2_stream_window_size = Some(H2_WINDOW_BYTES);
    // Room for every stream: answers that nobody reads must not stop the others of their connection.
    options.h2_connection_window_size = Some(H2_WINDOW_BYTES * H2_STREAMS_MAX);
    match (version, base.tls) {
        (Version::Http1, _) | (Version::Auto, false) => options.set_http_version(1, 1),
        (Version::Auto, true) => options.set_http_version(2, 1),
        (Version::Http2, _) => options.set_http_version(2, 2),
    }
    peer
}

#[cfg(test)]
mod tests;
