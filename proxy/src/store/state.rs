//! The store while it is open: the tree, the files beside it, and what is on its way to both.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    Batch, Dimension, Error, KeyChange, Position, Record, Rollup, RollupKey, Settings, Sums,
    hour_files::HourFiles,
    pending::Pending,
    rollup::Period,
    row_files::RowFiles,
    rows::BLOCK_ROWS,
    schema, snapshots, sums,
    value::{self, Table, get, own, path},
    wait::patiently,
};

const POSITION: &[u8] = b"position";
const ROWS_END: &[u8] = b"rows_end";
const HOURS_END: &[u8] = b"hours_end.";
/// Roll-ups that may be pending, however few rows they are of.
const PENDING_ROLLUPS_MAX: usize = 16_384;
/// What the log grows by for each value, beside the value.
const LOGGED_BESIDE: u64 = 64;

#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: sled::Db,
    pub(super) rows: RowFiles,
    pub(super) hours: HourFiles,
    pub(super) pending: Pending,
    /// How far the journal is stored, with what is pending.
    pub(super) position: Position,
    /// The hour that is growing, as of the last save; `None` before the first.
    hour: Option<u32>,
    /// Bytes written to the tree since it was opened.
    logged: u64,
    /// What the tree took on the disk after the last save.
    tree_bytes: u64,
    /// A save failed, and how far it came nobody can say: nothing is taken in until all of this is opened again.
    pub(super) has_failed: bool,
}

impl State {
    /// Opens what lies in a directory whose lock the caller holds.
    pub(super) fn open(dir: &Path, settings: &Settings) -> Result<State, Error> {
        let tree = open_tree(&dir.join("sled"), settings)?;
        schema::check(&tree)?;
        let failed = |source| Error::Io { path: dir.to_owned(), source };
        let end = get(&tree, Table::Own, &own(ROWS_END))?.unwrap_or_default();
        let mut ends = BTreeMap::new();
        for item in tree.scan_prefix(own(HOURS_END)) {
            let (key, bytes) = item?;
            let number = key[own(HOURS_END).len()..].try_into().map_err(|_| Error::Broken { what: "an end" })?;
            ends.insert(u32::from_be_bytes(number), value::decode(Table::Own, &bytes)?);
        }
        let hours = HourFiles::open(&dir.join("hours"), ends).map_err(failed)?;
        hours.remove_unknown().map_err(failed)?;
        let mut state = State {
            rows: RowFiles::open(&dir.join("rows"), end).map_err(failed)?,
            hours,
            pending: Pending::default(),
            position: get(&tree, Table::Own, &own(POSITION))?.unwrap_or_default(),
            hour: None,
            logged: 0,
            tree_bytes: 0,
            has_failed: false,
            tree,
        };
        state.measure_tree();
        Ok(state)
    }

    /// Takes a batch in, and saves where that is due.
    pub(super) fn append(&mut self, dir: &Path, batch: &Batch) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Closed);
        }
        if batch.from != self.position {
            let stored = batch.to == self.position;
            return if stored { Ok(()) } else { Err(Error::OutOfOrder { from: batch.from, at: self.position }) };
        }
        self.pending.add(batch);
        self.position = batch.to;
        let pending = &self.pending;
        let is_due = pending.rows.len() >= BLOCK_ROWS
            || pending.rollups.len() >= PENDING_ROLLUPS_MAX
            || !pending.keys.is_empty()
            || !pending.metas.is_empty();
        if is_due { self.save(dir) } else { Ok(()) }
    }

    /// Makes everything pending durable, all of it or nothing: the files first, then the tree, which says how far the
    /// files count.
    pub(super) fn save(&mut self, dir: &Path) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Closed);
        }
        if !self.pending.is_there {
            return Ok(());
        }
        let (rows, hours) = (self.rows.clone(), self.hours.clone());
        let saved = self.save_pending(dir);
        if saved.is_err() {
            (self.rows, self.hours, self.has_failed) = (rows, hours, true);
        }
        saved
    }

    fn save_pending(&mut self, dir: &Path) -> Result<(), Error> {
        let failed = |source| Error::Io { path: dir.to_owned(), source };
        let mut changes = sled::Batch::default();
        // Calls that were under way when the clock stepped would begin a file each.
        self.pending.rows.sort_by_key(Record::ended_day);
        self.rows.append(&self.pending.rows).map_err(failed)?;
        let mut logged = self.save_rollups(&mut changes).map_err(|error| error.at(dir))?;
        logged += sums::add_sums(&self.tree, &mut changes, self.pending.sums.iter())?;
        change_keys(&mut changes, &self.pending.keys);
        for (name, bytes) in &self.pending.metas {
            changes.insert(path(Table::Meta, name.as_bytes()), value::encode(Table::Meta, bytes));
        }
        changes.insert(own(ROWS_END), value::encode(Table::Own, &self.rows.end));
        changes.insert(own(POSITION), value::encode(Table::Own, &self.position));
        let values = self.pending.rollups.len() + self.pending.sums.len() + self.pending.keys.len() + 2;
        self.tree.apply_batch(changes)?;
        self.tree.flush()?;
        self.measure_tree();
        self.logged += logged + values as u64 * LOGGED_BESIDE;
        self.pending = Pending::default();
        Ok(())
    }

    /// Roll-ups of the growing hour and the one before it stay in the tree, others go to the files of hours.
    fn save_rollups(&mut self, changes: &mut sled::Batch) -> Result<u64, SaveError> {
        let Some(hour) = self.pending.rollups.keys().map(|key| key.hour).max() else { return Ok(0) };
        let is_over = |of: u32| of != hour && of.saturating_add(1) != hour;
        let mut over = BTreeMap::<u32, Vec<(RollupKey, Rollup)>>::new();
        if self.hour != Some(hour) {
            for (key, rollup) in sums::take_hours(&self.tree, changes, is_over)? {
                over.entry(key.hour).or_default().push((key, rollup));
            }
        }
        let (past, growing): (Vec<_>, Vec<_>) = self.pending.rollups.iter().partition(|(key, _)| is_over(key.hour));
        for (key, rollup) in past {
            over.entry(key.hour).or_default().push((key.clone(), rollup.clone()));
        }
        over.values_mut().for_each(|rollups| rollups.sort_by(|(one, _), (other, _)| one.cmp(other)));
        let grown = self.hours.append(over.iter().map(|(&hour, rollups)| (hour, rollups.as_slice())))?;
        for number in grown {
            let end = value::encode(Table::Own, &self.hours.ends[&number]);
            changes.insert([own(HOURS_END).as_slice(), &number.to_be_bytes()].concat(), end);
        }
        self.hour = Some(hour);
        let logged = sums::add_long_periods(&self.tree, changes, over.values().flatten())?;
        Ok(logged + sums::add_hours(&self.tree, changes, growing.into_iter())?)
    }

    /// The roll-ups of a range of hours that are not in the files of hours.
    pub(super) fn growing(&self, dimension: Dimension, hours: &Range<u32>) -> Result<Vec<(RollupKey, Rollup)>, Error> {
        let mut growing = sums::hours(&self.tree, dimension, hours).collect::<Result<Vec<_>, _>>()?;
        let pending =
            self.pending.rollups.iter().filter(|(key, _)| key.dimension == dimension && hours.contains(&key.hour));
        growing.extend(pending.map(|(key, rollup)| (key.clone(), rollup.clone())));
        Ok(growing)
    }

    /// The roll-ups of a range of hours, merged by name.
    pub(super) fn totals(&self, dimension: Dimension, hours: &Range<u32>) -> Result<BTreeMap<String, Rollup>, Error> {
        let mut totals = BTreeMap::<String, Rollup>::new();
        let day = Period::Day.hours();
        let days = hours.start.div_ceil(day)..if hours.end == u32::MAX { u32::MAX / day } else { hours.end / day };
        let edges = if days.is_empty() {
            [hours.clone(), 0..0]
        } else {
            sums::add_days(&self.tree, dimension, &days, &mut totals)?;
            [hours.start..days.start * day, if hours.end == u32::MAX { 0..0 } else { days.end * day..hours.end }]
        };
        for edge in edges.iter().filter(|edge| !edge.is_empty()) {
            self.hours.each(dimension, edge, &mut |key, rollup| {
                totals.entry(key.name).or_default().merge(&rollup);
                Ok(())
            })?;
        }
        for (key, rollup) in self.growing(dimension, hours)? {
            totals.entry(key.name).or_default().merge(&rollup);
        }
        totals.retain(|_, total| total.calls > 0);
        Ok(totals)
    }

    /// What each key has used, by key id.
    pub(super) fn sums(&self) -> Result<Vec<(String, Sums)>, Error> {
        let mut sums = BTreeMap::<String, Sums>::new();
        for item in self.tree.scan_prefix([Table::Sums as u8]) {
            let (key, bytes) = item?;
            sums.insert(value::text(Table::Sums, &key[1..])?, value::decode(Table::Sums, &bytes)?);
        }
        for (key_id, more) in &self.pending.sums {
            sums.entry(key_id.clone()).or_default().merge(more);
        }
        Ok(sums.into_iter().collect())
    }

    /// Bytes on disk, as of the last save.
    pub(super) fn size_bytes(&self) -> u64 {
        self.tree_bytes + self.rows.bytes + self.hours.bytes()
    }

    /// What a disk that does not say it leaves as it was.
    fn measure_tree(&mut self) {
        self.tree_bytes = self.tree.size_on_disk().unwrap_or(self.tree_bytes);
    }

    /// Bytes that the tree has logged since it was opened: the next start reads them.
    pub(super) fn logged_bytes(&self) -> u64 {
        self.logged
    }
}

/// What kept roll-ups from being saved.
enum SaveError {
    File(std::io::Error),
    Store(Error),
}

impl SaveError {
    fn at(self, dir: &Path) -> Error {
        match self {
            SaveError::File(source) => Error::Io { path: dir.to_owned(), source },
            SaveError::Store(error) => error,
        }
    }
}

impl From<std::io::Error> for SaveError {
    fn from(error: std::io::Error) -> SaveError {
        SaveError::File(error)
    }
}

impl From<Error> for SaveError {
    fn from(error: Error) -> SaveError {
        SaveError::Store(error)
    }
}

/// sled has a lock of its own, and threads that may hold it a moment longer than the store they worked for.
fn open_tree(dir: &Path, settings: &Settings) -> Result<sled::Db, Error> {
    check_clock(SystemTime::now())?;
    snapshots::set_torn_aside(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
    let config = sled::Config::new().path(dir).cache_capacity(settings.cache_bytes).flush_every_ms(None);
    let is_locked = |error: &sled::Error| error.to_string().contains("could not acquire lock");
    Ok(patiently(|| config.open(), is_locked)?)
}

/// sled asks the clock for a name whenever it is opened, and panics where that reads a time before 1970.
pub(super) fn check_clock(now: SystemTime) -> Result<(), Error> {
    now.duration_since(UNIX_EPOCH).map(drop).map_err(|_| Error::ClockUnset)
}

fn change_keys(changes: &mut sled::Batch, keys: &[KeyChange]) {
    for change in keys {
        match change {
            KeyChange::Put(entry) => {
                changes.insert(path(Table::Keys, entry.id.as_bytes()), value::encode(Table::Keys, entry));
            }
            KeyChange::Remove(id) => changes.remove(path(Table::Keys, id.as_bytes())),
        }
    }
}
