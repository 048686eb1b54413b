//! What the calls, the administrator and the journal's thread have in common.

use std::{collections::BTreeMap, io, time::Duration};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    Clock, Error, Lag,
    frame::{self, Refusals},
    keys::KeyTable,
    opened::{Attempt, Opened},
    segments::Segments,
    slots::{self, Slots},
};
use crate::{
    limit::HOUR_MS,
    store::{KeyChange, Record},
};

/// What a row may take beyond the texts that its call was opened with.
const ROW_BYTES_BESIDE: usize = 1_000;

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) tail: Mutex<Tail>,
    /// Locked while a change of keys is decided and told, and never while the disk is waited for.
    pub(super) keys: Mutex<KeyTable>,
    /// Locked before `tail`, while a change of keys is written and flushed.
    pub(super) changing: Mutex<()>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    progress: Mutex<Progress>,
    /// Something is asked of the thread.
    asked: Condvar,
    /// The thread has got on.
    advanced: Condvar,
}

/// Where calls are written.
pub(super) struct Tail {
    pub(super) segments: Segments,
    pub(super) slots: Slots,
    rows_lost: u64,
}

/// What the thread has done and is to do.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Of what this process wrote.
    pub(super) frames_stored: u64,
    /// Of what this process wrote.
    pub(super) bytes_stored: u64,
    pub(super) failures: u64,
    /// Why the last round failed.
    pub(super) failure: Option<String>,
    hurried: bool,
    stopping: bool,
}

/// A place in the table of open calls, and room for the row.
#[derive(Debug)]
pub(super) struct Place {
    slot: u32,
    reserved: usize,
}

impl Shared {
    pub(super) fn new(clock: Clock, segments: Segments, slots: Slots, keys: KeyTable) -> Shared {
        Shared {
            clock,
            tail: Mutex::new(Tail { segments, slots, rows_lost: 0 }),
            keys: Mutex::new(keys),
            changing: Mutex::default(),
            refusals: Mutex::default(),
            progress: Mutex::default(),
            asked: Condvar::new(),
            advanced: Condvar::new(),
        }
    }

    /// Opens a call: from here on it leaves a row, whatever becomes of the process.
    pub(super) fn open(&self, opened: &Opened) -> Result<Place, Error> {
        let call = slots::encode_call(opened).ok_or(Error::NoRoom(io::ErrorKind::InvalidData))?;
        let reserved = opened.text_bytes() + ROW_BYTES_BESIDE;
        let mut tail = self.tail.lock();
        tail.segments.reserve(reserved).map_err(|error| Error::NoRoom(error.kind()))?;
        match tail.slots.open(&call) {
            Ok(slot) => Ok(Place { slot, reserved }),
            Err(error) => {
                tail.segments.cancel(reserved);
                Err(Error::NoRoom(error.kind()))
            }
        }
    }

    /// Notes where an open call is sent.
    pub(super) fn sent(&self, place: &Place, attempt: &Attempt) {
        if let Some(attempt) = slots::encode_attempt(attempt) {
            self.tail.lock().slots.sent(place.slot, &attempt);
        }
    }

    /// Writes a row, into the room of its call where it has one.
    pub(super) fn record(&self, place: Option<Place>, mut record: Record) -> Result<(), Error> {
        record.clip();
        let frame = frame::row(&record);
        let mut tail = self.tail.lock();
        let written = match place {
            Some(Place { slot, reserved }) => {
                let written = tail.segments.append_reserved(&frame, reserved);
                tail.slots.empty(slot);
                written
            }
            None => tail.segments.append_unreserved(&frame),
        };
        if written.is_err() {
            tail.rows_lost += 1;
        }
        let is_wanted = tail.segments.wants_one_now();
        drop(tail);
        if is_wanted {
            self.asked.notify_one();
        }
        written.map_err(|error| Error::NoRoom(error.kind()))
    }

    /// Counts a request that is nobody's call.
    pub(super) fn count_refusal(&self, code: &'static str) {
        *self.refusals.lock().entry(code).or_default() += 1;
    }

    /// Writes what was counted.
    pub(super) fn write_refusals(&self, now_ms: u64) -> io::Result<()> {
        let counts = std::mem::take(&mut *self.refusals.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let named = counts.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        let hour = u32::try_from(now_ms / HOUR_MS).unwrap_or(u32::MAX);
        let written = self.tail.lock().segments.append_unreserved(&frame::refusals(&Refusals { hour, counts: named }));
        if written.is_err() {
            let mut refusals = self.refusals.lock();
            counts.into_iter().for_each(|(code, count)| *refusals.entry(code).or_default() += count);
        }
        written
    }

    /// Writes a change of keys and flushes it. A change that cannot be flushed is taken back, or stays all the same
    /// where `stays` says so.
    ///
    /// # Errors
    /// What stood in the way, and whether the change was written all the same.
    pub(super) fn write_change(&self, changes: &[KeyChange], stays: bool) -> Result<(), UnflushedError> {
        self.write_change_locked(&self.changing.lock(), changes, stays)
    }

    /// [`Shared::write_change`] for who holds `changing`: one change is flushed at a time.
    pub(super) fn write_change_locked(
        &self,
        _changing: &MutexGuard<'_, ()>,
        changes: &[KeyChange],
        stays: bool,
    ) -> Result<(), UnflushedError> {
        let frame = frame::keys(changes);
        if frame.len() > frame::PAYLOAD_BYTES_MAX {
            return Err(UnflushedError { is_written: false, source: io::ErrorKind::FileTooLarge.into() });
        }
        let written = self.tail.lock().segments.append_change(&frame);
        let unflushed = written.map_err(|source| UnflushedError { is_written: false, source })?;
        let flushed = unflushed.flush();
        let mut tail = self.tail.lock();
        match flushed {
            Err(source) if !stays => {
                tail.segments.void_change();
                Err(UnflushedError { is_written: false, source })
            }
            flushed => {
                tail.segments.release_change();
                flushed.map_err(|source| UnflushedError { is_written: true, source })
            }
        }
    }

    /// Makes the segments that should be ready, and gives back the memory of those that are written, while calls go
    /// on.
    pub(super) fn extend(&self) -> io::Result<()> {
        let retired = self.tail.lock().segments.take_retired();
        drop(retired);
        loop {
            let Some(make) = self.tail.lock().segments.wanted() else { return Ok(()) };
            let (number, made) = make();
            self.tail.lock().segments.provide(number, made)?;
        }
    }

    /// Makes what was written so far durable. Nobody waits for it.
    pub(super) fn sync(&self) -> io::Result<()> {
        let files = self.tail.lock().segments.take_unsynced();
        let synced = files.iter().try_for_each(|file| file.sync_data());
        if synced.is_err() {
            self.tail.lock().segments.keep_unsynced(files);
        }
        synced
    }

    /// Why calls find no room.
    pub(super) fn refuses(&self) -> Option<io::ErrorKind> {
        self.tail.lock().segments.refuses()
    }

    /// Why the last round of the thread failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.progress.lock().failure.clone()
    }

    pub(super) fn lag(&self) -> Lag {
        let progress = self.progress.lock();
        let (frames_stored, bytes_stored, failures) =
            (progress.frames_stored, progress.bytes_stored, progress.failures);
        drop(progress);
        let tail = self.tail.lock();
        Lag {
            rows: tail.segments.frames_written.saturating_sub(frames_stored),
            bytes: tail.segments.bytes_written.saturating_sub(bytes_stored),
            allocated_bytes: tail.segments.allocated_bytes() + tail.slots.allocated_bytes(),
            rows_lost: tail.rows_lost,
            failures,
        }
    }

    pub(super) fn catch_up(&self, timeout: Duration) -> bool {
        let written = self.tail.lock().segments.bytes_written;
        let mut progress = self.progress.lock();
        progress.hurried = true;
        self.asked.notify_one();
        !self.advanced.wait_while_for(&mut progress, |progress| progress.bytes_stored < written, timeout).timed_out()
    }

    pub(super) fn stop(&self) {
        self.progress.lock().stopping = true;
        self.asked.notify_one();
    }

    /// The thread's rest: until the time is up or something is asked of it. Returns whether it is to stop.
    pub(super) fn rest(&self, timeout: Duration) -> bool {
        let mut progress = self.progress.lock();
        if !progress.hurried && !progress.stopping {
            self.asked.wait_for(&mut progress, timeout);
        }
        progress.hurried = false;
        progress.stopping
    }

    /// Notes what the thread has done.
    pub(super) fn advance(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.progress.lock());
        self.advanced.notify_all();
    }
}

/// A change of keys that is not known to be on the disk.
#[derive(Debug)]
pub(super) struct UnflushedError {
    /// Whether it is in the journal all the same, where a kill does not undo it.
    pub(super) is_written: bool,
    pub(super) source: io::Error,
}
