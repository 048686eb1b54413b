//! A provider that the test plays itself, byte by byte: for what no scenario of the fakes does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::{Call, Client, Gateway, PATIENCE, eventually};

/// A gateway that takes nothing for so long has stopped reading.
const BLOCKED_FOR: Duration = Duration::from_secs(2);
/// More than all buffers between provider and client hold.
const SENT_BYTES_MAX: usize = 256 << 20;

/// Listens where a provider would.
pub(crate) struct ByHand {
    listener: TcpListener,
}

/// One connection that the gateway has made.
pub(crate) struct Taken {
    stream: TcpStream,
}

impl ByHand {
    pub(crate) fn listen() -> ByHand {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        listener.set_nonblocking(true).expect("sockets can be made so");
        ByHand { listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address())
    }

    /// A streamed `call` through `gateway`, whose head has come here and been answered with a stream's.
    pub(crate) fn streams(&self, gateway: &Gateway, call: &Call) -> (Client, Taken) {
        let client = gateway.begin(call);
        let mut taken = self.accept();
        taken.request();
        taken.begin_stream();
        (client, taken)
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Taken {
        let stream = eventually("the gateway connects", || self.listener.accept().ok()).0;
        stream.set_nonblocking(false).expect("sockets can be made so");
        stream.set_read_timeout(Some(PATIENCE)).expect("there is a timeout");
        Taken { stream }
    }
}

impl Taken {
    /// Reads a request to its last byte, and returns all of it.
    pub(crate) fn request(&mut self) -> String {
        let mut seen = Vec::new();
        let mut piece = [0; 64 << 10];
        loop {
            let text = String::from_utf8_lossy(&seen);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return text.into_owned();
                }
            }
            let count = self.stream.read(&mut piece).expect("the gateway sends a request");
            assert!(count > 0, "the gateway closed in mid-request");
            seen.extend_from_slice(&piece[..count]);
        }
    }

    /// Reads the beginning of a request, and no more.
    pub(crate) fn reads_a_little(&mut self) {
        self.stream.read_exact(&mut [0; 100]).expect("the gateway sends a request");
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the gateway takes what it is sent");
    }

    /// Answers with a whole body.
    pub(crate) fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.write(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ));
    }

    /// Answers well.
    pub(crate) fn answer_well(&mut self) {
        self.answer("200 OK", "", GOOD_ANSWER);
    }

    /// The head of a stream.
    pub(crate) fn begin_stream(&mut self) {
        self.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    /// These events, in one piece.
    pub(crate) fn events(&mut self, payloads: &[&str]) {
        let text: String = payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect();
        self.write(format!("{:x}\r\n{text}\r\n", text.len()));
    }

    /// Sends these events over and over, until the gateway has taken nothing for a while.
    #[track_caller]
    pub(crate) fn events_until_blocked(&mut self, payloads: &[&str]) {
        let text: String = payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect();
        let text = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.set_write_timeout(Some(BLOCKED_FOR)).expect("there is a timeout");
        let mut sent = 0;
        while self.stream.write_all(text.as_bytes()).is_ok() {
            sent += text.len();
            assert!(sent < SENT_BYTES_MAX, "the gateway takes whatever it is sent");
        }
    }

    /// Waits for the gateway to close the connection, whatever it still sends.
    pub(crate) fn is_left(&mut self) {
        let mut piece = [0; 64 << 10];
        while self.stream.read(&mut piece).is_ok_and(|count| count > 0) {}
    }
}

/// An answer with two tokens in and one out.
pub(crate) const GOOD_ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#;

/// A chunk of a stream that says `text`.
pub(crate) fn chunk(text: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
    )
}
