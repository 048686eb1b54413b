//! Listening: connections are accepted, given their place, and served until they end.
//!
//! Invariant: nothing that a client or a lack of files does ends a listener, or makes it spin.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    listeners::{
        ALPN,
        tls::{Acceptor, TlsSettings},
    },
    protocols::{
        Stream,
        http::{ServerSession, v2::server as h2},
    },
    server::ShutdownWatch,
};
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    Edge,
    connections::{Connection, Connections, Waits},
    http1,
    settings::Settings,
    socket::Socket,
};

/// Addresses that are served alike and share one bound on their connections.
pub struct Listener {
    name: &'static str,
    edge: Arc<Edge>,
    connections: Arc<Connections>,
    sockets: Vec<(TcpListener, Option<TlsSettings>)>,
}

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 4096;

impl Listener {
    /// Answers by `edge`, on at most `connections_max` connections at one time.
    pub fn new(name: &'static str, edge: Edge, connections_max: usize) -> Self {
        let settings = &edge.settings;
        let waits = Waits { head: settings.head_timeout, next: settings.keep_idle + settings.head_timeout };
        let connections = Connections::new(connections_max, waits);
        Listener { name, edge: Arc::new(edge), connections, sockets: Vec::new() }
    }

    /// Binds `address`, so that it is known before the start whether it can be had. Returns what was bound, with the
    /// port that port 0 became.
    ///
    /// # Errors
    /// The system's, where the address cannot be had.
    pub fn bind(&mut self, address: SocketAddr, tls: Option<TlsSettings>) -> io::Result<SocketAddr> {
        let socket = TcpListener::bind(address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        self.sockets.push((socket, tls));
        Ok(bound)
    }

    /// Serves until `shutdown` says that the process stops.
    pub async fn run(self, shutdown: ShutdownWatch) {
        let mut accepting = JoinSet::new();
        for (socket, tls) in self.sockets {
            let socket = match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::error!(listener = self.name, %error, "a listener cannot be served");
                    continue;
                }
            };
            let accept = Accept {
                name: self.name,
                socket,
                tls: tls.map(|tls| Arc::new(tls.build())),
                edge: self.edge.clone(),
                connections: self.connections.clone(),
                shutdown: shutdown.clone(),
            };
            accepting.spawn(accept.run());
        }
        accepting.join_all().await;
    }
}

/// One address being listened on.
struct Accept {
    name: &'static str,
    socket: tokio::net::TcpListener,
    tls: Option<Arc<Acceptor>>,
    edge: Arc<Edge>,
    connections: Arc<Connections>,
    shutdown: ShutdownWatch,
}

/// How long a listener rests that the system gives no connection.
const REST: Duration = Duration::from_millis(50);

impl Accept {
    async fn run(self) {
        let mut stopping = self.shutdown.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => {}
            () = self.accept_all() => {}
        }
    }

    async fn accept_all(&self) {
        let mut failing = false;
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    failing = false;
                    let connection = self.connections.admit().await;
                    tokio::spawn(serve(stream, connection, self.tls.clone(), self.edge.clone(), self.shutdown.clone()));
                }
                // The client gave up while it waited: the next one is there already.
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(listener = self.name, %error, "no connection can be accepted");
                    }
                    self.connections.cut_oldest();
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Serves one connection to its end.
async fn serve(
    stream: TcpStream,
    connection: Connection,
    tls: Option<Arc<Acceptor>>,
    edge: Arc<Edge>,
    shutdown: ShutdownWatch,
) {
    // Without it, the end of an answer would wait for the client's word on its beginning.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let _counted = edge.count_connection();
    let served = Arc::new(Served { edge, connection });
    let all = async {
        // What a connection does once, or few do, is boxed: each open stream holds what is left here.
        let Some((stream, version)) = Box::pin(begin(stream, tls, served.edge.options.h2c)).await else { return };
        match version {
            Version::Http1 => http1::serve(&served.edge, &served.connection, stream, &shutdown).await,
            Version::Http2 => drop(Box::pin(served.process_new(stream, &shutdown)).await),
        }
    };
    tokio::select! {
        biased;
        () = served.connection.cut() => {}
        () = all => {}
    }
}

/// What a client speaks.
enum Version {
    Http1,
    Http2,
}

/// Finds out what a client speaks, with TLS if there is `tls`. None where it is gone, or the handshake failed.
async fn begin(stream: TcpStream, tls: Option<Arc<Acceptor>>, h2c: bool) -> Option<(Stream, Version)> {
    let mut socket = Socket::new(stream);
    let Some(tls) = tls else {
        let is_http2 = h2c && socket.begins_http2().await.ok()?;
        return Some((Box::new(socket), if is_http2 { Version::Http2 } else { Version::Http1 }));
    };
    match tls.tls_handshake(socket).await {
        Ok(stream) => {
            let stream: Stream = Box::new(stream);
            let is_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
            Some((stream, if is_http2 { Version::Http2 } else { Version::Http1 }))
        }
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// One connection of HTTP/2, as Pingora calls it for each request.
struct Served {
    edge: Arc<Edge>,
    connection: Connection,
}

#[async_trait]
impl HttpServerApp for Served {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let head = super::read_head(&mut session, shutdown).await?;
        // None: the head came in the moment in which the connection was cut.
        let serving = self.connection.serve()?;
        if self.edge.answer(&mut session, head, serving, shutdown).await {
            // Where it fails the client has left.
            let _ = session.finish().await;
        }
        None
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.edge.options)
    }

    fn h2_options(&self) -> Option<h2::H2Options> {
        // From the bounded defaults: built from nothing, streams and header lists would have no bound.
        let mut options = h2::default_h2_options();
        // What the library refuses by itself is refused without a body, so that it lets more pass than our own bound.
        let Settings { headers_max, header_bytes_max, .. } = self.edge.settings;
        let list_bytes_max = 2 * header_bytes_max + HEADER_OVERHEAD_BYTES * headers_max;
        options
            .max_header_list_size(u32::try_from(list_bytes_max).unwrap_or(u32::MAX))
            .initial_window_size(REQUEST_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES);
        Some(options)
    }
}

/// What HTTP/2 counts for a header beside its name and value.
const HEADER_OVERHEAD_BYTES: usize = 32;
/// How much of one request's body may be on its way unread.
const REQUEST_WINDOW_BYTES: u32 = 256 << 10;
/// The same of all requests of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// How much of one answer waits for its client to read.
const SEND_BUFFER_BYTES: usize = 64 << 10;
