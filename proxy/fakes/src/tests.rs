//! The fakes over a plain socket, as a gateway sees them.

mod script;
mod wire;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Dialect, Fake};

const PATIENCE: Duration = Duration::from_secs(10);

/// A client that has one connection and no manners.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn of(fake: &Fake) -> Client {
        let stream = TcpStream::connect(fake.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    fn post(&mut self, path: &str, body: &str) {
        let auth = "authorization: Bearer k\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
        self.send(&format!("POST {path} HTTP/1.1\r\nhost: x\r\n{auth}content-length: {}\r\n\r\n{body}", body.len()));
    }

    /// The head of the answer, and what came of the body with it.
    fn head(&mut self) -> (String, Vec<u8>) {
        let mut seen = Vec::new();
        loop {
            if let Some(at) = memchr::memmem::find(&seen, b"\r\n\r\n") {
                let body = seen.split_off(at + 4);
                return (String::from_utf8(seen).unwrap(), body);
            }
            let mut byte = [0];
            assert_eq!(self.stream.read(&mut byte).unwrap(), 1, "closed before the end of the head");
            seen.push(byte[0]);
        }
    }

    /// One answer with a `content-length`: its head and body.
    fn answer(&mut self) -> (String, String) {
        let (head, _) = self.head();
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    /// All that comes before the connection ends, and how it ends.
    fn rest(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        let mut seen = Vec::new();
        let ending = self.stream.read_to_end(&mut seen).err().map(|it| it.kind());
        (seen, ending)
    }

    /// The chunks of one answer, up to the last.
    fn chunks(&mut self) -> Vec<String> {
        let mut chunks = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let mut byte = [0];
                self.stream.read_exact(&mut byte).unwrap();
                line.push(byte[0]);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut data = vec![0; size + 2];
            self.stream.read_exact(&mut data).unwrap();
            if size == 0 {
                return chunks;
            }
            data.truncate(size);
            chunks.push(String::from_utf8(data).unwrap());
        }
    }
}

fn openai() -> Fake {
    Fake::start(Dialect::OpenAi, "127.0.0.1:0").unwrap()
}

fn anthropic() -> Fake {
    Fake::start(Dialect::Anthropic, "127.0.0.1:0").unwrap()
}

fn ask(model: &str, stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": "Good morning" }]);
    json!({ "model": model, "stream": stream, "max_tokens": 1_000_000, "messages": messages }).to_string()
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";

/// The answer to one question on a connection of its own.
fn answered(fake: &Fake, path: &str, body: &str) -> (String, Value) {
    let mut client = Client::of(fake);
    client.post(path, body);
    let (head, body) = client.answer();
    (head, serde_json::from_str(&body).unwrap())
}

/// The data of each frame of a stream.
fn streamed(fake: &Fake, path: &str, body: &str) -> Vec<String> {
    let mut client = Client::of(fake);
    client.post(path, body);
    let (head, _) = client.head();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let text = client.chunks().concat();
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[test]
fn one_connection_carries_many_calls() {
    let fake = openai();
    let mut client = Client::of(&fake);
    for _ in 0..3 {
        client.post(CHAT, &ask("gpt-4o", false));
        assert!(client.answer().1.contains("You said: Good morning"));
        client.post(CHAT, &ask("gpt-4o", true));
        client.head();
        assert_eq!(client.chunks().last().map(String::as_str), Some("data: [DONE]\n\n"));
    }
    assert!(fake.counters().wait(PATIENCE, |it| it.completed() == 6));
    assert_eq!(fake.counters().in_flight(), 0);
}

#[test]
fn a_call_that_comes_early_waits_for_its_turn() {
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:gate?id=turn", false));
    client.post(CHAT, &ask("gpt-4o-mini", false));
    fake.counters().open_gate("turn");
    assert!(client.answer().1.contains("fake:gate"));
    assert!(client.answer().1.contains("gpt-4o-mini"));
}

#[test]
fn a_body_may_come_in_chunks_or_after_a_promise() {
    let fake = openai();
    let mut client = Client::of(&fake);
    let body = ask("gpt-4o", false);
    let (first, second) = body.split_at(10);
    let head = format!("POST {CHAT} HTTP/1.1\r\nAuthorization: Bearer k\r\n");
    client.send(&format!("{head}transfer-encoding: chunked\r\n\r\n"));
    client.send(&format!("a\r\n{first}\r\n{:x};x=y\r\n{second}\r\n0\r\n\r\n", second.len()));
    assert!(client.answer().1.contains("You said: Good morning"));
    assert_eq!(fake.counters().last().unwrap().body(), body.as_bytes());

    client.send(&format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()));
    assert_eq!(client.head().0, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&body);
    assert!(client.answer().1.contains("You said: Good morning"));
}

#[test]
fn what_is_not_http_is_refused_and_closed() {
    let fake = openai();
    let long = "x".repeat(300 << 10);
    let cases = [
        (format!("POST {CHAT} HTTP/1.1\r\ncontent-length: x\r\n\r\n"), 400),
        (format!("POST {CHAT} HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n"), 413),
        (format!("POST {CHAT} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nz\r\n"), 400),
        (format!("POST {CHAT} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;{long}"), 400),
        (format!("GET / HTTP/1.1\r\nlong: {long}"), 400),
    ];
    for (text, status) in cases {
        let mut client = Client::of(&fake);
        client.send(&text);
        let (head, _) = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert_eq!(fake.counters().calls(), 0);
}

#[test]
fn a_request_is_remembered_as_it_came() {
    let fake = openai();
    let large = format!("{}{}", ask("fake:missing", false), " ".repeat(super::BODY_BYTES_KEPT));
    for body in [&ask("gpt-4o", false), &large] {
        answered(&fake, CHAT, body);
        let seen = fake.counters().last().unwrap();
        assert_eq!((seen.method(), seen.path()), ("POST", CHAT));
        assert_eq!(seen.header("Authorization"), Some("Bearer k"));
        assert_eq!(seen.body_bytes(), body.len());
        assert_eq!(seen.body_hash(), super::fingerprint(body.as_bytes()));
        assert!(body.as_bytes().starts_with(seen.body()));
    }
    let mut client = Client::of(&fake);
    client.send("GET /__fake/stats HTTP/1.1\r\n\r\n");
    let stats: Value = serde_json::from_str(&client.answer().1).unwrap();
    assert_eq!(stats["calls"], 2);
    assert_eq!(stats["recent"][1]["body_bytes"], large.len());
}

#[test]
fn a_client_that_leaves_is_noticed_at_once() {
    for model in ["fake:hang", "fake:stall", "fake:gate?id=never", "fake:long?frames=100000&frame_ms=50"] {
        let fake = openai();
        let mut client = Client::of(&fake);
        client.post(CHAT, &ask(model, true));
        assert!(fake.counters().wait(PATIENCE, |it| it.in_flight() == 1));
        drop(client);
        assert!(fake.counters().wait(PATIENCE, |it| it.aborted() == 1), "{model}");
        assert!(fake.counters().last_abort().unwrap().frames < 10);
        assert_eq!((fake.counters().in_flight(), fake.counters().completed()), (0, 0));
    }
}

#[test]
fn a_client_that_stops_reading_and_leaves_is_noticed() {
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:big?bytes=60000000", false));
    client.head();
    drop(client);
    assert!(fake.counters().wait(PATIENCE, |it| it.aborted() == 1));
}

#[test]
fn a_wait_ends_when_its_patience_does() {
    let fake = openai();
    assert!(!fake.counters().wait(Duration::from_millis(1), |it| it.calls() == 1));
}

#[test]
fn a_fake_that_is_dropped_closes_its_connections() {
    let fake = openai();
    let mut client = Client::of(&fake);
    client.post(CHAT, &ask("fake:hang", false));
    assert!(fake.counters().wait(PATIENCE, |it| it.in_flight() == 1));
    let address = fake.address();
    drop(fake);
    assert_eq!(client.rest().0, b"");
    assert!(TcpStream::connect(address).is_err());
}
