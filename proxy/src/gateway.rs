//! All of the above, assembled.
//!
//! State has three lifetimes: the [`Snapshot`], immutable and swapped whole; the limiter, in memory; the store, on disk.
//! A call keeps the snapshot it began with. Serves no request by itself.

mod ids;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::{
    call,
    ledger::{self, CallTicket, Ledger},
    limit::Limiter,
    metrics::{self, Metrics},
    plugin::{Registry, Tokenize},
    secret::KeyHasher,
    snapshot::{Snapshot, keys},
    store::{self, KeyEntry, Record, Store},
    upstream::Connector,
    usage::Counter,
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
    /// Held while a snapshot is made, so that changes come one after the other.
    changing: Mutex<()>,
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
    ids: Ids,
    draining: AtomicBool,
    /// A row was lost, and the ledger has not caught up since.
    degraded: AtomicBool,
    in_flight: Arc<AtomicU64>,
}

/// What a gateway is made of.
pub struct GatewayParts {
    pub snapshot: Snapshot,
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
        } = made;
        Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            changing: Mutex::new(()),
            limiter,
            ledger,
            store,
            metrics,
            connector,
            counter,
            counted_ms: AtomicU64::new(0),
            registry,
            hasher,
            bounds,
            ids,
            draining: AtomicBool::new(false),
            degraded: AtomicBool::new(false),
            in_flight: Arc::default(),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Adds or replaces a key, durably; the next call sees it.
    ///
    /// # Errors
    /// The store's, and then nothing has changed.
    pub fn put_key(&self, entry: &KeyEntry) -> Result<(), store::Error> {
        let _changing = self.changing.lock();
        self.store.put_key(entry)?;
        self.publish_keys()
    }

    fn publish_keys(&self) -> Result<(), store::Error> {
        let keys = keys(&self.store.keys()?, &self.limiter);
        let old = self.snapshot();
        self.snapshot.store(Arc::new(Snapshot {
            generation: old.generation + 1,
            created_s: old.created_s,
            keys,
            serving: old.serving.clone(),
            unknown_target: old.unknown_target.clone(),
        }));
        Ok(())
    }

    /// The keyed hash under which the snapshot knows a client's key.
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
        if self.degraded.load(Ordering::Acquire) {
            return Err("the ledger cannot be written\n");
        }
        Ok(())
    }

    /// Writes a call's row. Until rows can be kept again, no further call is taken.
    ///
    /// # Errors
    /// [`Lost`] where the row is gone.
    pub fn record(&self, ticket: Option<CallTicket>, record: Record) -> Result<(), Lost> {
        match self.ledger.record(ticket, record) {
            Ok(()) => Ok(()),
            // It is written as soon as the disk takes it.
            Err(ledger::Error::Deferred(_)) => {
                self.metrics.spool_failed();
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a row is lost");
                self.metrics.spool_failed();
                self.degraded.store(true, Ordering::Release);
                Err(Lost)
            }
        }
    }

    /// The tokenizers. Their tables are large, and kept only while they are used.
    pub fn counter(&self) -> Arc<Counter> {
        self.counted_ms.store(self.now_ms(), Ordering::Relaxed);
        self.counter.clone()
    }

    /// What is done every second: gauges are set, a ledger that has caught up is trusted again, and tables that
    /// nobody counts with are given back.
    pub fn tick(&self) {
        let counted_ms = self.counted_ms.load(Ordering::Relaxed);
        if counted_ms > 0 && self.now_ms().saturating_sub(counted_ms) > COUNTER_KEPT_MS {
            self.counter.forget();
            self.counted_ms.store(0, Ordering::Relaxed);
        }
        let lag = self.ledger.lag();
        self.metrics.set_ledger(lag.rows, lag.bytes);
        if let Ok(bytes) = self.store.size_bytes() {
            self.metrics.set_store_bytes(bytes);
        }
        if lag.rows_deferred == 0 {
            self.degraded.store(false, Ordering::Release);
        }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// How long the tokenizers' tables are kept after they were last used.
const COUNTER_KEPT_MS: u64 = 60_000;

/// The wall clock. Rooms are given its value; only the gateway and the server read it.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
