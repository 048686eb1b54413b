//! The store in sled.
//!
//! All tables lie in one tree, told apart by the first byte of the key, because a batch is atomic within one tree.
//! There is one writer at a time. sled never flushes by itself here: the journal says when.
//!
//! sled 0.34 refuses every write after one that failed, and remembers where its log may be read from only when it is
//! opened. Both are cured by opening it again, so the tree stands behind a lock that is held while it is used.

mod rows;
mod schema;
mod snapshots;
mod sums;

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use serde::de::DeserializeOwned;

use super::{
    Batch, Cursor, Dimension, Error, KEYS_MAX, KeyChange, KeyEntry, Page, Position, Record, Rollup, RollupKey, Store,
    Sums, Visit,
    value::{self, Table},
};

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory for pages of the tree. sled takes it for a hint: under load it keeps some ten megabytes more.
    pub cache_bytes: u64,
    /// How long to wait for a process that is just ending to let go of the store.
    pub lock_wait_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { cache_bytes: 4 << 20, lock_wait_ms: 1_000 }
    }
}

/// Pause between two attempts at a lock.
const RETRY_MS: u64 = 5;

const POSITION: &[u8] = b"position";
const SPAN_MS: &[u8] = b"span_ms";

/// A [`Store`] in a directory that this process alone may use.
#[derive(Debug)]
pub struct SledStore {
    dir: PathBuf,
    settings: Settings,
    /// None while it could not be opened again.
    tree: RwLock<Option<sled::Db>>,
    /// Locked before `tree`.
    writer: Mutex<Writer>,
    /// Held, not read: the lock ends with the process, however that ends.
    _lock: File,
}

/// What the one writer knows without asking the tree.
#[derive(Debug, Clone, Copy)]
struct Writer {
    position: Position,
    keys: usize,
    rows: rows::Last,
}

impl SledStore {
    /// Opens the store, and makes it if it is not there. The directory becomes readable to its owner alone.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it; else what stands in the way.
    pub fn open(dir: &Path, settings: &Settings) -> Result<SledStore, Error> {
        let lock = lock(dir, settings.lock_wait_ms)?;
        let (tree, writer) = open_tree(dir, settings)?;
        Ok(SledStore {
            dir: dir.to_owned(),
            settings: settings.clone(),
            tree: RwLock::new(Some(tree)),
            writer: Mutex::new(writer),
            _lock: lock,
        })
    }

    /// Puts bytes where a later version may have put others.
    #[cfg(test)]
    pub(super) fn overwrite(&self, key: &[u8], bytes: &[u8]) {
        self.tree().unwrap().insert(key, bytes).unwrap();
    }

    /// The open tree. Recursive, because a visitor of one table may ask for another while somebody waits to reopen.
    fn tree(&self) -> Result<MappedRwLockReadGuard<'_, sled::Db>, Error> {
        RwLockReadGuard::try_map(self.tree.read_recursive(), Option::as_ref).map_err(|_| Error::Closed)
    }

    fn each<T: DeserializeOwned>(
        &self,
        table: Table,
        mut visit: impl FnMut(&[u8], T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for item in self.tree()?.scan_prefix([table as u8]) {
            let (key, bytes) = item?;
            visit(&key[1..], value::decode(table, &bytes)?)?;
        }
        Ok(())
    }

    fn named<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, Error> {
        let mut named = Vec::new();
        self.each(table, |name, value| {
            named.push((text(table, name)?, value));
            Ok(())
        })?;
        Ok(named)
    }
}

impl Store for SledStore {
    fn keys(&self) -> Result<Vec<KeyEntry>, Error> {
        let mut keys = Vec::new();
        self.each(Table::Keys, |_, key| {
            keys.push(key);
            Ok(())
        })?;
        Ok(keys)
    }

    fn append(&self, batch: &Batch) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        if batch.from != writer.position {
            let stored = batch.to == writer.position;
            return if stored { Ok(()) } else { Err(Error::OutOfOrder { from: batch.from, at: writer.position }) };
        }
        let tree = self.tree()?;
        let mut changes = sled::Batch::default();
        let last = rows::append(&mut changes, writer.rows, &batch.rows);
        let keys = change_keys(&tree, &mut changes, writer.keys, &batch.keys)?;
        sums::add_rollups(&tree, &mut changes, &batch.rollups)?;
        sums::add_sums(&tree, &mut changes, &batch.sums)?;
        for (name, bytes) in &batch.metas {
            changes.insert(path(Table::Meta, name.as_bytes()), value::encode(Table::Meta, bytes));
        }
        changes.insert(own(POSITION), value::encode(Table::Own, &batch.to));
        tree.apply_batch(changes)?;
        *writer = Writer { position: batch.to, keys, rows: last };
        Ok(())
    }

    fn position(&self) -> Result<Position, Error> {
        Ok(self.writer.lock().position)
    }

    fn sums(&self) -> Result<Vec<(String, Sums)>, Error> {
        self.named(Table::Sums)
    }

    fn rollups(&self, dimension: Dimension, hours: Range<u32>, visit: Visit<(RollupKey, Rollup)>) -> Result<(), Error> {
        sums::each_hour(&*self.tree()?, dimension, hours, visit)
    }

    fn totals(&self, dimension: Dimension, hours: Range<u32>) -> Result<BTreeMap<String, Rollup>, Error> {
        sums::totals(&*self.tree()?, dimension, hours)
    }

    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, Error> {
        let span_ms = self.writer.lock().rows.span_ms;
        rows::list(&*self.tree()?, from_ms..to_ms, span_ms, limit, cursor)
    }

    fn each_record(&self, visit: Visit<Record>) -> Result<(), Error> {
        rows::each(&*self.tree()?, visit)
    }

    fn find(&self, request_id: &str) -> Result<Option<Record>, Error> {
        let span_ms = self.writer.lock().rows.span_ms;
        rows::find(&*self.tree()?, span_ms, request_id)
    }

    fn prune(&self, before_ms: u64, blocks_max: usize) -> Result<usize, Error> {
        rows::prune(&*self.tree()?, before_ms, blocks_max)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        get(&*self.tree()?, Table::Meta, &path(Table::Meta, name.as_bytes()))
    }

    fn put_meta(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.tree()?.insert(path(Table::Meta, name.as_bytes()), value::encode(Table::Meta, bytes))?;
        Ok(())
    }

    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.named(Table::Meta)
    }

    fn flush(&self) -> Result<(), Error> {
        self.tree()?.flush()?;
        Ok(())
    }

    fn reopen(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        let mut tree = self.tree.write();
        drop(tree.take());
        let (opened, state) = open_tree(&self.dir, &self.settings)?;
        (*tree, *writer) = (Some(opened), state);
        Ok(())
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        Ok(self.tree()?.size_on_disk()?)
    }
}

/// Adds changes of keys to a batch; returns how many keys there are once they are applied.
fn change_keys(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    mut count: usize,
    keys: &[KeyChange],
) -> Result<usize, Error> {
    // What the batch itself has added or removed is not in the tree yet.
    let mut there = BTreeMap::new();
    for change in keys {
        let id = match change {
            KeyChange::Put(entry) => &entry.id,
            KeyChange::Remove(id) => id,
        };
        let at = path(Table::Keys, id.as_bytes());
        let before = match there.get(id) {
            Some(&before) => before,
            None => tree.contains_key(&at)?,
        };
        match change {
            KeyChange::Put(entry) => {
                count += usize::from(!before);
                changes.insert(at, value::encode(Table::Keys, entry));
            }
            KeyChange::Remove(_) => {
                count -= usize::from(before);
                changes.remove(at);
            }
        }
        there.insert(id, matches!(change, KeyChange::Put(_)));
    }
    if count > KEYS_MAX { Err(Error::Full) } else { Ok(count) }
}

fn lock(dir: &Path, wait_ms: u64) -> Result<File, Error> {
    let failed = |source: io::Error| Error::Io { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join("lock"))
        .map_err(failed)?;
    match patiently(wait_ms, || lock.try_lock(), |error| matches!(error, TryLockError::WouldBlock)) {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the tree of a directory we hold the lock of, and reads what the writer must know. sled has a lock of its
/// own, and threads that may hold it a moment longer than the store they worked for.
fn open_tree(dir: &Path, settings: &Settings) -> Result<(sled::Db, Writer), Error> {
    let path = dir.join("sled");
    snapshots::set_torn_aside(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let config = sled::Config::new().path(&path).cache_capacity(settings.cache_bytes).flush_every_ms(None);
    let is_locked = |error: &sled::Error| error.to_string().contains("could not acquire lock");
    let tree = patiently(settings.lock_wait_ms, || config.open(), is_locked)?;
    schema::check(&tree)?;
    let writer = Writer {
        position: get(&tree, Table::Own, &own(POSITION))?.unwrap_or_default(),
        keys: tree.scan_prefix([Table::Keys as u8]).keys().try_fold(0, |count, key| key.map(|_| count + 1))?,
        rows: rows::Last::read(&tree)?,
    };
    Ok((tree, writer))
}

/// Tries again, for a bounded time, what may fail because somebody is about to leave.
fn patiently<T, E>(
    wait_ms: u64,
    mut attempt: impl FnMut() -> Result<T, E>,
    passes: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 0..wait_ms / RETRY_MS {
        match attempt() {
            Err(error) if passes(&error) => std::thread::park_timeout(Duration::from_millis(RETRY_MS)),
            result => return result,
        }
    }
    attempt()
}

fn path(table: Table, name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(1 + name.len());
    path.push(table as u8);
    path.extend_from_slice(name);
    path
}

fn own(name: &[u8]) -> Vec<u8> {
    path(Table::Own, name)
}

fn text(table: Table, bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_owned()).map_err(|_| Error::Broken { what: table.entry() })
}

fn get<T: DeserializeOwned>(tree: &sled::Db, table: Table, path: &[u8]) -> Result<Option<T>, Error> {
    tree.get(path)?.map(|bytes| value::decode(table, &bytes)).transpose()
}
