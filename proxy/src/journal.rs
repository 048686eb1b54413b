//! What everything durable goes through first: rows of calls, and changes of keys.
//!
//! The journal is a row of segments in mapped files that are allocated ahead: a row is a copy into memory that
//! outlives the process, and a full disk shows itself when the next segment is made, while calls can still be
//! refused. A thread of the journal's own takes the entries over into the store, together with the position it has
//! read to, and removes a segment only once the store is flushed past it. Restarting is the same walk from the stored
//! position. A store that fails is opened again; the journal waits. Never decides what a row means: whoever opens the
//! journal brings the [`RowRules`].
//!
//! - Invariant: a call that was opened has room for its row, and leaves one, also where the process dies.
//! - Invariant: rows, roll-ups, sums, keys and the journal's position change in one batch.
//! - Invariant: no call waits for the store or for a disk flush.

mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod horizon;
mod keys;
mod mapped;
mod opened;
mod reader;
mod segments;
mod shared;
mod slots;
mod taker;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use keys::{KeyError, Revoked};
pub use opened::{Attempt, CutCall, Opened};

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use shared::{Place, Shared};
use writer::Writer;

use crate::store::{self, Batch, KeyChange, KeyEntry, Record, Store};

/// Reads a time in milliseconds.
pub type ReadClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clocks of the machine.
#[derive(Clone)]
pub struct Clock {
    /// Unix milliseconds; may step.
    pub wall_ms: ReadClock,
    /// From any beginning; never steps.
    pub steady_ms: ReadClock,
}

/// What rows mean.
#[derive(Debug, Clone, Copy)]
pub struct RowRules {
    /// Adds the batch's rows up into its roll-ups and sums.
    pub add_up: fn(&mut Batch),
    /// The row of a call that the end of the process cut short.
    pub cut_short: fn(CutCall) -> Record,
}

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The length of a segment. Two more are allocated ahead.
    pub segment_bytes: usize,
    /// Calls that may be open at once.
    pub calls_max: u32,
    /// Most rows in one batch to the store.
    pub batch_rows_max: usize,
    /// How often the journal is taken over. An idle one does nothing but look.
    pub interval_ms: u64,
    /// How often the store is flushed, if it has changed.
    pub flush_interval_ms: u64,
    /// Rows taken over after which the store is opened anew when it rests, so that the next start is short.
    pub snapshot_rows: u64,
    /// Rows older than this are removed; `None` keeps them for ever.
    pub retention_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: 1 << 20,
            calls_max: 10_000,
            batch_rows_max: 256,
            interval_ms: 50,
            flush_interval_ms: 1_000,
            snapshot_rows: 50_000,
            retention_days: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full or fails, or as many calls are open as may be.
    #[error("the journal has no room for a further call ({0})")]
    NoRoom(io::ErrorKind),
    #[error("the journal `{}` cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the journal has an entry of kind {kind}, which this build does not know: start the build that wrote it once"
    )]
    Foreign { kind: u8 },
    #[error("the thread of the journal ended early")]
    Ended,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What was found on opening.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Rows that were in the journal and not yet in the store.
    pub rows_replayed: u64,
    /// Calls that the end of the last process cut short.
    pub calls_crashed: u64,
    /// Bytes of the journal that made no sense: the torn tail of a crash, or a damaged disk.
    pub bytes_damaged: u64,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// In the journal and not yet in the store.
    pub rows: u64,
    /// In the journal and not yet in the store.
    pub bytes: u64,
    /// What the journal's segments take on the disk, those that are ready ahead among them.
    pub allocated_bytes: u64,
    /// Rows that found no room, since the start of the process. Their calls were answered with an error.
    pub rows_lost: u64,
    /// Rounds in which the store or the disk failed the journal's thread, since the start of the process.
    pub failures: u64,
}

/// The journal. Dropping it drains it, as [`Journal::shutdown`] does.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

/// A call that is open. It must come back with its row, in [`Journal::close_call`].
#[derive(Debug)]
pub struct OpenCall(Place);

impl Journal {
    /// Opens the journal in `dir`, takes over what a former process left there, and starts the journal's thread.
    ///
    /// # Errors
    /// What stands in the way. Nothing is lost by it.
    pub fn open(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        rules: RowRules,
        clock: Clock,
    ) -> Result<(Journal, Recovered), Error> {
        let (writer, recovered) = Writer::recover(dir, store, settings, rules, clock, Arc::new(mapped::create))?;
        let shared = writer.shared().clone();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        Ok((Journal { shared, thread: Mutex::new(Some(thread)) }, recovered))
    }

    /// Begins a call: it leaves a row from here on, also where the process is killed.
    ///
    /// # Errors
    /// [`Error::NoRoom`]: the call must not be served.
    pub fn open_call(&self, opened: &mut Opened) -> Result<OpenCall, Error> {
        opened.clip(usize::MAX);
        self.shared.open(opened).map(OpenCall)
    }

    /// Notes where an open call is sent. To be called before it is.
    pub fn sent(&self, call: &OpenCall, attempt: &Attempt) {
        self.shared.sent(&call.0, attempt);
    }

    /// Writes the row of a call that was opened. The process may die once this has returned.
    ///
    /// # Errors
    /// None but for a defect: the room was set aside when the call was opened.
    pub fn close_call(&self, call: OpenCall, record: Record) -> Result<(), Error> {
        self.shared.record(Some(call.0), record)
    }

    /// Writes the row of a call that was refused before it was opened.
    ///
    /// # Errors
    /// [`Error::NoRoom`], and then there is no row.
    pub fn record(&self, record: Record) -> Result<(), Error> {
        self.shared.record(None, record)
    }

    /// Counts a request that is nobody's call, by the code of its refusal.
    pub fn count_refusal(&self, code: &'static str) {
        self.shared.count_refusal(code);
    }

    /// Every key, in the order of their ids.
    pub fn keys(&self) -> Vec<Arc<KeyEntry>> {
        self.shared.keys.lock().all()
    }

    /// Adds a key, durably.
    ///
    /// # Errors
    /// [`KeyError::Exists`] where an active key has the name; [`KeyError::Unwritten`] where the disk does not take
    /// it. Nothing has changed then.
    pub fn create_key(&self, entry: KeyEntry) -> Result<Arc<KeyEntry>, KeyError> {
        self.shared.create_key(entry)
    }

    /// Revokes the key of this id, or every active key of this name. A key that was revoked before stays as it is.
    ///
    /// # Errors
    /// [`KeyError::NotFound`]. A disk that fails is none: see [`Revoked::is_durable`].
    pub fn revoke_keys(&self, wanted: &str, now_ms: u64) -> Result<Revoked, KeyError> {
        self.shared.revoke_keys(wanted, now_ms)
    }

    /// Makes changes that an operator's configuration asks for: all of them, or none.
    ///
    /// # Errors
    /// [`KeyError::Unwritten`], and then nothing has changed.
    pub fn change_keys(&self, changes: &[KeyChange]) -> Result<(), KeyError> {
        self.shared.change_keys(changes)
    }

    /// What is on its way into the store.
    pub fn lag(&self) -> Lag {
        self.shared.lag()
    }

    /// Why no further call finds room, if none does.
    pub fn refuses(&self) -> Option<io::ErrorKind> {
        self.shared.refuses()
    }

    /// Why rows wait in the journal, if they do: what failed the journal's thread in its last round.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Waits until everything written so far is in the store. Returns whether that came true within `timeout`.
    pub fn catch_up(&self, timeout: Duration) -> bool {
        self.shared.catch_up(timeout)
    }

    /// Takes everything over, flushes the store and ends the thread. What is written afterwards waits in the journal
    /// for the next start.
    ///
    /// # Errors
    /// What the store said; then the journal is taken over at the next start.
    pub fn shutdown(&self) -> Result<(), Error> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        self.shared.stop();
        thread.join().unwrap_or(Err(Error::Ended))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::error!(%error, "the journal was not drained, it is taken over at the next start");
        }
    }
}
