//! The store in sled.
//!
//! All tables lie in one tree, told apart by the first byte of the key, because a batch is atomic within one tree.
//! There is one writer at a time. sled never flushes by itself here: the ledger says when.

mod rows;

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Batch, Cursor, Dimension, Error, KEYS_MAX, KeyEntry, Opened, Page, Position, Record, Rollup, RollupKey, Store,
    Sums, Visit,
    value::{self, VERSION},
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

/// The first byte of a key. The rows come last, so that the small tables share no leaf with them but one.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Table {
    Own = 0,
    Meta = 1,
    Keys = 2,
    Opened = 3,
    Sums = 4,
    Rollups = 5,
    Rows = 6,
}

/// Pause between two attempts at a lock.
const RETRY_MS: u64 = 5;

const SCHEMA: &[u8] = b"schema";
const POSITION: &[u8] = b"position";
const KEYS_VERSION: &[u8] = b"keys_version";
const SPAN_MS: &[u8] = b"span_ms";

/// A [`Store`] in a directory that this process alone may use.
#[derive(Debug)]
pub struct SledStore {
    tree: sled::Db,
    writer: Mutex<Writer>,
    /// Held, not read: the lock ends with the process, however that ends.
    _lock: File,
}

/// What the one writer knows without asking the tree.
#[derive(Debug)]
struct Writer {
    position: Position,
    keys_version: u64,
    keys: usize,
    rows: rows::Last,
}

impl SledStore {
    /// Opens the store, and makes it if it is not there. The directory becomes readable to its owner alone.
    pub fn open(dir: &Path, settings: &Settings) -> Result<SledStore, Error> {
        let lock = lock(dir, settings.lock_wait_ms)?;
        let tree = open_tree(dir, settings)?;
        check_schema(&tree)?;
        let keys = tree.scan_prefix([Table::Keys as u8]).keys().try_fold(0, |count, key| key.map(|_| count + 1))?;
        let writer = Writer {
            position: get(&tree, "the spool position", &own(POSITION))?.unwrap_or_default(),
            keys_version: get(&tree, "the version of the keys", &own(KEYS_VERSION))?.unwrap_or_default(),
            keys,
            rows: rows::Last::read(&tree)?,
        };
        Ok(SledStore { tree, writer: Mutex::new(writer), _lock: lock })
    }

    /// Puts bytes where a later version may have put others.
    #[cfg(test)]
    pub(super) fn overwrite(&self, key: &[u8], bytes: &[u8]) {
        self.tree.insert(key, bytes).unwrap();
    }

    /// Applies a change of the table of keys together with its new version.
    fn change_keys(&self, writer: &mut Writer, mut batch: sled::Batch) -> Result<u64, Error> {
        let version = writer.keys_version + 1;
        batch.insert(own(KEYS_VERSION), value::encode(&version));
        self.tree.apply_batch(batch)?;
        writer.keys_version = version;
        self.tree.flush()?;
        Ok(version)
    }

    fn each<T: DeserializeOwned>(
        &self,
        table: Table,
        what: &'static str,
        mut visit: impl FnMut(&[u8], T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for item in self.tree.scan_prefix([table as u8]) {
            let (key, bytes) = item?;
            visit(&key[1..], value::decode(what, &bytes)?)?;
        }
        Ok(())
    }

    fn named<T: DeserializeOwned>(&self, table: Table, what: &'static str) -> Result<Vec<(String, T)>, Error> {
        let mut named = Vec::new();
        self.each(table, what, |name, value| {
            named.push((text(what, name)?, value));
            Ok(())
        })?;
        Ok(named)
    }
}

impl Store for SledStore {
    fn keys(&self) -> Result<Vec<KeyEntry>, Error> {
        let mut keys = Vec::new();
        self.each(Table::Keys, "a key", |_, key| {
            keys.push(key);
            Ok(())
        })?;
        Ok(keys)
    }

    fn keys_version(&self) -> Result<u64, Error> {
        Ok(self.writer.lock().keys_version)
    }

    fn put_key(&self, key: &KeyEntry) -> Result<u64, Error> {
        let mut writer = self.writer.lock();
        let at = path(Table::Keys, key.id.as_bytes());
        let added = usize::from(!self.tree.contains_key(&at)?);
        if writer.keys + added > KEYS_MAX {
            return Err(Error::Full);
        }
        let mut batch = sled::Batch::default();
        batch.insert(at, value::encode(key));
        let version = self.change_keys(&mut writer, batch)?;
        writer.keys += added;
        Ok(version)
    }

    fn remove_key(&self, id: &str) -> Result<u64, Error> {
        let mut writer = self.writer.lock();
        let at = path(Table::Keys, id.as_bytes());
        if !self.tree.contains_key(&at)? {
            return Ok(writer.keys_version);
        }
        let mut batch = sled::Batch::default();
        batch.remove(at);
        let version = self.change_keys(&mut writer, batch)?;
        writer.keys -= 1;
        Ok(version)
    }

    fn append(&self, batch: &Batch) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        if batch.from != writer.position {
            let stored = batch.to == writer.position;
            return if stored { Ok(()) } else { Err(Error::OutOfOrder { from: batch.from, at: writer.position }) };
        }
        let mut changes = sled::Batch::default();
        let last = rows::append(&mut changes, writer.rows, &batch.rows);
        for opened in &batch.opened {
            changes.insert(path(Table::Opened, opened.request_id.as_bytes()), value::encode(opened));
        }
        for request_id in &batch.closed {
            changes.remove(path(Table::Opened, request_id.as_bytes()));
        }
        for (key, more) in &batch.rollups {
            let at = rollup_path(key.dimension, key.hour, &key.name);
            merge(&self.tree, &mut changes, "a roll-up", at, more, Rollup::merge)?;
        }
        for (key_id, more) in &batch.sums {
            let at = path(Table::Sums, key_id.as_bytes());
            merge(&self.tree, &mut changes, "the sums of a key", at, more, Sums::merge)?;
        }
        changes.insert(own(POSITION), value::encode(&batch.to));
        self.tree.apply_batch(changes)?;
        writer.position = batch.to;
        writer.rows = last;
        Ok(())
    }

    fn position(&self) -> Result<Position, Error> {
        Ok(self.writer.lock().position)
    }

    fn opened(&self) -> Result<Vec<Opened>, Error> {
        let mut opened = Vec::new();
        self.each(Table::Opened, "an opened call", |_, call| {
            opened.push(call);
            Ok(())
        })?;
        Ok(opened)
    }

    fn sums(&self) -> Result<Vec<(String, Sums)>, Error> {
        self.named(Table::Sums, "the sums of a key")
    }

    fn rollups(&self, dimension: Dimension, hours: Range<u32>, visit: Visit<(RollupKey, Rollup)>) -> Result<(), Error> {
        if hours.is_empty() {
            return Ok(());
        }
        let range = rollup_path(dimension, hours.start, "")..rollup_path(dimension, hours.end, "");
        for item in self.tree.range(range) {
            let (key, bytes) = item?;
            let (hour, name) = key[2..].split_first_chunk().ok_or(Error::Broken { what: "a roll-up" })?;
            let key = RollupKey { dimension, hour: u32::from_be_bytes(*hour), name: text("a roll-up", name)? };
            visit((key, value::decode("a roll-up", &bytes)?))?;
        }
        Ok(())
    }

    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, Error> {
        let span_ms = self.writer.lock().rows.span_ms;
        rows::list(&self.tree, from_ms..to_ms, span_ms, limit, cursor)
    }

    fn each_record(&self, visit: Visit<Record>) -> Result<(), Error> {
        rows::each(&self.tree, visit)
    }

    fn find(&self, request_id: &str) -> Result<Option<Record>, Error> {
        let span_ms = self.writer.lock().rows.span_ms;
        rows::find(&self.tree, span_ms, request_id)
    }

    fn prune(&self, before_ms: u64, blocks_max: usize) -> Result<usize, Error> {
        rows::prune(&self.tree, before_ms, blocks_max)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        get(&self.tree, "a named value", &path(Table::Meta, name.as_bytes()))
    }

    fn put_meta(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.tree.insert(path(Table::Meta, name.as_bytes()), value::encode(bytes))?;
        Ok(())
    }

    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.named(Table::Meta, "a named value")
    }

    fn flush(&self) -> Result<(), Error> {
        self.tree.flush()?;
        Ok(())
    }

    fn size_bytes(&self) -> Result<u64, Error> {
        Ok(self.tree.size_on_disk()?)
    }
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

/// Opens the tree of a directory we hold the lock of. sled has a lock of its own, and threads that may hold it a
/// moment longer than the store they worked for.
fn open_tree(dir: &Path, settings: &Settings) -> Result<sled::Db, Error> {
    let config = sled::Config::new().path(dir.join("sled")).cache_capacity(settings.cache_bytes).flush_every_ms(None);
    let is_locked = |error: &sled::Error| error.to_string().contains("could not acquire lock");
    Ok(patiently(settings.lock_wait_ms, || config.open(), is_locked)?)
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

/// A new tree gets the schema's version; an old one must have it.
fn check_schema(tree: &sled::Db) -> Result<(), Error> {
    let what = "the store";
    match tree.get(own(SCHEMA))?.as_deref() {
        Some(&[VERSION]) => Ok(()),
        Some(&[found]) => Err(Error::Schema { what, found, known: VERSION }),
        None if tree.is_empty() => {
            tree.insert(own(SCHEMA), &[VERSION])?;
            tree.flush()?;
            Ok(())
        }
        _ => Err(Error::Broken { what }),
    }
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

fn rollup_path(dimension: Dimension, hour: u32, name: &str) -> Vec<u8> {
    [&[Table::Rollups as u8, dimension as u8], hour.to_be_bytes().as_slice(), name.as_bytes()].concat()
}

fn text(what: &'static str, bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_owned()).map_err(|_| Error::Broken { what })
}

fn get<T: DeserializeOwned>(tree: &sled::Db, what: &'static str, path: &[u8]) -> Result<Option<T>, Error> {
    tree.get(path)?.map(|bytes| value::decode(what, &bytes)).transpose()
}

/// Adds to what is stored at the path. The caller is the one writer, so nothing changes in between.
fn merge<T: Default + Serialize + DeserializeOwned>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    what: &'static str,
    path: Vec<u8>,
    more: &T,
    add: fn(&mut T, &T),
) -> Result<(), Error> {
    let mut sum: T = get(tree, what, &path)?.unwrap_or_default();
    add(&mut sum, more);
    changes.insert(path, value::encode(&sum));
    Ok(())
}
