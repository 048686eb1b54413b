//! A client that does as it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, header};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::{BodyError, ClientGoneError, Downstream, Head, Interruption};

/// What runs while the body arrives, or is discarded.
type WhileBody = Box<dyn FnOnce() + Send>;
/// What runs at each write, told whether it is the last.
type WhileWriting = Box<dyn FnMut(bool) + Send>;

/// A client's script, and what it saw.
pub(super) struct Client {
    authorization: Option<String>,
    body: Result<Bytes, BodyError>,
    while_body: Option<WhileBody>,
    while_discarding: Option<WhileBody>,
    interruption: Option<(Instant, Interruption)>,
    /// Writes that it takes before it is found to have left.
    takes: usize,
    /// How long it takes to take one.
    pause: Duration,
    while_writing: Option<WhileWriting>,
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// What the client was sent.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) head: Option<Head>,
    pub(super) text: String,
    /// When each piece came, counted from the start.
    pub(super) writes: Vec<Duration>,
    pub(super) is_whole: bool,
    pub(super) closed: bool,
    began: Option<Instant>,
}

impl Client {
    /// A client with a good key, that asks for `body`.
    pub(super) fn asks(body: &str) -> Client {
        Client {
            authorization: Some(format!("Bearer {}", super::setup::KEY)),
            body: Ok(Bytes::copy_from_slice(body.as_bytes())),
            while_body: None,
            while_discarding: None,
            interruption: None,
            takes: usize::MAX,
            pause: Duration::ZERO,
            while_writing: None,
            seen: Arc::default(),
        }
    }

    pub(super) fn with_key(mut self, key: Option<&str>) -> Client {
        self.authorization = key.map(|key| format!("Bearer {key}"));
        self
    }

    pub(super) fn with_body(mut self, body: Result<Bytes, BodyError>) -> Client {
        self.body = body;
        self
    }

    /// Runs `event` while the body is on its way.
    pub(super) fn meanwhile(mut self, event: impl FnOnce() + Send + 'static) -> Client {
        self.while_body = Some(Box::new(event));
        self
    }

    /// Runs `event` while nobody reads what is left of the body.
    pub(super) fn while_discarding(mut self, event: impl FnOnce() + Send + 'static) -> Client {
        self.while_discarding = Some(Box::new(event));
        self
    }

    pub(super) fn leaves_after(mut self, wait: Duration) -> Client {
        self.interruption = Some((Instant::now() + wait, Interruption::ClientGone));
        self
    }

    /// The gateway cuts the call after so long.
    pub(super) fn cut_after(mut self, wait: Duration) -> Client {
        self.interruption = Some((Instant::now() + wait, Interruption::Stopping));
        self
    }

    /// Cannot be written to after so many writes, the head among them.
    pub(super) fn takes(mut self, writes: usize) -> Client {
        self.takes = writes;
        self
    }

    /// Takes so long to take each write.
    pub(super) fn slow(mut self, pause: Duration) -> Client {
        self.pause = pause;
        self
    }

    /// Runs `event` at each write of the answer's body.
    pub(super) fn while_writing(mut self, event: impl FnMut(bool) + Send + 'static) -> Client {
        self.while_writing = Some(Box::new(event));
        self
    }

    fn take(&mut self) -> Result<(), ClientGoneError> {
        self.takes = self.takes.checked_sub(1).ok_or(ClientGoneError)?;
        Ok(())
    }
}

impl Seen {
    pub(super) fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, |head| head.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let headers = &self.head.as_ref()?.headers;
        let value = headers.iter().find(|(known, _)| known.as_str() == name)?.1.to_str().unwrap();
        Some(value.to_owned())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The stable name of the error that was told, whole or at the end of a stream.
    pub(super) fn code(&self) -> String {
        let last = self.text.trim_end().rsplit("data: ").next().unwrap();
        let json: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", self.text));
        json["error"]["code"].as_str().unwrap_or_else(|| panic!("no code in {}", self.text)).to_owned()
    }

    /// The payloads of a stream's events, comments left out.
    pub(super) fn events(&self) -> Vec<&str> {
        self.text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
    }

    /// What the model said in a stream.
    pub(super) fn said(&self) -> String {
        let events = self.events();
        let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
    }
}

impl Downstream for Client {
    fn header(&self, name: HeaderName) -> Option<&[u8]> {
        (name == header::AUTHORIZATION).then_some(self.authorization.as_deref()?.as_bytes())
    }

    fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.header(name).into_iter()
    }

    async fn body(&mut self) -> Result<Bytes, BodyError> {
        sleep(Duration::from_millis(1)).await;
        if let Some(event) = self.while_body.take() {
            event();
        }
        self.body.clone()
    }

    async fn discard_body(&mut self) {
        if let Some(event) = self.while_discarding.take() {
            event();
        }
    }

    async fn interrupted(&mut self) -> Interruption {
        match self.interruption {
            Some((at, why)) => {
                sleep_until(at).await;
                why
            }
            None => std::future::pending().await,
        }
    }

    async fn begin(&mut self, head: Head) -> Result<(), ClientGoneError> {
        self.take()?;
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.head.is_none(), "an answer begins once");
        seen.began.get_or_insert_with(Instant::now);
        seen.head = Some(head);
        Ok(())
    }

    async fn write(&mut self, bytes: Bytes, end: bool) -> Result<(), ClientGoneError> {
        self.take()?;
        if let Some(event) = &mut self.while_writing {
            event(end);
        }
        if !self.pause.is_zero() {
            sleep(self.pause).await;
        }
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.head.is_some() && !seen.is_whole, "a piece comes after the head and before the end");
        let began = *seen.began.get_or_insert_with(Instant::now);
        seen.writes.push(began.elapsed());
        seen.text.push_str(std::str::from_utf8(&bytes).unwrap());
        seen.is_whole = end;
        Ok(())
    }

    fn close_after(&mut self) {
        self.seen.lock().unwrap().closed = true;
    }
}
