//! Providers that do as they are told: one script for each exchange, in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until};

use super::super::{Exchange, Providers};
use crate::upstream::{Answer, Outgoing, Provider, UpstreamError};

/// One exchange, as it will go.
#[derive(Clone)]
pub(super) struct Script {
    opening: Duration,
    open: Result<(), UpstreamError>,
    sending: Duration,
    sent: Result<(), UpstreamError>,
    steps: VecDeque<(Duration, Step)>,
}

#[derive(Clone)]
enum Step {
    Head(u16, Vec<(&'static str, String)>),
    Piece(Bytes),
    End,
    Broken(UpstreamError),
}

impl Script {
    fn new() -> Script {
        Script { opening: Duration::ZERO, open: Ok(()), sending: Duration::ZERO, sent: Ok(()), steps: VecDeque::new() }
    }

    /// Cannot be reached.
    pub(super) fn unreachable(trouble: UpstreamError) -> Script {
        Script { open: Err(trouble), ..Script::new() }
    }

    /// Takes the request and says nothing.
    pub(super) fn silent() -> Script {
        Script::new()
    }

    /// Takes so long to be reached.
    pub(super) fn opening(mut self, opening: Duration) -> Script {
        self.opening = opening;
        self
    }

    /// Takes so long to take the request.
    pub(super) fn taking(mut self, sending: Duration) -> Script {
        self.sending = sending;
        self
    }

    /// Fails to take the request.
    pub(super) fn untaken(mut self, trouble: UpstreamError) -> Script {
        self.sent = Err(trouble);
        self
    }

    pub(super) fn whole(status: u16, body: &str) -> Script {
        Script::head(status, "application/json").piece(body).ends()
    }

    pub(super) fn stream() -> Script {
        Script::head(200, "text/event-stream")
    }

    pub(super) fn head(status: u16, content_type: &str) -> Script {
        let headers = vec![("content-type", content_type.to_owned())];
        Script::new().then(Step::Head(status, headers))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Script {
        if let Some((_, Step::Head(_, headers))) = self.steps.front_mut() {
            headers.push((name, value.to_owned()));
        }
        self
    }

    pub(super) fn piece(self, text: &str) -> Script {
        self.then(Step::Piece(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// The answer ends as it should.
    pub(super) fn ends(self) -> Script {
        self.then(Step::End)
    }

    pub(super) fn breaks(self, trouble: UpstreamError) -> Script {
        self.then(Step::Broken(trouble))
    }

    /// The last step comes after so long.
    pub(super) fn after(mut self, wait: Duration) -> Script {
        if let Some((before, _)) = self.steps.back_mut() {
            *before = wait;
        }
        self
    }

    fn then(mut self, step: Step) -> Script {
        self.steps.push_back((Duration::ZERO, step));
        self
    }
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) provider: String,
    pub(super) body: String,
}

/// Every provider of a gateway.
#[derive(Default)]
pub(super) struct Scripted {
    scripts: Mutex<VecDeque<Script>>,
    pub(super) requests: Arc<Mutex<Vec<Request>>>,
    released: Mutex<usize>,
    distrusted: Arc<Mutex<usize>>,
}

impl Scripted {
    pub(super) fn new(scripts: impl IntoIterator<Item = Script>) -> Scripted {
        Scripted { scripts: Mutex::new(scripts.into_iter().collect()), ..Scripted::default() }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Whom the requests went to.
    pub(super) fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.provider).collect()
    }

    /// Connections that were kept.
    pub(super) fn released(&self) -> usize {
        *self.released.lock().unwrap()
    }

    /// Connections that are to serve no other call.
    pub(super) fn distrusted(&self) -> usize {
        *self.distrusted.lock().unwrap()
    }
}

impl Providers for Scripted {
    type Exchange = Playing;

    async fn open(&self, _provider: &Provider) -> Result<Playing, UpstreamError> {
        let script = self.scripts.lock().unwrap().pop_front().expect("no more is asked than was scripted");
        if !script.opening.is_zero() {
            tokio::time::sleep(script.opening).await;
        }
        script.open.clone()?;
        Ok(Playing { script, wakes_at: None, requests: self.requests.clone(), distrusted: self.distrusted.clone() })
    }

    async fn release(&self, _exchange: Playing) {
        *self.released.lock().unwrap() += 1;
    }

    async fn drain_aside(&self, exchange: Playing) {
        self.release(exchange).await;
    }
}

/// A script under way. Every wait may be dropped and taken up again.
pub(super) struct Playing {
    script: Script,
    wakes_at: Option<Instant>,
    requests: Arc<Mutex<Vec<Request>>>,
    distrusted: Arc<Mutex<usize>>,
}

impl Playing {
    async fn next(&mut self) -> Step {
        let Some((wait, _)) = self.script.steps.front() else { return std::future::pending().await };
        let at = *self.wakes_at.get_or_insert_with(|| Instant::now() + *wait);
        if at > Instant::now() {
            sleep_until(at).await;
        }
        self.wakes_at = None;
        self.script.steps.pop_front().expect("it was there").1
    }
}

impl Exchange for Playing {
    async fn send(&mut self, provider: &Provider, outgoing: Outgoing<'_>) -> Result<(), UpstreamError> {
        let body = String::from_utf8(outgoing.body.to_vec()).unwrap();
        self.requests.lock().unwrap().push(Request { provider: provider.name.to_string(), body });
        tokio::time::sleep(self.script.sending).await;
        self.script.sent.clone()
    }

    async fn head(&mut self) -> Result<Answer, UpstreamError> {
        match self.next().await {
            Step::Head(status, said) => {
                let mut headers = HeaderMap::new();
                for (name, value) in said {
                    headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
                }
                Ok(Answer { status, headers })
            }
            Step::Broken(trouble) => Err(trouble),
            Step::Piece(_) | Step::End => panic!("a script's head comes first"),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.next().await {
            Step::Piece(bytes) => Ok(Some(bytes)),
            Step::End => Ok(None),
            Step::Broken(trouble) => Err(trouble),
            Step::Head(..) => panic!("a script has one head"),
        }
    }

    fn distrust(&mut self) {
        *self.distrusted.lock().unwrap() += 1;
    }
}
