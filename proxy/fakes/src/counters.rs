//! What a fake has seen: calls, clients that left, the latest requests, and the gates that tests open. Bounded in
//! every part; never holds a request's body longer than [`BODY_BYTES_KEPT`] bytes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::fingerprint;

/// A longer body is kept in its first bytes only, with the length and hash of all of it.
pub const BODY_BYTES_KEPT: usize = 256 << 10;
/// How many of the latest requests are kept.
pub const REQUESTS_KEPT: usize = 32;
const IDS_MAX: usize = 1024;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    head: Vec<u8>,
    body: Vec<u8>,
    body_bytes: usize,
    body_hash: Option<u64>,
}

impl Seen {
    /// The first word of the request line.
    pub fn method(&self) -> &str {
        self.request_line().split(' ').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text().lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
    }

    /// The body, or its first [`BODY_BYTES_KEPT`] bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Length of the whole body.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// [`fingerprint`] of the whole body.
    pub fn body_hash(&self) -> u64 {
        self.body_hash.unwrap_or_else(|| fingerprint(&self.body))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.head).unwrap_or_default()
    }

    fn request_line(&self) -> &str {
        self.text().lines().next().unwrap_or_default()
    }

    fn to_json(&self) -> Value {
        let headers: serde_json::Map<_, _> =
            self.headers().map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value))).collect();
        json!({
            "method": self.method(), "path": self.path(), "headers": headers,
            "body": String::from_utf8_lossy(&self.body), "body_bytes": self.body_bytes,
            "body_hash": format!("{:016x}", self.body_hash()),
        })
    }
}

/// A client that left before its answer was complete.
#[derive(Debug, Clone, Copy)]
pub struct Abort {
    pub at: Instant,
    pub at_unix_ms: u64,
    /// How many frames had been written.
    pub frames: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Counts changes, so that who waits misses none.
    generation: u64,
    calls: u64,
    in_flight: u64,
    in_flight_most: u64,
    completed: u64,
    frames: u64,
    aborted: u64,
    last_abort: Option<Abort>,
    recent: VecDeque<Seen>,
    failed: BTreeMap<String, u64>,
    open: BTreeSet<String>,
}

/// What one fake has seen since it started. A call is a request to a provider's path; statistics are not calls.
#[derive(Debug, Default)]
pub struct Counters {
    state: Mutex<State>,
    changed: Condvar,
    changed_async: Notify,
}

impl Counters {
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Calls whose answer is not complete yet.
    pub fn in_flight(&self) -> u64 {
        self.state().in_flight
    }

    /// The most calls that ever were in flight together.
    pub fn in_flight_most(&self) -> u64 {
        self.state().in_flight_most
    }

    /// Answers that were written to their end.
    pub fn completed(&self) -> u64 {
        self.state().completed
    }

    /// Frames written.
    pub fn frames(&self) -> u64 {
        self.state().frames
    }

    /// Clients that left before their answer was complete.
    pub fn aborted(&self) -> u64 {
        self.state().aborted
    }

    pub fn last_abort(&self) -> Option<Abort> {
        self.state().last_abort
    }

    /// The latest call's request.
    pub fn last(&self) -> Option<Seen> {
        self.state().recent.back().cloned()
    }

    /// The latest calls' requests, oldest first; at most [`REQUESTS_KEPT`].
    pub fn recent(&self) -> Vec<Seen> {
        self.state().recent.iter().cloned().collect()
    }

    /// Lets every call of the scenario `fake:gate?id=<id>` go on, those to come too.
    pub fn open_gate(&self, id: &str) {
        let mut state = self.state();
        if state.open.len() < IDS_MAX {
            state.open.insert(id.to_owned());
        }
        self.announce(state);
    }

    /// Blocks until `ready` holds, at most for `patience`. Returns whether it held.
    pub fn wait(&self, patience: Duration, ready: impl Fn(&Counters) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        let mut generation = self.state().generation;
        while !ready(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout_while(self.state(), left, |state| state.generation == generation);
            generation = waited.unwrap_or_else(PoisonError::into_inner).0.generation;
        }
        true
    }

    /// What `GET /__fake/stats` answers.
    pub fn to_json(&self) -> Value {
        let state = self.state();
        let abort = state.last_abort.map(|it| json!({ "at_unix_ms": it.at_unix_ms, "frames": it.frames }));
        json!({
            "calls": state.calls, "in_flight": state.in_flight, "in_flight_most": state.in_flight_most,
            "completed": state.completed, "frames": state.frames, "aborted": state.aborted, "last_abort": abort,
            "recent": state.recent.iter().map(Seen::to_json).collect::<Vec<_>>(),
        })
    }

    /// Waits until the gate `id` is opened.
    pub(super) async fn gate(&self, id: &str) {
        loop {
            let changed = self.changed_async.notified();
            if self.state().open.contains(id) {
                return;
            }
            changed.await;
        }
    }

    /// Whether this call is one of the first `count` calls of `id`, and must fail.
    pub(super) fn must_fail(&self, id: &str, count: u64) -> bool {
        let mut state = self.state();
        if state.failed.len() >= IDS_MAX && !state.failed.contains_key(id) {
            return false;
        }
        let failed = state.failed.entry(id.to_owned()).or_default();
        let must = *failed < count;
        *failed += u64::from(must);
        must
    }

    pub(super) fn begin(self: &Arc<Self>, head: &[u8], body: &[u8]) -> Open {
        let mut state = self.state();
        state.calls += 1;
        state.in_flight += 1;
        state.in_flight_most = state.in_flight_most.max(state.in_flight);
        let number = state.calls;
        let mut seen =
            if state.recent.len() < REQUESTS_KEPT { None } else { state.recent.pop_front() }.unwrap_or_default();
        seen.head.clear();
        seen.head.extend_from_slice(head);
        seen.body.clear();
        seen.body.extend_from_slice(&body[..body.len().min(BODY_BYTES_KEPT)]);
        seen.body_bytes = body.len();
        seen.body_hash = (body.len() > BODY_BYTES_KEPT).then(|| fingerprint(body));
        state.recent.push_back(seen);
        self.announce(state);
        Open { counters: Arc::clone(self), number, frames: 0, completed: false, aborted: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, mut state: MutexGuard<'_, State>) {
        state.generation += 1;
        drop(state);
        self.changed.notify_all();
        self.changed_async.notify_waiters();
    }
}

/// A call in flight; ends when dropped.
pub(super) struct Open {
    counters: Arc<Counters>,
    /// Counts the fake's calls from 1.
    pub(super) number: u64,
    /// Frames written so far.
    pub(super) frames: usize,
    pub(super) completed: bool,
    pub(super) aborted: bool,
}

impl Open {
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.counters.state();
        state.in_flight -= 1;
        state.frames += self.frames as u64;
        state.completed += u64::from(self.completed);
        if self.aborted {
            let at_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64);
            state.aborted += 1;
            state.last_abort = Some(Abort { at: Instant::now(), at_unix_ms, frames: self.frames });
        }
        self.counters.announce(state);
    }
}
