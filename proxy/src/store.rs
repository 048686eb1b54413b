//! What outlives the process: keys, rows, roll-ups and sums, behind one trait. The only door to sled.
//!
//! A store keeps and merges values; it does not decide what they mean. Every value carries the version of its
//! schema, and a version this build does not know is an error, never a guess. Holds no secret in clear: keys arrive
//! here as keyed hashes.
//!
//! - Invariant: a batch is stored whole, with the journal position it was read to, or not at all.

mod block;
mod dump;
mod key;
mod record;
mod rollup;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub use dump::{Loaded, dump, load};
pub use key::{KeyChange, KeyEntry, Origin};
pub use record::Record;
pub use rollup::{Charge, Dimension, Rollup, RollupKey, Sums};
pub use tree::{Settings, SledStore};

use std::{collections::BTreeMap, fmt, io, ops::Range, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// Most keys a store takes.
pub const KEYS_MAX: usize = 1_000_000;

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
    #[error("the store takes no more than {KEYS_MAX} keys")]
    Full,
    #[error("the store holds data already")]
    NotEmpty,
    #[error("line {line} of the dump cannot be read: {reason}")]
    Dump { line: u64, reason: String },
    #[error("the dump cannot be moved")]
    Stream(#[source] io::Error),
    #[error("the store is closed until it can be opened again")]
    Closed,
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
    /// Merged into what is stored, and into the sums of longer periods.
    pub rollups: Vec<(RollupKey, Rollup)>,
    /// By key id, merged into what is stored.
    pub sums: Vec<(String, Sums)>,
}

/// Where a listing of rows goes on. Opaque; printed and parsed so that it can travel in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    block_ms: u64,
    sequence: u64,
    /// Rows of the block that are still to be listed.
    rows: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.block_ms, self.sequence, self.rows)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cursor, Error> {
        let broken = || Error::Broken { what: "the cursor" };
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).map_err(|_| broken()));
        let mut next = || parts.next().ok_or_else(broken)?;
        let (block_ms, sequence, rows) = (next()?, next()?, next()?);
        Ok(Cursor { block_ms, sequence, rows: u32::try_from(rows).map_err(|_| broken())? })
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

    /// Stores a batch whole. Durable after the next [`Store::flush`].
    fn append(&self, batch: &Batch) -> Result<(), Error>;
    /// How far the journal is stored.
    fn position(&self) -> Result<Position, Error>;
    /// What each key has used, by key id.
    fn sums(&self) -> Result<Vec<(String, Sums)>, Error>;
    /// Roll-ups of a range of hours since 1970, hour by hour: one name after the other, each in the order of time.
    fn rollups(&self, dimension: Dimension, hours: Range<u32>, visit: Visit<(RollupKey, Rollup)>) -> Result<(), Error>;
    /// The roll-ups of a range of hours since 1970, merged by name. Reads the sums of long periods where they fit.
    fn totals(&self, dimension: Dimension, hours: Range<u32>) -> Result<BTreeMap<String, Rollup>, Error>;

    /// Rows begun in `from_ms..to_ms`, newest first, at most `limit`.
    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, Error>;
    /// Every row, oldest first.
    fn each_record(&self, visit: Visit<Record>) -> Result<(), Error>;
    /// The row of a call. Quick for ids that are ULIDs behind `req_`; any other costs a walk over all rows.
    fn find(&self, request_id: &str) -> Result<Option<Record>, Error>;
    /// Removes rows that ended before `before_ms`, at most `blocks_max` blocks of them; roll-ups stay. Returns the
    /// number of blocks removed.
    fn prune(&self, before_ms: u64, blocks_max: usize) -> Result<usize, Error>;

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
    /// Bytes on disk.
    fn size_bytes(&self) -> Result<u64, Error>;
}
