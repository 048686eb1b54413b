//! All of the above, assembled.
//!
//! State has three lifetimes: the [`Snapshot`], immutable and swapped whole; the directory of principals and the limiter,
//! in memory; the store, on disk. A call keeps the snapshot it began with. Serves no request by itself.

mod ids;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;

use crate::{
    call,
    journal::{Clock, KeyError, ReadClock, Revoked},
    ledger::{CallTicket, Ledger},
    limit::{self, Limiter},
    metrics::{self, Metrics},
    plugin::{Registry, Tokenize},
    principal::{self, Directory, Key, Pattern},
    secret::KeyHasher,
    snapshot::Snapshot,
    store::{KeyEntry, Record, Store},
    upstream::Connector,
    usage::{Counter, Slack},
};

pub use self::ids::Ids;

/// What bounds a call.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub call: call::Bounds,
    /// A request's body.
    pub body_bytes_max: usize,
    /// A whole answer.
    pub answer_bytes_max: usize,
    /// One event of a stream.
    pub frame_bytes_max: usize,
    /// Calls in flight.
    pub calls_max: u64,
    /// Prompts that are counted at one time before their calls are admitted.
    pub counting_max: usize,
    /// What providers may report beyond what a call explains.
    pub usage_slack: Slack,
}

/// The gateway's tokenizers, for plugins that were granted them.
pub struct Tokenizer(pub Arc<Counter>);

impl Tokenize for Tokenizer {
    fn count(&self, model: &str, text: &str) -> Option<u32> {
        u32::try_from(self.0.count(model, text)).ok()
    }
}

/// A row could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

/// The gateway of one process.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// Held while a key changes, so that store and directory change in one order.
    changing: Mutex<()>,
    pub directory: Directory,
    pub limiter: Arc<Limiter>,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    pub connector: Connector,
    counter: Arc<Counter>,
    /// When tokens were last counted, in Unix milliseconds; 0 since the tables were given back.
    counted_ms: AtomicU64,
    pub registry: Arc<Registry>,
    hasher: KeyHasher,
    pub bounds: Bounds,
    /// A permit for each prompt that may be counted at one time.
    pub counting: Semaphore,
    ids: Ids,
    clock: ReadClock,
    draining: AtomicBool,
    in_flight: Arc<AtomicU64>,
}

/// What a gateway is made of.
pub struct GatewayParts {
    pub snapshot: Snapshot,
    pub directory: Directory,
    pub limiter: Arc<Limiter>,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    pub connector: Connector,
    pub counter: Arc<Counter>,
    pub registry: Arc<Registry>,
    pub hasher: KeyHasher,
    pub bounds: Bounds,
    pub ids: Ids,
    pub clock: ReadClock,
}

/// A call in flight; no longer so when dropped.
pub struct InFlight {
    _counted: metrics::InFlight,
    in_flight: Arc<AtomicU64>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    pub fn new(made: GatewayParts) -> Gateway {
        let GatewayParts {
            snapshot,
            directory,
            limiter,
            ledger,
            store,
            metrics,
            connector,
            counter,
            registry,
            hasher,
            bounds,
            ids,
            clock,
        } = made;
        Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            changing: Mutex::new(()),
            directory,
            limiter,
            ledger,
            store,
            metrics,
            connector,
            counter,
            counted_ms: AtomicU64::new(0),
            registry,
            hasher,
            counting: Semaphore::new(bounds.counting_max),
            bounds,
            ids,
            clock,
            draining: AtomicBool::new(false),
            in_flight: Arc::default(),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Adds a key, durably; the next call may use it.
    ///
    /// # Errors
    /// Those of [`crate::journal::Journal::create_key`], and then nothing has changed.
    pub fn create_key(&self, entry: KeyEntry) -> Result<Arc<KeyEntry>, KeyError> {
        let _changing = self.changing.lock();
        let entry = self.ledger.journal().create_key(entry)?;
        self.directory.put(key(&entry, &self.limiter));
        Ok(entry)
    }

    /// Revokes the key of this id, or every active key of this name: the next call with it is refused, also where
    /// the disk takes nothing.
    ///
    /// # Errors
    /// Those of [`crate::journal::Journal::revoke_keys`].
    pub fn revoke_keys(&self, wanted: &str) -> Result<Revoked, KeyError> {
        let _changing = self.changing.lock();
        let revoked = self.ledger.journal().revoke_keys(wanted, self.now_ms())?;
        revoked.keys.iter().for_each(|entry| self.directory.put(key(entry, &self.limiter)));
        Ok(revoked)
    }

    /// The keyed hash under which the directory knows a client's key.
    pub fn hash_key(&self, key: &[u8]) -> [u8; 32] {
        self.hasher.hash(key).0
    }

    /// A fresh id, unique and in the order of time.
    pub fn request_id(&self, now_ms: u64) -> String {
        self.ids.next(now_ms)
    }

    /// Counts a call as in flight until the guard is dropped.
    pub fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight { _counted: self.metrics.enter(), in_flight: self.in_flight.clone() }
    }

    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// No call that begins from now on is served.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether calls are taken.
    ///
    /// # Errors
    /// Why not, in a line.
    pub fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Acquire) {
            return Err("stopping\n");
        }
        if self.ledger.journal().refuses().is_some() {
            return Err("the disk takes no further row\n");
        }
        Ok(())
    }

    /// What is wrong although calls are taken, in a line: nothing is lost by it, and it may pass by itself.
    pub fn warning(&self) -> Option<String> {
        self.ledger.journal().failure().map(|failure| format!("rows wait in the journal: {failure}\n"))
    }

    /// Writes a call's row.
    ///
    /// # Errors
    /// [`Lost`] where the row is gone: only a call that was not opened finds no room.
    pub fn record(&self, ticket: Option<CallTicket>, record: Record) -> Result<(), Lost> {
        self.ledger.record(ticket, record).map_err(|error| {
            tracing::error!(%error, "a row is lost");
            self.metrics.row_lost();
            Lost
        })
    }

    /// The tokenizers. Their tables are large, and kept only while they are used.
    pub fn counter(&self) -> Arc<Counter> {
        self.counted_ms.store(self.now_ms(), Ordering::Relaxed);
        self.counter.clone()
    }

    /// What is done every second: gauges are set, and tables that nobody counts with are given back.
    pub fn tick(&self) {
        let counted_ms = self.counted_ms.load(Ordering::Relaxed);
        if counted_ms > 0 && self.now_ms().saturating_sub(counted_ms) > COUNTER_KEPT_MS {
            self.counter.forget();
            self.counted_ms.store(0, Ordering::Relaxed);
        }
        let lag = self.ledger.lag();
        self.metrics.set_ledger(lag.rows, lag.allocated_bytes);
        if let Ok(bytes) = self.store.size_bytes() {
            self.metrics.set_store_bytes(bytes);
        }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// What the limiter reads its windows from.
    pub fn time(&self) -> limit::Time {
        limit::Time { unix_ms: self.now_ms(), ..time() }
    }
}

/// How long the tokenizers' tables are kept after they were last used.
const COUNTER_KEPT_MS: u64 = 60_000;

/// The clocks of the machine, for the journal.
pub fn clock() -> Clock {
    let started = Instant::now();
    let steady_ms = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Clock { wall_ms: Arc::new(now_ms), steady_ms: Arc::new(steady_ms) }
}

/// The wall clock. Rooms are given its value; only the gateway and the server read it.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The directory of all keys that the journal knows.
pub fn directory(entries: &[Arc<KeyEntry>], limiter: &Limiter) -> Directory {
    entries.iter().map(|entry| key(entry, limiter)).collect()
}

/// A stored key as calls find it. A pattern that does not parse matches nothing.
fn key(entry: &KeyEntry, limiter: &Limiter) -> Key {
    Key {
        id: entry.id.clone(),
        hash: entry.hash,
        name: entry.name.clone(),
        user: entry.user.clone(),
        models: entry.models.iter().filter_map(|text| Pattern::parse(text).ok()).collect(),
        expires_ms: entry.expires_ms,
        revoked: entry.revoked_ms.is_some(),
        account: principal::Account { caps: entry.caps.clone(), spending: limiter.account(&entry.id) },
    }
}

/// The wall clock, and one that never steps.
pub fn time() -> limit::Time {
    let since = clock_gettime(ClockId::Monotonic);
    let monotonic_ms = since.tv_sec as u64 * 1000 + since.tv_nsec as u64 / 1_000_000;
    limit::Time { unix_ms: now_ms(), monotonic_ms }
}
