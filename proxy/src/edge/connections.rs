//! Clients' connections: how many there are, which of them wait for a request, and which of those is cut.
//!
//! A connection waits from its first moment to its first whole head, and again between two requests. Only one that
//! waits is ever cut: when its time is over, or, the oldest first, when another connection needs its place.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long a connection may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// From the connection's beginning, TLS among it, to its first whole head.
    pub(super) head: Duration,
    /// From the end of one request to the next whole head.
    pub(super) next: Duration,
}

/// The connections of one set of listeners.
pub(super) struct Connections {
    open_max: usize,
    waits: Waits,
    /// What times are counted from.
    epoch: Instant,
    /// Gives each beginning of a wait its number, so that the oldest can be told.
    turn: AtomicU64,
    open: Mutex<HashMap<u64, Arc<State>>>,
    /// Listeners that wait for a place.
    wanted: AtomicUsize,
    /// A place is free, or a connection has begun to wait.
    changed: Notify,
}

/// One connection, open until this is dropped.
pub(super) struct Connection {
    all: Arc<Connections>,
    state: Arc<State>,
    id: u64,
}

struct State {
    /// Requests being served, or [`CUT`].
    serving: AtomicU32,
    /// The turn in which this connection began to wait.
    waits_since: AtomicU64,
    /// When its wait is over, in milliseconds since the epoch.
    waits_until_ms: AtomicU64,
    cut: Notify,
}

/// A request of a connection. While there is one, the connection is not cut.
pub(super) struct Serving<'a>(&'a Connection);

const CUT: u32 = u32::MAX;
/// The share of the connections that is cut at once where places are short: finding the oldest takes a look at all.
const CUT_SHARE: usize = 64;

impl Connections {
    /// At most `open_max` connections at one time.
    pub(super) fn new(open_max: usize, waits: Waits) -> Arc<Self> {
        Arc::new(Connections {
            open_max,
            waits,
            epoch: Instant::now(),
            turn: AtomicU64::new(0),
            open: Mutex::default(),
            wanted: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// Gives a new connection its place, and cuts others for it if it must. Waits while every connection is being
    /// served. Cancel-safe.
    pub(super) async fn admit(self: &Arc<Self>) -> Connection {
        if let Some(connection) = self.try_open() {
            return connection;
        }
        let _wanted = Wanted::new(&self.wanted);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(connection) = self.try_open() {
                return connection;
            }
            self.cut_oldest();
            changed.await;
        }
    }

    /// Cuts the connections that have waited longest, if any waits.
    pub(super) fn cut_oldest(&self) {
        let open = self.open.lock();
        let mut waiting: Vec<(u64, &Arc<State>)> = open
            .values()
            .filter(|state| state.serving.load(Ordering::Acquire) == 0)
            .map(|state| (state.waits_since.load(Ordering::Relaxed), state))
            .collect();
        let count = (self.open_max / CUT_SHARE).clamp(1, waiting.len().max(1));
        if waiting.len() > count {
            waiting.select_nth_unstable_by_key(count - 1, |(turn, _)| *turn);
        }
        waiting.iter().take(count).for_each(|(_, state)| {
            state.cut_now();
        });
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open.lock().len()
    }

    fn try_open(self: &Arc<Self>) -> Option<Connection> {
        let mut open = self.open.lock();
        if open.len() >= self.open_max {
            return None;
        }
        let id = self.turn.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            serving: AtomicU32::new(0),
            waits_since: AtomicU64::new(id),
            waits_until_ms: AtomicU64::new(self.ms_after(self.waits.head)),
            cut: Notify::new(),
        });
        open.insert(id, state.clone());
        Some(Connection { all: self.clone(), state, id })
    }

    fn ms_after(&self, wait: Duration) -> u64 {
        u64::try_from((self.epoch.elapsed() + wait).as_millis()).unwrap_or(u64::MAX)
    }

    fn tell(&self) {
        if self.wanted.load(Ordering::Acquire) > 0 {
            self.changed.notify_waiters();
        }
    }
}

impl Connection {
    /// A request has come. None where the connection was cut in this very moment.
    pub(super) fn serve(&self) -> Option<Serving<'_>> {
        let one_more = |serving| if serving == CUT { None } else { Some(serving + 1) };
        let begun = self.state.serving.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        begun.ok().map(|_| Serving(self))
    }

    /// Returns when this connection is to be closed, because it has waited too long or its place is needed.
    pub(super) async fn cut(&self) {
        loop {
            let until = Duration::from_millis(self.state.waits_until_ms.load(Ordering::Relaxed));
            let until = self.all.epoch + until;
            tokio::select! {
                () = self.state.cut.notified() => return,
                () = sleep_until(until) => {}
            }
            let until_ms = self.state.waits_until_ms.load(Ordering::Relaxed);
            let is_over = self.all.epoch.elapsed().as_millis() >= u128::from(until_ms);
            if is_over && self.state.cut_now() {
                return;
            }
            if is_over {
                // A request is being served: its end begins a new wait.
                self.state.waits_until_ms.store(self.all.ms_after(self.all.waits.next), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open.lock().remove(&self.id);
        self.all.tell();
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let (all, state) = (&self.0.all, &self.0.state);
        state.waits_since.store(all.turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        state.waits_until_ms.store(all.ms_after(all.waits.next), Ordering::Relaxed);
        if state.serving.fetch_sub(1, Ordering::AcqRel) == 1 {
            all.tell();
        }
    }
}

impl State {
    /// Cuts the connection if it waits.
    fn cut_now(&self) -> bool {
        let cut = self.serving.compare_exchange(0, CUT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if cut {
            self.cut.notify_one();
        }
        cut
    }
}

/// Counts a listener as waiting for a place.
struct Wanted<'a>(&'a AtomicUsize);

impl<'a> Wanted<'a> {
    fn new(wanted: &'a AtomicUsize) -> Self {
        wanted.fetch_add(1, Ordering::AcqRel);
        Wanted(wanted)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
