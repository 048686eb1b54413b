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

mod changes;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
mod horizon;
mod keys;
mod mapped;
mod opened;
mod reader;
mod search;
mod segments;
mod shared;
mod slots;
mod taker;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use handle::{Journal, OpenCall};
pub use keys::{KeyError, Revoked};
pub use opened::{Attempt, CutCall, Opened};

use std::{io, path::PathBuf, sync::Arc};

use crate::store::{self, Batch, Record};

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
    /// Keys that there may be, revoked ones among them.
    pub keys_max: usize,
    /// Most rows in one batch to the store.
    pub batch_rows_max: usize,
    /// How often the journal is taken over. An idle one does nothing but look.
    pub interval_ms: u64,
    /// How often the journal is flushed, if it was written to: what a machine that loses its power may forget.
    pub flush_interval_ms: u64,
    /// The longest time until rows that were taken over are packed and written. The journal keeps them as long; the
    /// more there are at once, the smaller they become.
    pub store_interval_ms: u64,
    /// Rows older than this are removed; `None` keeps them for ever.
    pub retention_days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: 1 << 20,
            calls_max: 10_000,
            keys_max: 1_000_000,
            batch_rows_max: 256,
            interval_ms: 50,
            flush_interval_ms: 1_000,
            store_interval_ms: 60_000,
            retention_days: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full or fails, or as many calls are open as may be.
    #[error("the journal has no room for a further call ({0})")]
    NoRoom(io::ErrorKind),
    /// Calls are taken as long as the segments that are there have room.
    #[error("the disk has no room for the journal's next segment ({0})")]
    NoSegment(io::ErrorKind),
    #[error("the journal `{}` cannot be used", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the journal has an entry of kind {kind}, which this build does not know: start the build that wrote it once"
    )]
    Foreign { kind: u8 },
    #[error("the thread of the journal ended early")]
    Ended,
    #[error("the store failed in a way that its library does not handle; it is opened again")]
    Panicked,
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

impl Recovered {
    /// Whether the last process left nothing, as one that ended well.
    pub fn is_nothing(&self) -> bool {
        let Recovered { rows_replayed, calls_crashed, bytes_damaged } = *self;
        rows_replayed == 0 && calls_crashed == 0 && bytes_damaged == 0
    }
}

/// What is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// In the journal and not yet in the store.
    pub rows: u64,
    /// In the journal and not yet in the store.
    pub bytes: u64,
    /// What the journal takes on the disk: its segments, those that are ready ahead among them, and the table of open
    /// calls.
    pub allocated_bytes: u64,
    /// Rows that found no room, since the start of the process. Their calls were answered with an error.
    pub rows_lost: u64,
    /// Rounds in which the store or the disk failed the journal's thread, since the start of the process.
    pub failures: u64,
}
