//! All of the above, assembled.
//!
//! State has three lifetimes: the [`Snapshot`], immutable and swapped whole; the limiter, in memory; the store, on disk.
//! A call keeps the snapshot it began with. Serves no request by itself.

mod control;
mod ids;
mod snapshot;

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
    auth, call,
    ledger::Ledger,
    limit::{self, Caps, Limiter},
    metrics::{self, Metrics},
    plugin::{Adapter, Renderer},
    route,
    secret::{KeyHasher, Redactor},
    store::Store,
    upstream::{Connector, Provider},
    usage::{Counter, Price},
};

pub use self::{
    ids::Ids,
    snapshot::{Faulty, Parts, build},
};

/// What a key is to the limiter.
#[derive(Debug)]
pub struct Account {
    pub caps: Caps,
    /// The windows and holds, so that a call need not look them up.
    pub spending: Arc<limit::Account>,
}

/// A client's key, as calls hold it.
pub type Key = auth::Key<Account>;

/// Everything that a call is decided by. Never changed, only replaced.
pub struct Snapshot {
    /// Counts the snapshots of this process.
    pub generation: u64,
    /// When this process first published one: what model lists call `created`. Unix seconds.
    pub created_s: u64,
    pub keys: auth::Keys<Account>,
    pub models: std::collections::HashMap<String, Arc<Model>>,
    pub templates: std::collections::HashMap<String, Template>,
    pub redactor: Redactor,
    /// Counts what was refused before it had a model.
    pub unknown_lane: Arc<metrics::Lane>,
}

/// A model with everything that serves it.
pub struct Model {
    pub route: route::Model,
    pub price: Option<Price>,
    /// One for each target of `route`, in its order.
    pub lanes: Vec<Lane>,
}

/// One target, resolved.
pub struct Lane {
    pub provider: Arc<Provider>,
    pub adapter: Adapter,
    pub upstream_model: String,
    /// The operator's settings for the adapter, a JSON object.
    pub config: Arc<str>,
    pub metrics: Arc<metrics::Lane>,
}

/// A prompt template with what renders it.
pub struct Template {
    pub renderer: Renderer,
    pub renderer_name: String,
    pub source: String,
    /// The role of the message that it becomes.
    pub role: &'static str,
}

impl Model {
    /// What model lists call `owned_by`.
    pub fn owner(&self) -> &str {
        self.lanes.first().map_or("tollgate", |lane| &lane.provider.name)
    }
}

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
    /// Attempts at all targets together.
    pub attempts_max: u32,
}

/// The gateway of one process.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// What snapshots are made from; held while one is made, so that changes come one after the other.
    parts: Mutex<Parts>,
    pub limiter: Arc<Limiter>,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    pub connector: Connector,
    pub counter: Arc<Counter>,
    hasher: KeyHasher,
    pub bounds: Bounds,
    ids: Ids,
    draining: AtomicBool,
    in_flight: Arc<AtomicU64>,
}

/// What a gateway is made of.
pub struct Made {
    pub parts: Parts,
    pub snapshot: Snapshot,
    pub limiter: Arc<Limiter>,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    pub connector: Connector,
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
    pub fn new(made: Made) -> Gateway {
        let Made { parts, snapshot, limiter, ledger, store, metrics, connector, hasher, bounds, ids } = made;
        Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            parts: Mutex::new(parts),
            limiter,
            ledger,
            store,
            metrics,
            connector,
            counter: Arc::new(Counter::new()),
            hasher,
            bounds,
            ids,
            draining: AtomicBool::new(false),
            in_flight: Arc::default(),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
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
        if !self.ledger.is_healthy() {
            return Err("the ledger cannot be written\n");
        }
        Ok(())
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// The wall clock. Rooms are given its value; only the gateway and the server read it.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
