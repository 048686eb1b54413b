//! What the tests of this room and of the ledger share: a data directory with clocks, and a disk that can be full.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    Clock, Error, Journal, Recovered, RowRules, Settings, mapped,
    segments::{self, Create},
    writer::Writer,
};
use crate::store::{SledStore, Store};

/// 2024-02-28 23:59:00 UTC.
pub(crate) const NOW_MS: u64 = 1_709_164_740_000;

/// A data directory with its clocks, and everything that is opened in it.
pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    now_ms: Arc<AtomicU64>,
    steady_ms: Arc<AtomicU64>,
    pub(crate) disk: Disk,
}

/// A disk that can be full, or fail to flush.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    is_full: Arc<AtomicBool>,
    fails_to_flush: Arc<AtomicBool>,
}

/// The journal's thread, which is the test: nothing happens until [`ByHand::round`].
pub(crate) struct ByHand(Writer);

impl ByHand {
    pub(crate) fn round(&mut self) -> Result<(), Error> {
        self.0.caught(Writer::round)
    }
}

impl Disk {
    pub(crate) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Whether segments that are made from now on fail to flush.
    pub(crate) fn fail_to_flush(&self, fails: bool) {
        self.fails_to_flush.store(fails, Ordering::Relaxed);
    }

    fn create(&self) -> Create {
        let disk = self.clone();
        Arc::new(move |path, bytes| {
            if disk.is_full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let made = mapped::create(path, bytes)?;
            Ok(if disk.fails_to_flush.load(Ordering::Relaxed) { made.unable_to_flush() } else { made })
        })
    }
}

impl House {
    pub(crate) fn new() -> House {
        let (now_ms, steady_ms) = (Arc::new(AtomicU64::new(NOW_MS)), Arc::default());
        House { dir: tempfile::tempdir().unwrap(), now_ms, steady_ms, disk: Disk::default() }
    }

    pub(crate) fn store(&self) -> Arc<SledStore> {
        Arc::new(SledStore::open(&self.dir.path().join("store"), &Default::default()).unwrap())
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub(crate) fn clock(&self) -> Clock {
        let read = |clock: &Arc<AtomicU64>| {
            let clock = clock.clone();
            Arc::new(move || clock.load(Ordering::Relaxed))
        };
        Clock { wall_ms: read(&self.now_ms), steady_ms: read(&self.steady_ms) }
    }

    /// Both clocks go on.
    pub(crate) fn pass_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
        self.steady_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock is set to another time.
    pub(crate) fn set_clock_ms(&self, ms: u64) {
        self.now_ms.store(ms, Ordering::Relaxed);
    }

    /// A journal whose thread is the test.
    pub(crate) fn by_hand(
        &self,
        store: Arc<dyn Store>,
        settings: Settings,
        rules: RowRules,
    ) -> Result<(Journal, ByHand, Recovered), Error> {
        let (writer, recovered) =
            Writer::recover(&self.journal_dir(), store, settings, rules, self.clock(), self.disk.create())?;
        let journal = Journal { shared: writer.shared().clone(), thread: Mutex::new(None) };
        Ok((journal, ByHand(writer), recovered))
    }

    pub(crate) fn segments(&self) -> usize {
        segments::list(&self.journal_dir(), segments::SUFFIX).unwrap().len()
    }
}
