//! The ledger's thread: from the spool into the store, batch by batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    CRASHED, Clock, Error, Recovered, Settings, fold,
    reader::Reader,
    shared::Shared,
    spool::{self, Create, Spool},
};
use crate::{
    limit::{DAY_MS, Past},
    store::{Batch, Position, Store},
};

/// Blocks of rows removed at once, so that a long absence is made up for bit by bit.
const PRUNE_BLOCKS: usize = 256;
const PRUNE_INTERVAL_MS: u64 = 60_000;
/// Deferred frames written under one lock, so that calls get in between.
const DEFERRED_FRAMES: usize = 64;
/// How far back a limiter counts requests, with a second to spare.
const REQUESTS_MS: u64 = 62_000;
const PAGE_ROWS: usize = 1_000;

pub(super) struct Writer {
    dir: PathBuf,
    settings: Settings,
    shared: Arc<Shared>,
    taker: Taker,
    flushed_ms: u64,
    pruned_ms: u64,
    /// Whether the last round failed: a failure is logged when it begins.
    failing: bool,
}

/// The walk along the spool.
struct Taker {
    store: Arc<dyn Store>,
    reader: Reader,
    /// Where the store stands.
    stored: Position,
    /// Where reading goes on: `stored`, or the beginning of a later segment.
    at: Position,
    /// A batch the store refused. It is tried again as it is: the store may have it, and tells by its position.
    refused: Option<(Batch, Taken)>,
    /// The calls that the store knows as opened.
    marked: HashSet<String>,
    entries_max: usize,
    /// Whether the store has changed since its last flush.
    dirty: bool,
}

/// What one batch took over.
#[derive(Debug, Default)]
struct Taken {
    frames: u64,
    rows: u64,
    bytes: u64,
    damaged: u64,
}

impl Writer {
    /// Takes over what a former process left, and begins a new segment.
    pub(super) fn recover(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        clock: Clock,
        create: Create,
    ) -> Result<(Writer, Recovered), Error> {
        let failed = |source: io::Error| Error::Io { path: dir.to_owned(), source };
        spool::make_dir(dir).map_err(failed)?;
        let left = spool::list(dir).map_err(failed)?;
        let mut taker = Taker::new(dir, store, settings.batch_rows_max)?;
        let mut recovered = Recovered::default();
        while let Some(taken) = taker.take(&left)? {
            recovered.rows_replayed += taken.rows;
            recovered.bytes_damaged += taken.damaged;
        }
        recovered.calls_crashed = taker.close_crashed()?;
        taker.store.flush()?;
        taker.dirty = false;
        left.keys().try_for_each(|&number| std::fs::remove_file(spool::path(dir, number))).map_err(failed)?;

        let now_ms = clock();
        recovered.accounts = accounts(&*taker.store, now_ms)?;
        let number = left.keys().copied().chain([taker.stored.segment]).max().unwrap_or_default() + 1;
        let spool = Spool::begin(dir, number, create, settings.segment_bytes_max, settings.queue_bytes_max);
        let shared = Arc::new(Shared::new(clock, spool.map_err(failed)?));
        taker.at = Position { segment: number, offset: 0 };
        let dir = dir.to_owned();
        Ok((Writer { dir, settings, shared, taker, flushed_ms: now_ms, pruned_ms: 0, failing: false }, recovered))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) -> Result<(), Error> {
        let interval = Duration::from_millis(self.settings.interval_ms);
        while !self.shared.rest(interval) {
            let failure = self.round().err();
            if let Some(error) = &failure {
                self.shared.advance(|progress| progress.failures += 1);
                if !self.failing {
                    tracing::error!(%error, source = ?std::error::Error::source(error), "the ledger is behind");
                }
            }
            self.failing = failure.is_some();
        }
        self.drain()
    }

    /// One round of everything that is due.
    pub(super) fn round(&mut self) -> Result<(), Error> {
        let now_ms = (self.shared.clock)();
        self.write_deferred()?;
        self.mark_calls(now_ms);
        self.take_over()?;
        if self.taker.dirty && now_ms.abs_diff(self.flushed_ms) >= self.settings.flush_interval_ms {
            self.flush()?;
            self.flushed_ms = now_ms;
        }
        self.prune(now_ms)
    }

    /// Takes over everything, and makes it durable.
    fn drain(&mut self) -> Result<(), Error> {
        self.write_deferred()?;
        self.take_over()?;
        self.flush()
    }

    fn write_deferred(&self) -> Result<(), Error> {
        let failed = |source| Error::Io { path: self.dir.clone(), source };
        while self.shared.spool.lock().write_deferred(DEFERRED_FRAMES).map_err(failed)? {}
        Ok(())
    }

    /// Marks the calls that have lived long enough.
    pub(super) fn mark_calls(&self, now_ms: u64) {
        let before_ms = now_ms.saturating_sub(self.settings.open_after_ms);
        while let Some(call) = self.shared.open_calls.take_older(before_ms) {
            if !call.mark(|opened| self.shared.mark(opened)) {
                self.shared.open_calls.put_back(call);
                return;
            }
        }
    }

    fn take_over(&mut self) -> Result<(), Error> {
        let ends = self.shared.spool.lock().ends();
        while let Some(taken) = self.taker.take(&ends)? {
            self.shared.advance(|progress| {
                progress.frames_stored += taken.frames;
                progress.bytes_stored += taken.bytes;
            });
            if taken.damaged > 0 {
                tracing::error!(bytes = taken.damaged, "the spool is damaged, what can be read is kept");
            }
        }
        Ok(())
    }

    /// Makes the store durable, and removes the segments it needs no more.
    fn flush(&mut self) -> Result<(), Error> {
        self.taker.store.flush()?;
        self.taker.dirty = false;
        let done = self.taker.at.segment;
        let ends = self.shared.spool.lock().ends();
        for &number in ends.keys().filter(|&&number| number < done) {
            let path = spool::path(&self.dir, number);
            std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })?;
            self.shared.spool.lock().release(number + 1);
        }
        Ok(())
    }

    fn prune(&mut self, now_ms: u64) -> Result<(), Error> {
        let Some(days) = self.settings.retention_days else { return Ok(()) };
        if now_ms.abs_diff(self.pruned_ms) < PRUNE_INTERVAL_MS {
            return Ok(());
        }
        let before_ms = now_ms.saturating_sub(u64::from(days) * DAY_MS);
        let removed = self.taker.store.prune(before_ms, PRUNE_BLOCKS)?;
        self.taker.dirty |= removed > 0;
        if removed < PRUNE_BLOCKS {
            self.pruned_ms = now_ms;
        }
        Ok(())
    }
}

impl Taker {
    fn new(dir: &Path, store: Arc<dyn Store>, entries_max: usize) -> Result<Taker, Error> {
        let stored = store.position()?;
        let marked = store.opened()?.into_iter().map(|opened| opened.request_id).collect();
        let entries_max = entries_max.max(1);
        Ok(Taker {
            store,
            reader: Reader::new(dir),
            stored,
            at: stored,
            refused: None,
            marked,
            entries_max,
            dirty: false,
        })
    }

    /// Takes over the next entries of the segments that end here; `None` when there are none.
    fn take(&mut self, ends: &BTreeMap<u64, u64>) -> Result<Option<Taken>, Error> {
        let next = match self.refused.take() {
            Some(refused) => Some(refused),
            None => self.read(ends)?,
        };
        let Some((batch, taken)) = next else { return Ok(None) };
        if let Err(error) = self.store.append(&batch) {
            self.refused = Some((batch, taken));
            return Err(error.into());
        }
        self.dirty = true;
        (self.stored, self.at) = (batch.to, batch.to);
        for request_id in &batch.closed {
            self.marked.remove(request_id);
        }
        self.marked.extend(batch.opened.into_iter().map(|opened| opened.request_id));
        Ok(Some(taken))
    }

    /// The next batch, not stored yet.
    fn read(&mut self, ends: &BTreeMap<u64, u64>) -> Result<Option<(Batch, Taken)>, Error> {
        let Some((at, end)) = self.next(ends) else { return Ok(None) };
        let portion = self.reader.read(at, end, self.entries_max)?;
        let to = Position { segment: at.segment, offset: portion.offset };
        let frames = portion.entries.len() as u64;
        let batch = fold::batch(portion.entries, &self.marked, self.stored, to);
        let rows = batch.rows.len() as u64;
        let taken = Taken { frames, rows, bytes: to.offset - at.offset, damaged: portion.damaged };
        Ok(Some((batch, taken)))
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

    /// Gives every opened call without a row its row, and returns how many there were.
    fn close_crashed(&mut self) -> Result<u64, Error> {
        let mut batch = Batch { from: self.stored, to: self.stored, ..Batch::default() };
        for opened in self.store.opened()? {
            batch.closed.push(opened.request_id.clone());
            batch.rows.push(opened.into_record(CRASHED, 0));
        }
        fold::add_up(&mut batch);
        self.store.append(&batch)?;
        self.marked.clear();
        Ok(batch.rows.len() as u64)
    }
}

/// What each key has used, for the limiter.
fn accounts(store: &dyn Store, now_ms: u64) -> Result<Vec<(String, Past)>, Error> {
    let mut accounts = HashMap::<String, Past>::new();
    for (key_id, sums) in store.sums()? {
        let past = Past {
            day: sums.day,
            day_tokens: sums.day_tokens,
            month: sums.month,
            month_tokens: sums.month_tokens,
            total_tokens: sums.total_tokens,
            ..Past::default()
        };
        accounts.insert(key_id, past);
    }
    let from_ms = now_ms.saturating_sub(REQUESTS_MS);
    let mut page = store.records(from_ms, u64::MAX, PAGE_ROWS, None)?;
    loop {
        for row in page.records.into_iter().filter(|row| row.admitted && !row.key_id.is_empty()) {
            accounts.entry(row.key_id).or_default().requests_ms.push(row.started_ms);
        }
        let Some(cursor) = page.next else { break };
        page = store.records(from_ms, u64::MAX, PAGE_ROWS, Some(cursor))?;
    }
    Ok(accounts.into_iter().collect())
}
