//! The journal's thread: segments ready ahead, entries into the store, batch by batch, and the store kept well.

use std::{
    io,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Clock, Error, Recovered, RowRules, Settings,
    horizon::Horizon,
    keys::KeyTable,
    segments::{self, Create, Segments},
    shared::Shared,
    slots::{self, Slots},
    taker::{Reopened, Taker},
};
use crate::{
    limit::DAY_MS,
    store::{self, Store},
};

/// Files of rows removed at once, so that a long absence is made up for bit by bit.
const PRUNE_FILES: usize = 16;
const PRUNE_INTERVAL_MS: u64 = 60_000;
/// The longest pause after a failure, however many there were: what heals is seen within this time.
const PAUSE_MS_MAX: u64 = 3_000;
/// Segments that were taken over and wait for the store to be flushed.
const SEGMENTS_WAITING_MAX: usize = 2;
/// How much the thread gives way to the workers.
const NICE: i32 = 5;

pub(super) struct Writer {
    dir: PathBuf,
    settings: Settings,
    shared: Arc<Shared>,
    taker: Taker,
    horizon: Horizon,
    synced_ms: u64,
    flushed_ms: u64,
    pruned_ms: u64,
    /// Rounds that failed, one after the other.
    failures: u32,
    /// The store has failed and is to be opened again.
    has_store_failed: bool,
}

impl Writer {
    /// Takes over what a former process left, and begins a new segment.
    ///
    /// # Errors
    /// [`store::Error::DiskFull`] in place of any that a full disk is behind.
    pub(super) fn recover(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        rules: RowRules,
        clock: Clock,
        create: Create,
    ) -> Result<(Writer, Recovered), Error> {
        Writer::take_up(dir, store, settings, rules, clock, create)
            .map_err(|error| store::full_disk_behind(&error, dir).map_or(error, Error::Store))
    }

    fn take_up(
        dir: &Path,
        store: Arc<dyn Store>,
        settings: Settings,
        rules: RowRules,
        clock: Clock,
        create: Create,
    ) -> Result<(Writer, Recovered), Error> {
        let failed = |source: io::Error| Error::Io { path: dir.to_owned(), source };
        segments::make_dir(dir).map_err(failed)?;
        let left = segments::list(dir, segments::SUFFIX).map_err(failed)?;
        let tables = slots::left(dir).map_err(failed)?;
        let mut taker = Taker::new(dir, store, rules, settings.batch_rows_max)?;
        let mut recovered = Recovered::default();
        while let Some(taken) = taker.take(&left)? {
            recovered.rows_replayed += taken.rows;
            recovered.bytes_damaged += taken.damaged;
        }
        recovered.calls_crashed = taker.close_cut(tables)?;
        if !left.is_empty() || taker.is_dirty {
            // Also what the last process had stored and not flushed: its segments go now.
            taker.flush()?;
        }
        left.keys().try_for_each(|&number| std::fs::remove_file(segments::path(dir, number))).map_err(failed)?;
        remove_tables(dir).map_err(failed)?;

        let now_ms = (clock.wall_ms)();
        let number =
            left.keys().copied().chain([taker.at.segment, taker.closed_table()?]).max().unwrap_or_default() + 1;
        let slots = Slots::begin(dir, number, &create, settings.calls_max).map_err(failed)?;
        let tail = Segments::begin(dir, number, create, settings.segment_bytes).map_err(failed)?;
        let keys = KeyTable::new(taker.store.keys()?, settings.keys_max);
        let shared = Arc::new(Shared::new(clock, tail, slots, keys));
        taker.begin_at(number);
        let writer = Writer {
            dir: dir.to_owned(),
            settings,
            shared,
            taker,
            horizon: Horizon::default(),
            synced_ms: now_ms,
            flushed_ms: now_ms,
            pruned_ms: 0,
            failures: 0,
            has_store_failed: false,
        };
        Ok((writer, recovered))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) -> Result<(), Error> {
        // What the thread does can wait for what the calls do; it may keep its rank where the system says so.
        let _ = rustix::process::nice(NICE);
        while !self.shared.rest(Duration::from_millis(self.pause_ms())) {
            let failure = self.caught(Writer::round).err();
            self.note(failure);
        }
        self.caught(Writer::drain)
    }

    /// Runs a part of the thread. sled panics where a disk fails at a bad moment: that is a store that fails, which is
    /// opened again.
    pub(super) fn caught(&mut self, part: fn(&mut Writer) -> Result<(), Error>) -> Result<(), Error> {
        std::panic::catch_unwind(AssertUnwindSafe(|| part(self))).unwrap_or_else(|_| {
            self.has_store_failed = true;
            Err(Error::Panicked)
        })
    }

    /// Until the next round: the usual interval, and twice as long after each failure, to a bound.
    fn pause_ms(&self) -> u64 {
        let usual = self.settings.interval_ms;
        usual.saturating_mul(1 << self.failures.min(10)).min(PAUSE_MS_MAX.max(usual))
    }

    /// A failure is logged when it begins, and when it ends.
    fn note(&mut self, failure: Option<Error>) {
        match &failure {
            Some(error) if self.failures == 0 => {
                tracing::error!(error = %chain(error), "the journal cannot go on: the store or the disk fails");
            }
            None if self.failures > 0 => tracing::info!("the journal and the store work again"),
            _ => {}
        }
        self.failures = if failure.is_some() { self.failures.saturating_add(1) } else { 0 };
        self.shared.advance(|progress| {
            progress.failures += u64::from(failure.is_some());
            progress.failure = failure.as_ref().map(chain);
        });
    }

    /// One round of everything that is due. What can be done is done, also where another part fails.
    pub(super) fn round(&mut self) -> Result<(), Error> {
        let now_ms = (self.shared.clock.wall_ms)();
        let extended = self.shared.extend().map_err(|error| Error::NoSegment(error.kind()));
        let sync_is_due = now_ms.abs_diff(self.synced_ms) >= self.settings.flush_interval_ms;
        let mut written = self.write_waiting(sync_is_due.then_some(now_ms));
        if sync_is_due {
            self.synced_ms = now_ms;
            written = written.and(self.sync());
        }
        let kept = self.keep_store(now_ms);
        self.has_store_failed = kept.is_err();
        extended.and(written).and(kept)
    }

    /// What was written so far outlives the machine's power from here on.
    fn sync(&self) -> Result<(), Error> {
        self.shared.sync().map_err(|source| Error::Io { path: self.dir.clone(), source })
    }

    /// The store's part of a round.
    fn keep_store(&mut self, now_ms: u64) -> Result<(), Error> {
        if self.has_store_failed {
            self.reopen()?;
        }
        self.take_over()?;
        let is_due = now_ms.abs_diff(self.flushed_ms) >= self.settings.store_interval_ms
            || self.segments_waiting() > SEGMENTS_WAITING_MAX;
        if self.taker.is_dirty && is_due {
            self.flush()?;
            self.flushed_ms = now_ms;
        }
        self.prune(now_ms)?;
        if self.taker.store.opens_slowly() {
            self.flush()?;
            self.reopen()?;
        }
        Ok(())
    }

    /// Segments that were taken over whole, and are kept until the store is flushed.
    fn segments_waiting(&self) -> usize {
        let ends = self.shared.tail.lock().segments.ends();
        ends.range(..self.taker.at.segment).count()
    }

    /// Takes over everything, makes it durable, and leaves the store so that it opens quickly.
    fn drain(&mut self) -> Result<(), Error> {
        if self.has_store_failed {
            self.reopen()?;
        }
        self.write_waiting(Some((self.shared.clock.wall_ms)()))?;
        self.take_over()?;
        self.flush()?;
        if self.taker.store.opens_slowly() { self.reopen() } else { Ok(()) }
    }

    /// Writes changes of keys that the disk did not take, and, where it is given the time, counted refusals.
    fn write_waiting(&self, now_ms: Option<u64>) -> Result<(), Error> {
        let no_room = |error: io::Error| Error::NoRoom(error.kind());
        self.shared.write_waiting_keys().map_err(no_room)?;
        now_ms.map_or(Ok(()), |now_ms| self.shared.write_refusals(now_ms)).map_err(no_room)
    }

    fn take_over(&mut self) -> Result<(), Error> {
        let ends = self.shared.tail.lock().segments.ends();
        while let Some(taken) = self.taker.take(&ends)? {
            self.shared.advance(|progress| {
                progress.frames_stored += taken.frames;
                progress.bytes_stored += taken.bytes;
            });
        }
        Ok(())
    }

    /// Makes the store durable, and removes the segments it needs no more.
    fn flush(&mut self) -> Result<(), Error> {
        self.taker.flush()?;
        let done = self.taker.at.segment;
        let ends = self.shared.tail.lock().segments.ends();
        for &number in ends.keys().filter(|&&number| number < done) {
            let path = segments::path(&self.dir, number);
            std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })?;
            self.shared.tail.lock().segments.release(number + 1);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        let Reopened { found, lost } = self.taker.reopen()?;
        self.shared.advance(|progress| {
            progress.frames_stored = progress.frames_stored + found.frames - lost.frames;
            progress.bytes_stored = progress.bytes_stored + found.bytes - lost.bytes;
        });
        Ok(())
    }

    fn prune(&mut self, now_ms: u64) -> Result<(), Error> {
        let trusted_ms = self.horizon.trusted(now_ms, (self.shared.clock.steady_ms)());
        let (Some(days), Some(trusted_ms)) = (self.settings.retention_days, trusted_ms) else { return Ok(()) };
        if now_ms.abs_diff(self.pruned_ms) < PRUNE_INTERVAL_MS {
            return Ok(());
        }
        let before_ms = trusted_ms.saturating_sub(u64::from(days) * DAY_MS);
        if self.taker.store.prune(before_ms, trusted_ms, PRUNE_FILES)? < PRUNE_FILES {
            self.pruned_ms = now_ms;
        }
        Ok(())
    }
}

fn remove_tables(dir: &Path) -> io::Result<()> {
    slots::numbers(dir)?.into_iter().try_for_each(|number| std::fs::remove_file(slots::path(dir, number)))
}

/// An error with its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
