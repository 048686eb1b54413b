//! The client's connection: HTTP/1.1 and HTTP/2 in, one [`Downstream`] a request out.
//!
//! Owns what HTTP asks of a server: keep-alive, 100-continue, deadlines on reading and writing, framing of answers,
//! CORS. Decides nothing about a call.
//!
//! It is an `HttpServerApp` of Pingora's, not a `ProxyHttp`: that shell answers a head it cannot parse (10 000 headers,
//! say) by itself, with an empty page and without a hook, where a client is owed our error body and the ledger a row.

mod client;
mod endpoint;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::{
    ErrorType,
    apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server as h2},
    server::ShutdownWatch,
};

use self::{
    client::Client,
    endpoint::{Endpoint, endpoint},
};
use crate::{
    dialect::Dialect,
    engine::{self, Downstream, Head},
    error::{Error, RequestError},
    gateway::Gateway,
};

/// What an operator says of clients' connections.
#[derive(Debug, Clone)]
pub struct Settings {
    pub h2c: bool,
    /// How long an unused connection is kept.
    pub keep_idle: Duration,
    /// Between two pieces of a head or a body.
    pub read: Duration,
    /// Between two pieces of an answer being taken.
    pub write: Duration,
    /// The whole body.
    pub body: Duration,
    pub headers_max: usize,
    /// All headers together.
    pub header_bytes_max: usize,
}

/// The application that Pingora calls for each request.
pub struct Edge {
    gateway: Arc<Gateway>,
    settings: Settings,
    options: HttpServerOptions,
}

impl Edge {
    pub fn new(gateway: Arc<Gateway>, settings: Settings) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = settings.h2c;
        // Idle HTTP/2 connections would live forever.
        options.h2_idle_timeout = Some(settings.keep_idle);
        Edge { gateway, settings, options }
    }

    async fn serve(&self, client: &mut Client<'_>) {
        match client.endpoint() {
            Endpoint::Call(operation) => {
                engine::serve(&self.gateway, &self.gateway.connector, DIALECT, operation, client).await;
            }
            Endpoint::Models => engine::models(&self.gateway, DIALECT, client).await,
            Endpoint::Model(id) => engine::model(&self.gateway, DIALECT, &id, client).await,
            Endpoint::Preflight => client.preflight().await,
            Endpoint::Health => plain(client, 200, "ok\n").await,
            Endpoint::Ready => match self.gateway.readiness() {
                Ok(()) => plain(client, 200, "ready\n").await,
                Err(why) => plain(client, 503, why).await,
            },
            Endpoint::Unknown => engine::refuse(&self.gateway, DIALECT, refusal(RequestError::Path), client).await,
            Endpoint::WrongMethod => {
                let method = client.method().to_owned();
                engine::refuse(&self.gateway, DIALECT, refusal(RequestError::Method(method)), client).await;
            }
        }
    }

    /// The head could not be parsed: the client is told in our words, and the connection ends.
    async fn refuse_head(&self, mut session: ServerSession) {
        session.set_keepalive(None);
        let mut client = Client::headless(&mut session, &self.settings, self.gateway.bounds.body_bytes_max);
        engine::refuse(&self.gateway, DIALECT, refusal(RequestError::Head), &mut client).await;
        // Closing with unread bytes would reset the connection before the client has read why.
        let _ = tokio::time::timeout(LINGER, linger(&mut session)).await;
        session.shutdown().await;
    }
}

/// What clients are spoken to in, at every path so far.
const DIALECT: Dialect = Dialect::OpenAi;

/// How long a client may go on sending a head that was refused already.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it is read.
const LINGER_BYTES_MAX: usize = 4 << 20;

async fn linger(session: &mut ServerSession) {
    let ServerSession::H1(session) = session else { return };
    for _ in 0..LINGER_BYTES_MAX {
        match session.idle().await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn refusal(request: RequestError) -> Box<Error> {
    Box::new(Error::Request(request))
}

async fn plain(client: &mut Client<'_>, status: u16, text: &'static str) {
    let head = Head::whole(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.len());
    if client.begin(head).await.is_ok() {
        let _ = client.write(Bytes::from_static(text.as_bytes()), true).await;
    }
}

#[async_trait]
impl HttpServerApp for Edge {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // A client that pipelines must not look like one that left.
        if let ServerSession::H1(_) = session {
            session.set_pipelining_enabled(true);
        }
        let mut stopping = shutdown.clone();
        let read = tokio::select! {
            biased;
            read = session.read_request() => read,
            _ = stopping.wait_for(|stop| *stop) => return None,
        };
        match read {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) if matches!(error.etype, ErrorType::InvalidHTTPHeader) => {
                self.refuse_head(session).await;
                return None;
            }
            Err(_) => return None,
        }
        // None means that Pingora chose to close, for a head that could smuggle another: leave it.
        if session.get_keepalive().is_some() {
            let keep = (!*shutdown.borrow()).then(|| self.settings.keep_idle.as_secs().max(1));
            session.set_keepalive(keep);
        }
        session.set_read_timeout(Some(self.settings.read));
        session.set_write_timeout(Some(self.settings.write));
        session.set_total_drain_timeout(Some(self.settings.body));
        let mut client = Client::new(&mut session, &self.settings, self.gateway.bounds.body_bytes_max);
        if client.is_head_too_large() {
            client.close_after();
            engine::refuse(&self.gateway, DIALECT, refusal(RequestError::Head), &mut client).await;
        } else {
            self.serve(&mut client).await;
        }
        if !client.is_answered() {
            return None;
        }
        let persistent = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok().flatten();
        reusable.map(|stream| ReusedHttpStream::from_reusable_stream(stream, persistent))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<h2::H2Options> {
        // From the bounded defaults: built from nothing, streams and header lists would have no bound.
        let mut options = h2::default_h2_options();
        options.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
        Some(options)
    }
}

/// CORS: what any page may do, since a key is asked for all the same.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, retry-after, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens",
);
const ORIGIN: (header::HeaderName, HeaderValue) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
