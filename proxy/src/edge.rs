//! The client's connection: HTTP/1.1 and HTTP/2 in, one [`Downstream`] a request out.
//!
//! Owns listening, the bounds and deadlines of connections, and what HTTP asks of a server: keep-alive, 100-continue,
//! encoded bodies, framing of answers, CORS. Serves clients' calls and, by the same code, the operator's pages. Decides
//! nothing about a call.
//!
//! It is an `HttpServerApp` of Pingora's, not a `ProxyHttp`: that shell answers a head it cannot parse (10 000 headers,
//! say) by itself, with an empty page and without a hook, where a client is owed our error body and the ledger a row.

mod answer;
mod bodies;
mod client;
mod connections;
mod discard;
mod encoding;
mod endpoint;
mod gone;
mod head;
mod http1;
mod listener;
mod pages;
mod settings;
mod socket;

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::HeaderValue;
use pingora::{ErrorType, apps::HttpServerOptions, protocols::http::ServerSession, server::ShutdownWatch};
use tokio::sync::watch;

use self::{bodies::Bodies, client::Client, connections::Serving, endpoint::Endpoint, head::HeadError};
use crate::{
    dialect::Dialect,
    engine::{self, Downstream, Head},
    error::{Error, RequestError},
    gateway::Gateway,
    metrics::OpenConnection,
};

pub use self::{listener::Listener, settings::Settings};

/// What answers the requests of a listener.
pub struct Edge {
    serves: Serves,
    settings: Settings,
    options: HttpServerOptions,
    cut: watch::Receiver<bool>,
    bodies: Arc<Bodies>,
}

enum Serves {
    Calls(Arc<Gateway>),
    Pages(Router),
}

/// A head that was read, or the reason why it was not.
enum ReadHead {
    Good,
    Faulty(HeadError),
}

impl Edge {
    /// Serves clients' calls. Those that have not ended when `cut` becomes true are told so and end then.
    pub fn calls(gateway: Arc<Gateway>, settings: Settings, cut: watch::Receiver<bool>) -> Self {
        Edge::new(Serves::Calls(gateway), settings, cut)
    }

    /// Serves an operator's pages.
    pub fn pages(router: Router, settings: Settings, cut: watch::Receiver<bool>) -> Self {
        Edge::new(Serves::Pages(router), settings, cut)
    }

    fn new(serves: Serves, settings: Settings, cut: watch::Receiver<bool>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = settings.h2c;
        // Idle HTTP/2 connections would live forever.
        options.h2_idle_timeout = Some(settings.keep_idle);
        let bodies = Bodies::new(settings.bodies_bytes_max, settings.decoding_max);
        Edge { serves, settings, options, cut, bodies }
    }

    /// Counts a client's connection as open until the guard is dropped. An operator's is not counted.
    fn count_connection(&self) -> Option<OpenConnection> {
        match &self.serves {
            Serves::Calls(gateway) => Some(gateway.metrics.connect()),
            Serves::Pages(_) => None,
        }
    }

    /// Answers one request, while which it is `serving`. Whether the answer went out whole, so that the connection may
    /// serve again.
    async fn answer(
        &self,
        session: &mut ServerSession,
        head: ReadHead,
        serving: Serving<'_>,
        shutdown: &ShutdownWatch,
    ) -> bool {
        session.set_read_timeout(Some(self.settings.read));
        session.set_write_timeout(Some(self.settings.write));
        session.set_total_drain_timeout(Some(self.settings.body));
        // What is left of a body is read after its answer: `Client::begin` closes where it is not.
        session.set_close_on_response_before_downstream_finish(false);
        if let ReadHead::Faulty(fault) = head {
            session.set_keepalive(None);
            let mut client = self.client(session, serving).headless();
            Box::pin(self.refuse(fault, &mut client)).await;
            client.linger().await;
            return false;
        }
        // None means that Pingora chose to close, for a head that could smuggle another: leave it.
        if session.get_keepalive().is_some() {
            let keep = (!*shutdown.borrow()).then(|| self.settings.keep_idle.as_secs().max(1));
            session.set_keepalive(keep);
        }
        let mut client = self.client(session, serving);
        if let Some(fault) = client.head_fault() {
            client.close_after();
            Box::pin(self.refuse(fault, &mut client)).await;
        } else {
            match &self.serves {
                Serves::Calls(gateway) => serve(gateway, &mut client).await,
                Serves::Pages(router) => Box::pin(pages::answer(router, &mut client)).await,
            }
        }
        client.is_answered()
    }

    fn client<'a>(&'a self, session: &'a mut ServerSession, serving: Serving<'a>) -> Client<'a> {
        let cors = matches!(self.serves, Serves::Calls(_));
        Client::new(session, &self.settings, &self.cut, self.bodies.hold(), serving, cors)
    }

    async fn refuse(&self, fault: HeadError, client: &mut Client<'_>) {
        let refusal = match fault {
            HeadError::TooLarge => RequestError::HeadTooLarge,
            HeadError::Invalid => RequestError::Head,
        };
        match &self.serves {
            Serves::Calls(gateway) => engine::refuse(gateway, DIALECT, boxed(refusal), client).await,
            Serves::Pages(_) => plain(client, 400, "the request's head is not valid HTTP, or is too large\n").await,
        }
    }
}

/// Serves a request for calls, by its endpoint.
async fn serve(gateway: &Gateway, client: &mut Client<'_>) {
    match client.endpoint() {
        Endpoint::Call(operation) => engine::serve(gateway, &gateway.connector, DIALECT, operation, client).await,
        // Small and rare beside a call, whose future would carry them.
        Endpoint::Models => Box::pin(engine::models(gateway, DIALECT, client)).await,
        Endpoint::Model(id) => Box::pin(engine::model(gateway, DIALECT, &id, client)).await,
        Endpoint::Preflight => Box::pin(client.preflight()).await,
        Endpoint::Health => plain(client, 200, "ok\n").await,
        Endpoint::Ready => match gateway.readiness() {
            Ok(()) => plain(client, 200, gateway.warning().unwrap_or_else(|| "ready".to_owned()) + "\n").await,
            Err(why) => plain(client, 503, format!("{why}\n")).await,
        },
        Endpoint::Unknown => Box::pin(engine::refuse(gateway, DIALECT, boxed(RequestError::Path), client)).await,
        Endpoint::WrongMethod => {
            let method = client.method().to_owned();
            Box::pin(engine::refuse(gateway, DIALECT, boxed(RequestError::Method(method)), client)).await;
        }
    }
}

/// Reads a request's head. None where there is none to answer: the client left, or the process stops.
async fn read_head(session: &mut ServerSession, shutdown: &ShutdownWatch) -> Option<ReadHead> {
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
        Ok(true) => Some(ReadHead::Good),
        Ok(false) => None,
        Err(error) if matches!(error.etype, ErrorType::InvalidHTTPHeader) => {
            // Pingora's own bounds have no type of their own.
            let text = error.to_string();
            let is_too_large = text.contains("too many headers")
                || text.contains("header larger than")
                || text.len() > TARGET_BYTES_MAX;
            Some(ReadHead::Faulty(if is_too_large { HeadError::TooLarge } else { HeadError::Invalid }))
        }
        Err(_) => None,
    }
}

/// The longest target that is taken. Pingora says of a longer one no more than the target itself.
const TARGET_BYTES_MAX: usize = 65_534;

/// What clients are spoken to in, at every path so far.
const DIALECT: Dialect = Dialect::OpenAi;

fn boxed(request: RequestError) -> Box<Error> {
    Box::new(Error::Request(request))
}

async fn plain(client: &mut Client<'_>, status: u16, text: impl Into<Bytes>) {
    let text = text.into();
    let head = Head::whole(status, HeaderValue::from_static("text/plain; charset=utf-8"), text.len());
    if client.begin(head).await.is_ok() {
        let _ = client.write(text, true).await;
        client.discard_body().await;
    }
}

#[cfg(test)]
mod tests;
