//! All of the above, assembled.
//!
//! State has three lifetimes: the [`Snapshot`], immutable and swapped whole; the directory of principals and the limiter,
//! in memory; the store, on disk. A call keeps the snapshot it began with. Serves no request by itself.

mod counting;
mod ids;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
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

pub use self::{
    counting::{Counting, CountingPlace},
    ids::Ids,
};

/// What bounds a call.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub call: call::Bounds,
    /// A whole answer.
    pub answer_bytes_max: usize,
    /// All whole answers that are held at one time.
    pub answers_bytes_max: usize,
    /// One event of a stream.
    pub frame_bytes_max: usize,
    /// Calls in flight.
    pub calls_max: u64,
    /// Prompts that are counted at one time before their calls are admitted, and as many answers after.
    pub counting_max: usize,
    /// Large bodies and answers that are read at one time.
    pub large_scans_max: usize,
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
pub struct RecordError;

/// Why no calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadyError {
    #[error("stopping")]
    Draining,
    #[error("the disk takes no further row")]
    DiskFull,
    #[error("the data directory was removed or replaced: put it back, or restart the gateway")]
    DataGone,
}

/// The gateway of one process.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    pub directory: Directory,
    pub limiter: Arc<Limiter>,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub metrics: Arc<Metrics>,
    pub connector: Connector,
    counter: Arc<Counter>,
    pub registry: Arc<Registry>,
    hasher: KeyHasher,
    pub bounds: Bounds,
    /// Where prompts are counted before their calls are admitted.
    pub counting: Arc<Counting>,
    /// A permit for each answer that may be counted at one time.
    pub settling: Arc<Semaphore>,
    /// A permit for each large body or answer that may be read at one time.
    pub large_scans: Semaphore,
    /// A permit for each KiB of whole answers that may be held at one time.
    pub answers: Arc<Semaphore>,
    /// This gateway's entry in `via`.
    pub via: String,
    ids: Ids,
    clock: ReadClock,
    draining: AtomicBool,
    /// The data directory is not the one that was opened.
    data_gone: AtomicBool,
    /// When a lost row was last logged, in Unix milliseconds.
    loss_logged_ms: AtomicU64,
    open: Arc<Open>,
}

/// How many requests are open.
#[derive(Default)]
struct Open {
    /// Those that are served.
    calls: AtomicU64,
    /// Those, and those whose clients have not been told to the end.
    requests: AtomicU64,
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

/// A call in flight, until it ends or is dropped.
pub struct InFlight {
    /// None once it has ended.
    counted: Option<metrics::InFlight>,
    open: Arc<Open>,
}

impl InFlight {
    /// The call is served no longer, and only to be told so. Its client may take long to send a body that nobody reads,
    /// and to take its answer: that keeps no other call out.
    pub fn end(&mut self) {
        if self.counted.take().is_some() {
            self.open.calls.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end();
        self.open.requests.fetch_sub(1, Ordering::AcqRel);
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
            directory,
            limiter,
            ledger,
            store,
            metrics,
            connector,
            counter,
            registry,
            hasher,
            counting: Counting::new(bounds.counting_max),
            settling: Arc::new(Semaphore::new(bounds.counting_max)),
            large_scans: Semaphore::new(bounds.large_scans_max),
            answers: Arc::new(Semaphore::new(bounds.answers_bytes_max.div_ceil(1024).min(Semaphore::MAX_PERMITS))),
            bounds,
            via: ids.via(),
            ids,
            clock,
            draining: AtomicBool::new(false),
            data_gone: AtomicBool::new(false),
            loss_logged_ms: AtomicU64::new(0),
            open: Arc::default(),
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
        self.ledger.journal().create_key(entry, |entry| self.directory.put(key(entry, &self.limiter)))
    }

    /// Revokes the key of this id, or every active key of this name: the next call with it is refused, also where
    /// the disk takes nothing or does not answer.
    ///
    /// # Errors
    /// Those of [`crate::journal::Journal::revoke_keys`].
    pub fn revoke_keys(&self, wanted: &str) -> Result<Revoked, KeyError> {
        let revoke = |entry: &Arc<KeyEntry>| self.directory.put(key(entry, &self.limiter));
        self.ledger.journal().revoke_keys(wanted, self.now_ms(), revoke)
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
        self.open.calls.fetch_add(1, Ordering::AcqRel);
        self.open.requests.fetch_add(1, Ordering::AcqRel);
        InFlight { counted: Some(self.metrics.enter()), open: self.open.clone() }
    }

    /// Calls that are served now.
    pub fn in_flight(&self) -> u64 {
        self.open.calls.load(Ordering::Acquire)
    }

    /// Requests that have not been answered to their end: the calls in flight, and those whose clients are still told.
    pub fn unanswered(&self) -> u64 {
        self.open.requests.load(Ordering::Acquire)
    }

    /// No call that begins from now on is served.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Notes whether the data directory is still the one that was opened: what is written to a removed one is lost.
    pub fn set_data_gone(&self, gone: bool) {
        let was_gone = self.data_gone.swap(gone, Ordering::AcqRel);
        match (was_gone, gone) {
            (false, true) => tracing::error!("calls are refused: {}", UnreadyError::DataGone),
            (true, false) => tracing::info!("the data directory is back, calls are taken again"),
            _ => {}
        }
    }

    /// Whether calls are taken.
    ///
    /// # Errors
    /// Why not.
    pub fn readiness(&self) -> Result<(), UnreadyError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(UnreadyError::Draining);
        }
        if self.data_gone.load(Ordering::Acquire) {
            return Err(UnreadyError::DataGone);
        }
        if self.ledger.journal().refuses().is_some() {
            return Err(UnreadyError::DiskFull);
        }
        Ok(())
    }

    /// What is wrong although calls are taken: nothing is lost by it, and it may pass by itself.
    pub fn warning(&self) -> Option<String> {
        self.ledger
            .journal()
            .failure()
            .map(|failure| format!("calls are taken, but the disk or the store fails: {failure}"))
    }

    /// Writes a call's row.
    ///
    /// # Errors
    /// [`RecordError`] where the row is gone: only a call that was not opened finds no room.
    pub fn record(&self, ticket: Option<CallTicket>, record: Record) -> Result<(), RecordError> {
        let written = self.ledger.record(ticket, record);
        if written.is_ok() && !self.data_gone.load(Ordering::Acquire) {
            return Ok(());
        }
        self.metrics.row_lost();
        // A full disk refuses every call, and its log may be on it.
        let now_ms = self.now_ms();
        if now_ms.abs_diff(self.loss_logged_ms.load(Ordering::Relaxed)) >= LOSS_LOGGED_EVERY_MS {
            self.loss_logged_ms.store(now_ms, Ordering::Relaxed);
            let cause = written.err().map_or_else(|| UnreadyError::DataGone.to_string(), |error| error.to_string());
            tracing::error!(cause, "rows are lost: see tollgate_ledger_rows_lost_total");
        }
        Err(RecordError)
    }

    /// The tokenizers. Their tables are large, and kept only while they are used.
    pub fn counter(&self) -> Arc<Counter> {
        self.counter.clone()
    }

    /// What is done every second: gauges are set, and tables that nobody counts with are given back.
    pub fn tick(&self) {
        self.counter.rest(self.now_ms());
        let lag = self.ledger.lag();
        self.metrics.set_ledger(lag.rows, lag.allocated_bytes);
        self.metrics.set_store_bytes(self.store.size_bytes());
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// What the limiter reads its windows from.
    pub fn time(&self) -> limit::Time {
        limit::Time { unix_ms: self.now_ms(), monotonic_ms: monotonic_ms() }
    }
}

/// Lost rows are logged at most this often.
const LOSS_LOGGED_EVERY_MS: u64 = 1_000;

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
    limit::Time { unix_ms: now_ms(), monotonic_ms: monotonic_ms() }
}

fn monotonic_ms() -> u64 {
    let since = clock_gettime(ClockId::Monotonic);
    since.tv_sec as u64 * 1000 + since.tv_nsec as u64 / 1_000_000
}
