//! What is remembered of a call: one row, however the call ends.
//!
//! A row is appended to a spool file with one write before the client's last byte, so the kernel has it whatever
//! becomes of the process. A thread of the ledger's own takes the spool over into the store, together with the
//! position it has read to, and removes a segment only once the store is flushed past it. Restarting is the same
//! walk from the stored position. No call waits for the store or for a disk flush.
//!
//! - Invariant: every opened call gets exactly one row: recorded, `aborted` when its ticket is dropped, `crashed`
//!   when the process dies before either and the call had lived long enough to be marked in the spool.
//! - Invariant: rows, roll-ups, sums and the spool position change in one batch.

mod fold;
mod frame;
mod writer;
mod reader;
mod shared;
mod spool;
#[cfg(test)]
mod tests;
mod ticket;

pub use fold::UNROUTED;
pub use ticket::CallTicket;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::Mutex;
use shared::Shared;
use writer::Writer;

use crate::{
    limit::Past,
    store::{self, Opened, Record, Store},
};

/// The class of a row whose call was cut short by the end of the process.
pub const CRASHED: &str = "crashed";
/// The class of a row whose call ended without saying how.
pub const ABORTED: &str = "aborted";

/// Reads the time, in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A segment of the spool is followed by a new one at this size.
    pub segment_bytes_max: u64,
    /// Most rows in one batch to the store.
    pub batch_rows_max: usize,
    /// How often the spool is taken over. An idle ledger does nothing but look.
    pub interval_ms: u64,
    /// How often the store is flushed, if it has changed.
    pub flush_interval_ms: u64,
    /// A call that lives longer than this is marked in the spool, so that a crash leaves a row of it.
    pub open_after_ms: u64,
    /// Rows kept in memory while the spool cannot be written.
    pub queue_bytes_max: usize,
    /// Rows older than this are removed; `None` keeps them for ever.
    pub retention_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes_max: 8 << 20,
            batch_rows_max: 1_024,
            interval_ms: 100,
            flush_interval_ms: 1_000,
            open_after_ms: 50,
            queue_bytes_max: 16 << 20,
            retention_days: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The row is kept in memory and written as soon as that works; it is lost if the process ends before.
    #[error("the spool cannot be written, the row waits in memory")]
    Deferred(#[source] io::Error),
    /// As much waits in memory as may; the row is gone.
    #[error("the spool cannot be written and the queue is full, the row is lost")]
    Lost(#[source] io::Error),
    #[error("the spool `{}` cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the spool has an entry of kind {kind}, which this build does not know: start the build that wrote it once"
    )]
    Foreign { kind: u8 },
    #[error("the thread of the ledger ended early")]
    Ended,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What was found on opening.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By key id, what the limiter must know. The requests are those of the last minute.
    pub accounts: Vec<(String, Past)>,
    /// Rows that were in the spool and not yet in the store.
    pub rows_replayed: u64,
    /// Calls that the end of the last process cut short.
    pub calls_crashed: u64,
    /// Bytes of the spool that made no sense: the torn tail of a crash, or a damaged disk.
    pub bytes_damaged: u64,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// In the spool and not yet in the store.
    pub rows: u64,
    /// In the spool and not yet in the store.
    pub bytes: u64,
    /// In memory because the spool cannot be written.
    pub rows_deferred: u64,
    /// Gone, since the start of the process.
    pub rows_lost: u64,
    /// Times the store or the spool failed the ledger's thread, since the start of the process.
    pub failures: u64,
}

/// The ledger. Dropping it drains it, as [`Ledger::shutdown`] does.
pub struct Ledger {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Ledger {
    /// Opens the spool in `dir`, takes over what a former process left there, and starts the ledger's thread.
    pub fn open(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        clock: Clock,
    ) -> Result<(Ledger, Recovered), Error> {
        let (writer, recovered) = Writer::recover(dir, store, settings, clock, Box::new(spool::create))?;
        let shared = writer.shared().clone();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        Ok((Ledger { shared, thread: Mutex::new(Some(thread)) }, recovered))
    }

    /// Begins a call whose hold was granted. The ticket must come back with the call's row.
    pub fn open_call(&self, opened: Opened) -> CallTicket {
        CallTicket::open(&self.shared, opened)
    }

    /// Writes the row of a call: with its ticket, or with `None` for a call that was refused before it was opened.
    /// Returns when the kernel has it.
    pub fn record(&self, ticket: impl Into<Option<CallTicket>>, mut record: Record) -> Result<(), Error> {
        let ticket = ticket.into();
        record.admitted = ticket.is_some();
        if let Some(ticket) = ticket {
            ticket.close();
        }
        self.shared.record(record)
    }

    /// What is on its way into the store.
    pub fn lag(&self) -> Lag {
        self.shared.lag()
    }

    /// Waits until every row recorded so far is in the store. Returns whether that came true within `timeout`.
    pub fn catch_up(&self, timeout: Duration) -> bool {
        self.shared.catch_up(timeout)
    }

    /// Takes everything over, flushes the store and ends the thread. Rows recorded afterwards wait in the spool for
    /// the next start.
    pub fn shutdown(&self) -> Result<(), Error> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        self.shared.stop();
        thread.join().unwrap_or(Err(Error::Ended))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown() {
            tracing::error!(%error, "the ledger was not drained, its spool is taken over at the next start");
        }
    }
}
