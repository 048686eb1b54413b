//! The store on the disk: a small tree in sled, and files for what there is much of.
//!
//! The tree has keys, named values, sums and the hours that still grow, in one sled tree, because a batch is atomic
//! within one: tables are told apart by the first byte of the key. Rows and the hours that are over lie in files, of
//! which the tree says how far they count. So opening takes as long with ten million rows as with ten.
//!
//! What is taken in is kept in memory until it makes a block, since the journal has it. sled 0.34 refuses every write
//! after one that failed, and remembers where its log may be read from only when it is opened. Both are cured by
//! opening it again, so everything stands behind a lock.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::{MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use serde::de::DeserializeOwned;

use super::{
    Batch, Cursor, Dimension, Error, KeyEntry, Page, Position, Record, Rollup, RollupKey, Settings, Store, Sums, Visit,
    full_disk_behind,
    row_files::Found,
    rows,
    state::State,
    value::{self, Table, path, text},
    wait::patiently,
};

/// Most rows in one page.
const PAGE_ROWS_MAX: usize = 1_000;
/// The file whose lock says that a process has the store.
const LOCK: &str = "lock";

/// Most blocks unpacked for one page.
const PAGE_BLOCKS_MAX: usize = 256;
/// How far before the time in a request id its call may have been admitted.
const ID_EARLY_MS: u64 = 60_000;

/// A [`Store`] in a directory that this process alone may use.
#[derive(Debug)]
pub struct SledStore {
    dir: PathBuf,
    settings: Settings,
    /// None while it could not be opened again.
    state: RwLock<Option<State>>,
    /// Bytes on disk when they were last changed: whoever asks does not wait for a disk that is being written to.
    size_bytes: AtomicU64,
    /// Held, not read: the lock ends with the process, however that ends.
    lock: File,
}

impl SledStore {
    /// Opens the store, and makes it if it is not there. The directory becomes readable to its owner alone.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process has it; else what stands in the way.
    pub fn open(dir: &Path, settings: &Settings) -> Result<SledStore, Error> {
        let lock = lock(dir)?;
        let state = State::open(dir, settings).map_err(|error| full_disk_behind(&error, dir).unwrap_or(error))?;
        let size_bytes = AtomicU64::new(state.size_bytes());
        let state = RwLock::new(Some(state));
        Ok(SledStore { dir: dir.to_owned(), settings: settings.clone(), state, size_bytes, lock })
    }

    /// What is opened in the place of a store that was moved away would be a new one, with nothing in it.
    fn check_in_place(&self) -> Result<(), Error> {
        let held = self.lock.metadata().map(|file| (file.dev(), file.ino()));
        let found = std::fs::metadata(self.dir.join(LOCK)).map(|file| (file.dev(), file.ino()));
        match (held, found) {
            (Ok(held), Ok(found)) if held == found => Ok(()),
            _ => Err(Error::Moved { path: self.dir.clone() }),
        }
    }

    /// Puts bytes where a later version may have put others.
    #[cfg(test)]
    pub(super) fn overwrite(&self, key: &[u8], bytes: &[u8]) {
        self.read().unwrap().tree.insert(key, bytes).unwrap();
    }

    /// Does something while the store is being changed, as by a disk that takes long.
    #[cfg(test)]
    pub(super) fn while_changing<T>(&self, then: impl FnOnce() -> T) -> T {
        let _changing = self.write().unwrap();
        then()
    }

    /// Recursive, because a visitor of one table may ask for another while somebody waits to write.
    fn read(&self) -> Result<MappedRwLockReadGuard<'_, State>, Error> {
        RwLockReadGuard::try_map(self.state.read_recursive(), Option::as_ref).map_err(|_| Error::Closed)
    }

    fn write(&self) -> Result<MappedRwLockWriteGuard<'_, State>, Error> {
        RwLockWriteGuard::try_map(self.state.write(), Option::as_mut).map_err(|_| Error::Closed)
    }

    /// Changes what is on the disk, and notes how much that is afterwards.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let mut state = self.write()?;
        let changed = change(&mut state);
        self.size_bytes.store(state.size_bytes(), Ordering::Relaxed);
        changed
    }

    fn named<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, Error> {
        let state = self.read()?;
        let items = state.tree.scan_prefix([table as u8]);
        items
            .map(|item| {
                let (key, bytes) = item?;
                Ok((text(table, &key[1..])?, value::decode(table, &bytes)?))
            })
            .collect()
    }
}

/// A page in the making.
struct Listing {
    started_ms: Range<u64>,
    /// The number of the row that ends the listing; those behind it are on earlier pages.
    before: u64,
    limit: usize,
    page: Page,
}

impl Listing {
    /// Adds rows, the last first, of which the first has this number. Returns whether there is room for more.
    fn add(&mut self, first: u64, rows: impl DoubleEndedIterator<Item = Record> + ExactSizeIterator) -> bool {
        let limit = self.limit.clamp(1, PAGE_ROWS_MAX);
        for (at, row) in rows.enumerate().rev() {
            let number = first + at as u64;
            if number < self.before && self.started_ms.contains(&row.started_ms) {
                self.page.records.push(row);
                if self.page.records.len() == limit {
                    self.page.next = Some(Cursor(number));
                    return false;
                }
            }
        }
        true
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let Some(state) = self.state.get_mut().as_mut().filter(|state| !state.has_failed) else { return };
        if let Err(error) = state.save(&self.dir) {
            tracing::error!(%error, "the store could not be saved, the journal has what is missing");
        }
    }
}

impl Store for SledStore {
    fn keys(&self) -> Result<Vec<KeyEntry>, Error> {
        Ok(self.named(Table::Keys)?.into_iter().map(|(_, key)| key).collect())
    }

    fn append(&self, batch: &Batch) -> Result<(), Error> {
        self.change(|state| state.append(&self.dir, batch))
    }

    fn position(&self) -> Result<Position, Error> {
        Ok(self.read()?.position)
    }

    fn sums(&self) -> Result<Vec<(String, Sums)>, Error> {
        self.read()?.sums()
    }

    fn rollups(&self, dimension: Dimension, hours: Range<u32>, visit: Visit<(RollupKey, Rollup)>) -> Result<(), Error> {
        let (files, growing) = {
            let state = self.read()?;
            (state.hours.clone(), state.growing(dimension, &hours)?)
        };
        files.each(dimension, &hours, &mut |key, rollup| visit((key, rollup)))?;
        growing.into_iter().try_for_each(visit)
    }

    fn totals(&self, dimension: Dimension, hours: Range<u32>) -> Result<BTreeMap<String, Rollup>, Error> {
        self.read()?.totals(dimension, &hours)
    }

    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, Error> {
        let before = cursor.map_or(u64::MAX, |Cursor(before)| before);
        let mut listing = Listing { started_ms: from_ms..to_ms, before, limit, page: Page::default() };
        let files = {
            let state = self.read()?;
            if !listing.add(state.rows.end.next, state.pending.rows.iter().cloned()) {
                return Ok(listing.page);
            }
            state.rows.clone()
        };
        let mut blocks = 0;
        files.walk_back(&(from_ms..to_ms), before, &mut |Found { file, offset, head }| {
            if blocks == PAGE_BLOCKS_MAX {
                listing.page.next = Some(Cursor(head.first.saturating_add(head.count.into())));
                return Ok(false);
            }
            blocks += 1;
            Ok(listing.add(head.first, rows::read(file, offset, &head)?.into_iter()))
        });
        Ok(listing.page)
    }

    fn each_record(&self, visit: Visit<Record>) -> Result<(), Error> {
        let (files, pending) = {
            let state = self.read()?;
            (state.rows.clone(), state.pending.rows.clone())
        };
        files.each(visit)?;
        pending.into_iter().try_for_each(visit)
    }

    fn admitted_since(&self, from_ms: u64) -> Result<HashMap<String, Vec<u64>>, Error> {
        let mut calls = HashMap::<String, Vec<u64>>::new();
        let mut note = |key_id: &str, started_ms: u64| {
            if started_ms >= from_ms && !key_id.is_empty() {
                match calls.get_mut(key_id) {
                    Some(calls) => calls.push(started_ms),
                    None => drop(calls.insert(key_id.to_owned(), vec![started_ms])),
                }
            }
        };
        let files = {
            let state = self.read()?;
            let pending = state.pending.rows.iter().filter(|row| row.admitted);
            pending.for_each(|row| note(&row.key_id, row.started_ms));
            state.rows.clone()
        };
        files.walk_back(&(from_ms..u64::MAX), u64::MAX, &mut |Found { file, offset, head }| {
            rows::admitted(file, offset, &head, &mut note)?;
            Ok(true)
        });
        Ok(calls)
    }

    fn have_rows<'i>(&self, request_ids: &[&'i str]) -> Result<HashSet<&'i str>, Error> {
        let mut missing: HashSet<&str> = request_ids.iter().copied().collect();
        let mut found = HashSet::new();
        let files = {
            let state = self.read()?;
            let pending = state.pending.rows.iter().filter_map(|row| missing.take(row.request_id.as_str()));
            found.extend(pending);
            state.rows.clone()
        };
        let Some(oldest_ms) = missing.iter().map(|id| ulid_ms(id).unwrap_or_default()).min() else { return Ok(found) };
        let started_ms = oldest_ms.saturating_sub(ID_EARLY_MS)..u64::MAX;
        files.walk_back(&started_ms, u64::MAX, &mut |Found { file, offset, head }| {
            let rows = rows::read(file, offset, &head)?;
            found.extend(rows.iter().filter_map(|row| missing.take(row.request_id.as_str())));
            Ok(!missing.is_empty())
        });
        Ok(found)
    }

    fn prune(&self, before_ms: u64, now_ms: u64, files_max: usize) -> Result<usize, Error> {
        self.change(|state| {
            let pruned = state.rows.prune(before_ms, now_ms, files_max);
            pruned.map_err(|source| Error::Io { path: self.dir.clone(), source })
        })
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        value::get(&self.read()?.tree, Table::Meta, &path(Table::Meta, name.as_bytes()))
    }

    fn put_meta(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.read()?.tree.insert(path(Table::Meta, name.as_bytes()), value::encode(Table::Meta, bytes))?;
        Ok(())
    }

    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.named(Table::Meta)
    }

    fn flush(&self) -> Result<(), Error> {
        self.change(|state| {
            state.save(&self.dir)?;
            state.tree.flush()?;
            Ok(())
        })
    }

    fn reopen(&self) -> Result<(), Error> {
        let mut state = self.state.write();
        drop(state.take());
        self.check_in_place()?;
        let opened = State::open(&self.dir, &self.settings)?;
        self.size_bytes.store(opened.size_bytes(), Ordering::Relaxed);
        *state = Some(opened);
        Ok(())
    }

    fn opens_slowly(&self) -> bool {
        self.read().is_ok_and(|state| state.logged_bytes() > self.settings.logged_bytes_max)
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed)
    }
}

/// Whether a process has the store in `dir` now.
pub fn is_in_use(dir: &Path) -> bool {
    // Let go of at once: who opens the store meanwhile waits longer than that.
    let file = OpenOptions::new().write(true).open(dir.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn lock(dir: &Path) -> Result<File, Error> {
    let failed = |source: io::Error| Error::Io { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join(LOCK)).map_err(failed)?;
    match patiently(|| lock.try_lock(), |error| matches!(error, TryLockError::WouldBlock)) {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The time in a ULID behind `req_`: ten digits of Crockford's base 32, in milliseconds.
fn ulid_ms(request_id: &str) -> Option<u64> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let ulid = request_id.strip_prefix("req_").filter(|ulid| ulid.len() == 26)?;
    ulid.bytes().take(10).try_fold(0_u64, |ms, byte| {
        let digit = DIGITS.iter().position(|&digit| digit == byte.to_ascii_uppercase())?;
        Some(ms << 5 | digit as u64)
    })
}
