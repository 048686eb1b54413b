//! What outlives the process: keys, rows, roll-ups and sums, behind one trait. The only door to sled.
//!
//! A store keeps and merges values; it does not decide what they mean. Every value carries the version of its
//! schema, and a version this build does not know is an error, never a guess. Holds no secret in clear: keys arrive
//! here as keyed hashes.
//!
//! - Invariant: a batch is stored whole, with the journal position it was read to, or not at all.

mod backup;
mod blocks;
mod hour_files;
mod key;
mod pending;
mod record;
mod restore;
mod rollup;
mod row_files;
mod rows;
mod schema;
mod sled_store;
mod snapshots;
mod state;
mod sums;
#[cfg(test)]
mod tests;
mod value;
mod wait;

pub use backup::{Loaded, dump};
pub use key::{KeyChange, KeyEntry, Origin};
pub use record::Record;
pub use restore::load;
pub use rollup::{Charge, Dimension, Rollup, RollupKey, Sums};
pub use sled_store::{SledStore, is_in_use};

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// What went wrong between the process and its store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{}` is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("`{}` cannot be opened", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{what} has schema version {found}, this build reads version {known}: load a dump made by the build that wrote it"
    )]
    Schema { what: &'static str, found: u8, known: u8 },
    #[error("{what} cannot be read")]
    Broken { what: &'static str },
    #[error("the batch begins at {from}, the store is at {at}")]
    OutOfOrder { from: Position, at: Position },
    #[error("the store holds data already")]
    NotEmpty,
    #[error("line {line} of the dump cannot be read: {reason}")]
    Dump { line: u64, reason: String },
    #[error("the dump cannot be moved")]
    Stream(#[source] io::Error),
    #[error(
        "the disk of `{}` is full, and what the last process left there could not be taken over: free some space and \
         start again; nothing is lost, and revoked keys stay revoked", path.display()
    )]
    DiskFull { path: PathBuf },
    #[error("the clock of this machine reads a time before 1970, and the store cannot be opened: set the clock")]
    ClockUnset,
    #[error("the store is closed until it can be opened again")]
    Closed,
    #[error("`{}` was removed or replaced while the store was open", path.display())]
    Moved { path: PathBuf },
    #[error("the store failed: {0}")]
    Tree(#[from] sled::Error),
}

/// How far the journal has been taken over: everything before it is in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub segment: u64,
    /// Bytes into the segment.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory for pages of the tree. sled takes it for a hint: under load it keeps some ten megabytes more.
    pub cache_bytes: u64,
    /// Bytes that the tree may log before a start is held to be slow: see [`Store::opens_slowly`].
    pub logged_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { cache_bytes: 4 << 20, logged_bytes_max: 16 << 20 }
    }
}

/// What is stored at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Where the store must stand for the batch to apply.
    pub from: Position,
    /// Where it stands afterwards. A store already there has the batch, and ignores it.
    pub to: Position,
    /// New rows, in the order they ended.
    pub rows: Vec<Record>,
    /// Changes of the table of keys, in the order they were made.
    pub keys: Vec<KeyChange>,
    /// Named values to set.
    pub metas: Vec<(String, Vec<u8>)>,
    /// Of hours; merged into what is stored.
    pub rollups: Vec<(RollupKey, Rollup)>,
    /// By key id, merged into what is stored.
    pub sums: Vec<(String, Sums)>,
}

/// Where a listing of rows goes on: at the row before the one of this number. Opaque; printed and parsed so that it
/// can travel in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cursor, Error> {
        u64::from_str_radix(text, 16).map(Cursor).map_err(|_| Error::Broken { what: "the cursor" })
    }
}

/// Rows, newest first.
#[derive(Debug, Default)]
pub struct Page {
    pub records: Vec<Record>,
    /// `None` when nothing older is left in the range. A page may be short, even empty, and still have a next one:
    /// one listing reads a bounded number of blocks.
    pub next: Option<Cursor>,
}

/// A visit to each stored item. An error from the visitor ends the walk and is passed on.
pub type Visit<'a, T> = &'a mut dyn FnMut(T) -> Result<(), Error>;

/// What outlives the process.
pub trait Store: Send + Sync {
    /// Every virtual key, in the order of their ids.
    fn keys(&self) -> Result<Vec<KeyEntry>, Error>;

    /// Takes a batch in, whole or not at all: reads see it at once, and it is durable after the next
    /// [`Store::flush`]. A store flushes by itself as often as its memory asks for it.
    fn append(&self, batch: &Batch) -> Result<(), Error>;
    /// How far the journal was taken in.
    fn position(&self) -> Result<Position, Error>;
    /// What each key has used, by key id.
    fn sums(&self) -> Result<Vec<(String, Sums)>, Error>;
    /// Roll-ups of a range of hours since 1970, mostly in the order of time. One hour of one name may come in parts,
    /// which add up.
    fn rollups(&self, dimension: Dimension, hours: Range<u32>, visit: Visit<(RollupKey, Rollup)>) -> Result<(), Error>;
    /// The roll-ups of a range of hours since 1970, merged by name. Reads the sums of long periods where they fit.
    fn totals(&self, dimension: Dimension, hours: Range<u32>) -> Result<BTreeMap<String, Rollup>, Error>;

    /// Rows begun in `from_ms..to_ms`, newest first, at most `limit`.
    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, Error>;
    /// Every row, oldest first.
    fn each_record(&self, visit: Visit<Record>) -> Result<(), Error>;
    /// When the admitted calls of each key began, by key id, since a moment.
    fn admitted_since(&self, from_ms: u64) -> Result<HashMap<String, Vec<u64>>, Error>;
    /// Which of these calls have a row. One walk for all of them, back to the oldest: its id says how far, where it is a
    /// ULID behind `req_`; any other costs a walk over all rows.
    fn have_rows<'i>(&self, request_ids: &[&'i str]) -> Result<HashSet<&'i str>, Error>;
    /// Removes rows that ended before `before_ms`, a file at a time: a row goes with the last row of its UTC day, and
    /// one that ended in another age, before clocks are ever set to or as far after `now_ms` as `before_ms` lies before
    /// it, with those that were written after it.
    /// At most `files_max` files; roll-ups stay. Returns the number of files removed.
    fn prune(&self, before_ms: u64, now_ms: u64, files_max: usize) -> Result<usize, Error>;

    /// A named value of another room.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Sets a named value. Durable after the next [`Store::flush`].
    fn put_meta(&self, name: &str, value: &[u8]) -> Result<(), Error>;
    /// Every named value.
    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// Makes everything durable. Takes a disk flush.
    fn flush(&self) -> Result<(), Error>;
    /// Closes the store and opens it again: the cure of one that has failed, and the way to a short start. What was
    /// not flushed may be gone: ask for the [`Store::position`] afterwards.
    ///
    /// # Errors
    /// What stands in the way; the store is closed until a later call succeeds.
    fn reopen(&self) -> Result<(), Error>;
    /// Whether the next start would take long, so that it is worth to [`Store::reopen`] it now.
    fn opens_slowly(&self) -> bool;
    /// Bytes on disk, as of the last change of them. Never waits.
    fn size_bytes(&self) -> u64;
}

/// [`Error::DiskFull`] where a full disk is behind an error that was met in `path`.
pub(crate) fn full_disk_behind(error: &(dyn std::error::Error + 'static), path: &Path) -> Option<Error> {
    let is_full = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        // The tree tells the system's error as text alone.
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || error.to_string().contains("os error 28")
    };
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(is_full).then(|| Error::DiskFull { path: path.to_owned() })
}
