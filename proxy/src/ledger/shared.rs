//! What the calls and the ledger's thread have in common.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Clock, Error, Lag, frame, spool::Spool, ticket::OpenCalls};
use crate::store::{Opened, Record};

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) spool: Mutex<Spool>,
    pub(super) open_calls: OpenCalls,
    progress: Mutex<Progress>,
    /// Something is asked of the thread.
    asked: Condvar,
    /// The thread has got on.
    advanced: Condvar,
}

/// What the thread has done and is to do.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Of what this process wrote.
    pub(super) frames_stored: u64,
    /// Of what this process wrote.
    pub(super) bytes_stored: u64,
    pub(super) failures: u64,
    hurried: bool,
    stopping: bool,
}

impl Shared {
    pub(super) fn new(clock: Clock, spool: Spool) -> Shared {
        Shared {
            clock,
            spool: Mutex::new(spool),
            open_calls: OpenCalls::default(),
            progress: Mutex::default(),
            asked: Condvar::new(),
            advanced: Condvar::new(),
        }
    }

    /// Writes a row.
    pub(super) fn record(&self, mut record: Record) -> Result<(), Error> {
        record.clip();
        let frame = frame::row(&record);
        let mut spool = self.spool.lock();
        match spool.append(&frame) {
            Ok(()) => Ok(()),
            Err(error) if spool.defer(frame) => Err(Error::Deferred(error)),
            Err(error) => Err(Error::Lost(error)),
        }
    }

    /// Marks a call as begun. A mark that cannot be written is not kept: the call is tried again.
    pub(super) fn mark(&self, opened: &Opened) -> bool {
        self.spool.lock().append(&frame::opened(opened)).is_ok()
    }

    pub(super) fn lag(&self) -> Lag {
        let progress = self.progress.lock();
        let (frames_stored, bytes_stored, failures) =
            (progress.frames_stored, progress.bytes_stored, progress.failures);
        drop(progress);
        let spool = self.spool.lock();
        Lag {
            rows: spool.frames_written - frames_stored,
            bytes: spool.bytes_written - bytes_stored,
            rows_deferred: spool.deferred(),
            rows_lost: spool.frames_lost,
            failures,
        }
    }

    pub(super) fn catch_up(&self, timeout: Duration) -> bool {
        let written = self.spool.lock().bytes_written;
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
        self.asked.wait_while_for(&mut progress, |progress| !progress.hurried && !progress.stopping, timeout);
        progress.hurried = false;
        progress.stopping
    }

    /// Notes what the thread has done.
    pub(super) fn advance(&self, note: impl FnOnce(&mut Progress)) {
        note(&mut self.progress.lock());
        self.advanced.notify_all();
    }
}
