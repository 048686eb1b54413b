//! The walk along the journal: its entries become batches of the store.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use super::{
    Error, RowRules,
    frame::Entry,
    reader::{Portion, Reader},
    slots::Left,
};
use crate::store::{Batch, Dimension, Position, Rollup, RollupKey, Store};

/// The last table of open calls whose calls have their rows, in the store's named values.
const CLOSED_TABLE: &str = "journal.closed_table";

pub(super) struct Taker {
    pub(super) store: Arc<dyn Store>,
    reader: Reader,
    rules: RowRules,
    /// Where the store stands.
    stored: Position,
    /// Where reading goes on: `stored`, or the beginning of a later segment.
    pub(super) at: Position,
    /// A batch the store refused. It is tried again as it is: the store may have it, and tells by its position.
    refused: Option<(Batch, Taken)>,
    entries_max: usize,
    /// Whether the store has changed since its last flush.
    pub(super) is_dirty: bool,
    /// What was taken since the last flush: a store that is opened again may have lost it.
    unflushed: VecDeque<(Position, Taken)>,
}

/// What one batch took over.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Taken {
    pub(super) frames: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
}

/// How far a store that was opened again stands from where it was thought to stand.
#[derive(Debug, Default)]
pub(super) struct Reopened {
    /// A batch that it has, although it had said no.
    pub(super) found: Taken,
    /// What it has no more: it is taken once more.
    pub(super) lost: Taken,
}

impl Taker {
    pub(super) fn new(dir: &Path, store: Arc<dyn Store>, rules: RowRules, entries_max: usize) -> Result<Taker, Error> {
        let stored = store.position()?;
        Ok(Taker {
            store,
            reader: Reader::new(dir),
            rules,
            stored,
            at: stored,
            refused: None,
            entries_max: entries_max.max(1),
            is_dirty: false,
            unflushed: VecDeque::new(),
        })
    }

    /// Takes over the next entries of the segments that end here; `None` when there are none.
    pub(super) fn take(&mut self, ends: &BTreeMap<u64, u64>) -> Result<Option<Taken>, Error> {
        let next = match self.refused.take() {
            Some(refused) => Some(refused),
            None => self.read(ends)?,
        };
        let Some(next) = next else { return Ok(None) };
        // Kept until the store has it, also where its library panics.
        self.store.append(&self.refused.insert(next).0)?;
        let Some((batch, taken)) = self.refused.take() else { return Ok(None) };
        self.is_dirty = true;
        (self.stored, self.at) = (batch.to, batch.to);
        self.unflushed.push_back((batch.to, taken));
        Ok(Some(taken))
    }

    /// Reading goes on in a new segment: the ones before are taken over and removed.
    pub(super) fn begin_at(&mut self, segment: u64) {
        self.at = Position { segment, offset: 0 };
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.store.flush()?;
        self.is_dirty = false;
        self.unflushed.clear();
        Ok(())
    }

    /// Opens the store again and goes back to where it stands.
    pub(super) fn reopen(&mut self) -> Result<Reopened, Error> {
        self.store.reopen()?;
        self.stored = self.store.position()?;
        self.at = self.stored;
        let mut reopened = Reopened::default();
        if let Some((batch, taken)) = self.refused.take().filter(|(batch, _)| batch.to == self.stored) {
            self.unflushed.push_back((batch.to, taken));
            reopened.found = taken;
        }
        while let Some((_, taken)) = self.unflushed.pop_back_if(|(to, _)| *to > self.stored) {
            reopened.lost.frames += taken.frames;
            reopened.lost.bytes += taken.bytes;
        }
        Ok(reopened)
    }

    /// Gives every call that the last process left open its row, and returns how many there were. Tables whose calls
    /// have theirs are passed over.
    pub(super) fn close_cut(&mut self, tables: BTreeMap<u64, Left>) -> Result<u64, Error> {
        let closed = self.closed_table()?;
        let mut batch = Batch { from: self.stored, to: self.stored, ..Batch::default() };
        for (number, left) in tables.into_iter().filter(|(number, _)| *number > closed) {
            if left.damaged > 0 {
                tracing::error!(calls = left.damaged, "the table of open calls is damaged, what can be read is kept");
            }
            let ids: Vec<_> = left.calls.iter().map(|cut| cut.opened.request_id.clone()).collect();
            let recorded = self.store.have_rows(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
            let cut = left.calls.into_iter().filter(|cut| !recorded.contains(cut.opened.request_id.as_str()));
            batch.rows.extend(cut.map(|cut| (self.rules.cut_short)(cut)));
            if !batch.rows.is_empty() {
                batch.metas = vec![(CLOSED_TABLE.to_owned(), number.to_be_bytes().to_vec())];
            }
        }
        // The usual start, after a process that ended well, writes nothing.
        if batch.rows.is_empty() {
            return Ok(0);
        }
        (self.rules.add_up)(&mut batch);
        self.store.append(&batch)?;
        self.is_dirty = true;
        Ok(batch.rows.len() as u64)
    }

    /// The number of the last table of open calls whose calls have their rows; 0 for none.
    pub(super) fn closed_table(&self) -> Result<u64, Error> {
        let number = self.store.meta(CLOSED_TABLE)?.and_then(|bytes| bytes.try_into().ok());
        Ok(number.map_or(0, u64::from_be_bytes))
    }

    /// The next batch, not stored yet.
    fn read(&mut self, ends: &BTreeMap<u64, u64>) -> Result<Option<(Batch, Taken)>, Error> {
        let Some((at, end)) = self.next(ends) else { return Ok(None) };
        let portion = self.reader.read(at, end, self.entries_max)?;
        let to = Position { segment: at.segment, offset: portion.offset };
        let (frames, bytes, damaged) = (portion.frames, to.offset - at.offset, portion.damaged);
        if damaged > 0 {
            tracing::error!(bytes = damaged, segment = at.segment, "the journal is damaged, what can be read is kept");
        }
        let batch = self.batch(portion, to);
        let rows = batch.rows.len() as u64;
        Ok(Some((batch, Taken { frames, rows, bytes, damaged })))
    }

    fn batch(&self, portion: Portion, to: Position) -> Batch {
        let mut batch = Batch { from: self.stored, to, ..Batch::default() };
        let mut refusals = Vec::new();
        for entry in portion.entries {
            match entry {
                Entry::Row(row) => batch.rows.push(row),
                Entry::Keys(changes) => batch.keys.extend(changes),
                Entry::Refusals(counted) => refusals.push(counted),
            }
        }
        (self.rules.add_up)(&mut batch);
        for counted in refusals {
            batch.rollups.extend(counted.counts.into_iter().map(|(name, count)| {
                let key = RollupKey { dimension: Dimension::Refusal, hour: counted.hour, name };
                (key, Rollup { calls: count, errors: count, ..Rollup::default() })
            }));
        }
        batch
    }

    /// Where there is something to read, and where its segment ends.
    fn next(&mut self, ends: &BTreeMap<u64, u64>) -> Option<(Position, u64)> {
        for (&segment, &end) in ends.range(self.at.segment..) {
            if segment > self.at.segment {
                self.at = Position { segment, offset: 0 };
            }
            if self.at.offset < end {
                return Some((self.at, end));
            }
        }
        None
    }
}
