//! HTTP/2 from both sides: a client of the gateway, and a provider behind it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::Instant,
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::{
    Answer, Call, Head, PATIENCE,
    by_hand::{GOOD_ANSWER, chunk},
};

/// One HTTP/2 connection to the gateway.
pub(crate) struct H2Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// One call on it.
pub(crate) struct H2Call {
    answer: Option<ResponseFuture>,
    request: SendStream<Bytes>,
    body: Option<RecvStream>,
}

impl H2Client {
    /// Without TLS, by prior knowledge.
    pub(crate) fn to(address: SocketAddr) -> H2Client {
        let runtime = runtime();
        let sender = runtime.block_on(async { greet(TcpStream::connect(address).await.expect("it listens")).await });
        H2Client { runtime, sender }
    }

    /// Over TLS, where the gateway must choose HTTP/2 and show `certificate`.
    pub(crate) fn over_tls(address: SocketAddr, certificate: &CertificateDer<'static>) -> H2Client {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let stream = connect_tls(address, certificate, &["h2", "http/1.1"]).await;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            greet(stream).await
        });
        H2Client { runtime, sender }
    }

    /// Begins a call. Its body goes out whole.
    pub(crate) fn begin(&mut self, call: &Call) -> H2Call {
        let mut request =
            Request::builder().method(call.method.as_str()).uri(format!("http://gateway.test{}", call.path));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = request.body(()).expect("tests write good requests");
        let payload = call.payload();
        let sender = self.sender.clone();
        let (answer, request) = self.runtime.block_on(async {
            let mut sender = sender.ready().await.expect("the connection takes requests");
            let (answer, mut request) = sender.send_request(request, payload.is_empty()).expect("the request goes out");
            if !payload.is_empty() {
                send_all(&mut request, payload.into()).await;
            }
            (answer, request)
        });
        H2Call { answer: Some(answer), request, body: None }
    }

    pub(crate) fn head(&self, call: &mut H2Call) -> Head {
        let answer = call.answer.take().expect("an answer has one head");
        let answer = self.runtime.block_on(in_time(answer)).expect("an answer");
        let (parts, body) = answer.into_parts();
        call.body = Some(body);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Head { status: parts.status.as_u16(), headers }
    }

    /// The next piece of the body; none at its end.
    pub(crate) fn piece(&self, call: &mut H2Call) -> Result<Option<Bytes>, h2::Error> {
        let body = call.body.as_mut().expect("the head comes before the body");
        let piece = self.runtime.block_on(in_time(body.data()));
        let piece = piece.transpose()?;
        if let Some(piece) = &piece {
            body.flow_control().release_capacity(piece.len())?;
        }
        Ok(piece)
    }

    pub(crate) fn answer(&self, mut call: H2Call) -> Answer {
        let head = self.head(&mut call);
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut call).expect("the answer comes whole") {
            body.extend_from_slice(&piece);
        }
        Answer { head, body }
    }

    pub(crate) fn call(&mut self, call: &Call) -> Answer {
        let call = self.begin(call);
        self.answer(call)
    }
}

impl H2Call {
    /// Leaves the call, and keeps the connection.
    pub(crate) fn reset(mut self) -> Instant {
        let left = Instant::now();
        self.request.send_reset(Reason::CANCEL);
        left
    }
}

/// Asks for one answer over TLS in HTTP/1.1, and returns all that comes.
pub(crate) fn http1_over_tls(address: SocketAddr, certificate: &CertificateDer<'static>, call: &Call) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    runtime().block_on(async {
        let mut stream = connect_tls(address, certificate, &["http/1.1"]).await;
        stream.write_all(&call.clone().header("connection", "close").bytes()).await.expect("it is taken");
        let mut seen = Vec::new();
        // A peer that does not say goodbye in TLS's words has said all the same.
        let _ = stream.read_to_end(&mut seen).await;
        String::from_utf8(seen).expect("answers are UTF-8")
    })
}

async fn connect_tls(
    address: SocketAddr,
    certificate: &CertificateDer<'static>,
    protocols: &[&str],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("it is a certificate");
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.expect("it listens");
    let name = ServerName::try_from("gateway.test").expect("it is a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("the certificate is good")
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> SendRequest<Bytes> {
    // Windows wide enough that a stream which nobody reads yet holds up no other.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(64 << 20);
    let (sender, connection) = builder.handshake(stream).await.expect("the gateway speaks HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn send_all(stream: &mut SendStream<Bytes>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        // A peer that answers early may take no more.
        let Some(Ok(granted)) = granted else { return };
        let piece = bytes.split_to(granted.min(bytes.len()));
        if stream.send_data(piece, bytes.is_empty()).is_err() {
            return;
        }
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("there are threads")
}

/// A provider that speaks HTTP/2 without TLS. A prompt that says `hang` is never answered, one that says `dies` neither,
/// nor anything after it on its connection; one that says `slow` is streamed for ever, any other is answered well.
pub(crate) struct H2Provider {
    pub(crate) address: SocketAddr,
    told: Receiver<Seen>,
    _runtime: Runtime,
}

/// What such a provider has seen.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A request with its body.
    Request(Box<http::request::Parts>, Vec<u8>),
    /// The caller has left.
    Reset(Instant),
}

impl H2Provider {
    pub(crate) fn listen() -> H2Provider {
        let runtime = runtime();
        let (tell, told) = mpsc::channel();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, tell.clone()));
            }
        });
        H2Provider { address, told, _runtime: runtime }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn next(&self) -> Seen {
        self.told.recv_timeout(PATIENCE).expect("the provider sees something")
    }

    /// The next request, whatever comes before it.
    pub(crate) fn request(&self) -> (Box<http::request::Parts>, Vec<u8>) {
        loop {
            if let Seen::Request(head, body) = self.next() {
                return (head, body);
            }
        }
    }

    /// When the next caller leaves.
    pub(crate) fn reset(&self) -> Instant {
        loop {
            if let Seen::Reset(at) = self.next() {
                return at;
            }
        }
    }
}

async fn converse(stream: TcpStream, tell: Sender<Seen>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let dead = Arc::new(AtomicBool::new(false));
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (tell, dead) = (tell.clone(), dead.clone());
        tokio::spawn(async move {
            let (head, mut stream) = request.into_parts();
            let mut body = Vec::new();
            while let Some(Ok(piece)) = stream.data().await {
                let _ = stream.flow_control().release_capacity(piece.len());
                body.extend_from_slice(&piece);
            }
            let says = |word: &[u8]| memchr::memmem::find(&body, word).is_some();
            let dies = dead.fetch_or(says(b"dies"), Ordering::SeqCst) || says(b"dies");
            let (hangs, is_slow) = (says(b"hang") || dies, says(b"slow"));
            // The test has ended by itself if nobody listens.
            let _ = tell.send(Seen::Request(Box::new(head), body));
            let content_type = if is_slow { "text/event-stream" } else { "application/json" };
            let answer = Response::builder().header("content-type", content_type).body(()).expect("it is an answer");
            if hangs {
                let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                let _ = tell.send(Seen::Reset(Instant::now()));
                return;
            }
            let Ok(mut stream) = respond.send_response(answer, false) else { return };
            if !is_slow {
                let _ = stream.send_data(GOOD_ANSWER.into(), true);
                return;
            }
            let _ = stream.send_data(format!("data: {}\n\n", chunk("slowly")).into(), false);
            let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            let _ = tell.send(Seen::Reset(Instant::now()));
        });
    }
}
