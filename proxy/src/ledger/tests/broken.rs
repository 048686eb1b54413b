//! Disks and stores that fail, in between and for good.

use std::{ops::Range, sync::atomic::AtomicBool};

use super::*;
use crate::store::{Batch, Cursor, KeyEntry, Page, Position, Rollup, RollupKey, Sums, Visit};

/// A disk with so many bytes left. A write that does not fit leaves the piece that did, as disks do.
#[derive(Clone)]
struct Disk {
    left: Arc<AtomicU64>,
    /// Whether a torn piece can be cut off again.
    cuts: bool,
}

struct Torn {
    file: Box<dyn spool::Segment>,
    disk: Disk,
}

impl spool::Segment for Torn {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.disk.left.load(Ordering::Relaxed);
        let fits = (bytes.len() as u64).min(left);
        self.disk.left.fetch_sub(fits, Ordering::Relaxed);
        self.file.append(&bytes[..fits as usize])?;
        if fits < bytes.len() as u64 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if self.disk.cuts { self.file.cut(length) } else { Err(io::ErrorKind::Other.into()) }
    }
}

impl Disk {
    fn create(&self) -> spool::Create {
        let disk = self.clone();
        Box::new(move |path| Ok(Box::new(Torn { file: spool::create(path)?, disk: disk.clone() })))
    }
}

#[test]
fn a_full_disk_defers_rows_and_loses_none_once_there_is_room() {
    for cuts in [true, false] {
        let house = House::new();
        let store = house.store();
        let disk = Disk { left: Arc::new(AtomicU64::new(1_000)), cuts };
        let (ledger, mut writer, _) = house.by_hand_onto(store.clone(), small(), disk.create());
        let results: Vec<_> = (0..100).map(|call| ledger.record(None, row(&format!("req_{call}"), 1))).collect();
        let deferred = results.iter().filter(|result| matches!(result, Err(Error::Deferred(_)))).count() as u64;
        let written = results.iter().filter(|result| result.is_ok()).count() as u64;
        assert!(written > 5 && deferred > 50 && written + deferred == 100, "{written} written, {deferred} deferred");
        assert_eq!(ledger.lag().rows_deferred, deferred);

        writer.round().expect_err("the disk is still full");
        disk.left.store(u64::MAX, Ordering::Relaxed);
        ledger.record(None, row("req_100", 1)).unwrap();
        writer.round().unwrap();
        assert_eq!(rows(&*store).len(), 101, "a cut that works: {cuts}");
        assert_eq!((ledger.lag().rows_deferred, ledger.lag().rows_lost), (0, 0));

        drop((ledger, writer, store));
        let store = house.store();
        house.by_hand(store.clone(), small());
        assert_eq!(rows(&*store).len(), 101, "after a restart");
    }
}

#[test]
fn a_piece_that_could_not_be_cut_off_hides_nothing_after_a_crash() {
    let house = House::new();
    let disk = Disk { left: Arc::new(AtomicU64::new(1_000)), cuts: false };
    let (ledger, _keeper, _) = house.by_hand_onto(house.store(), small(), disk.create());
    let mut kept: u64 =
        (0..20).map(|call| u64::from(ledger.record(None, row(&format!("req_{call}"), 1)).is_ok())).sum();
    disk.left.store(u64::MAX, Ordering::Relaxed);
    kept += (20..40).map(|call| u64::from(ledger.record(None, row(&format!("req_{call}"), 1)).is_ok())).sum::<u64>();
    std::mem::forget(ledger);
    drop(_keeper);
    let store = house.store();
    let (_, _, recovered) = house.by_hand(store.clone(), small());
    assert!(recovered.bytes_damaged > 0);
    assert_eq!((recovered.rows_replayed, rows(&*store).len() as u64), (kept, kept));
}

#[test]
fn a_queue_that_is_full_says_that_the_row_is_lost() {
    let house = House::new();
    let disk = Disk { left: Arc::new(AtomicU64::new(0)), cuts: true };
    let settings = Settings { queue_bytes_max: 300, ..small() };
    let (ledger, _keeper, _) = house.by_hand_onto(house.store(), settings, disk.create());
    let results: Vec<_> = (0..10).map(|call| ledger.record(None, row(&format!("req_{call}"), 1))).collect();
    let lost = results.iter().filter(|result| matches!(result, Err(Error::Lost(_)))).count() as u64;
    assert_eq!((lost, ledger.lag().rows_lost, ledger.lag().rows_deferred), (lost, lost, 10 - lost));
    assert!((1..10).contains(&lost), "{lost}");
}

#[test]
fn a_mark_that_cannot_be_written_is_tried_again() {
    let house = House::new();
    let store = house.store();
    let disk = Disk { left: Arc::new(AtomicU64::new(10)), cuts: true };
    let (ledger, mut writer, _) = house.by_hand_onto(store.clone(), small(), disk.create());
    let _ticket = ledger.open_call(opened("req_1", 1));
    house.pass_ms(51);
    writer.round().unwrap();
    assert!(store.opened().unwrap().is_empty());
    disk.left.store(u64::MAX, Ordering::Relaxed);
    writer.round().unwrap();
    assert_eq!(store.opened().unwrap().len(), 1);
}

/// A store that fails when told to: before it stored a batch, or after.
struct Flaky {
    store: Arc<dyn Store>,
    fails_before: AtomicBool,
    fails_after: AtomicBool,
    fails_to_flush: AtomicBool,
}

impl Flaky {
    fn new(store: Arc<dyn Store>) -> Arc<Flaky> {
        let flag = || AtomicBool::new(false);
        Arc::new(Flaky { store, fails_before: flag(), fails_after: flag(), fails_to_flush: flag() })
    }
}

fn fail_if(flag: &AtomicBool) -> Result<(), store::Error> {
    let broken = store::Error::Broken { what: "the disk" };
    if flag.load(Ordering::Relaxed) { Err(broken) } else { Ok(()) }
}

impl Store for Flaky {
    fn append(&self, batch: &Batch) -> Result<(), store::Error> {
        fail_if(&self.fails_before)?;
        self.store.append(batch)?;
        fail_if(&self.fails_after)
    }
    fn flush(&self) -> Result<(), store::Error> {
        fail_if(&self.fails_to_flush)?;
        self.store.flush()
    }
    fn keys(&self) -> Result<Vec<KeyEntry>, store::Error> {
        self.store.keys()
    }
    fn keys_version(&self) -> Result<u64, store::Error> {
        self.store.keys_version()
    }
    fn put_key(&self, key: &KeyEntry) -> Result<u64, store::Error> {
        self.store.put_key(key)
    }
    fn remove_key(&self, id: &str) -> Result<u64, store::Error> {
        self.store.remove_key(id)
    }
    fn position(&self) -> Result<Position, store::Error> {
        self.store.position()
    }
    fn opened(&self) -> Result<Vec<Opened>, store::Error> {
        self.store.opened()
    }
    fn sums(&self) -> Result<Vec<(String, Sums)>, store::Error> {
        self.store.sums()
    }
    fn rollups(
        &self,
        dimension: Dimension,
        hours: Range<u32>,
        visit: Visit<(RollupKey, Rollup)>,
    ) -> Result<(), store::Error> {
        self.store.rollups(dimension, hours, visit)
    }
    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, store::Error> {
        self.store.records(from_ms, to_ms, limit, cursor)
    }
    fn each_record(&self, visit: Visit<Record>) -> Result<(), store::Error> {
        self.store.each_record(visit)
    }
    fn find(&self, request_id: &str) -> Result<Option<Record>, store::Error> {
        self.store.find(request_id)
    }
    fn prune(&self, before_ms: u64, blocks_max: usize) -> Result<usize, store::Error> {
        self.store.prune(before_ms, blocks_max)
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, store::Error> {
        self.store.meta(name)
    }
    fn put_meta(&self, name: &str, value: &[u8]) -> Result<(), store::Error> {
        self.store.put_meta(name, value)
    }
    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, store::Error> {
        self.store.metas()
    }
    fn size_bytes(&self) -> Result<u64, store::Error> {
        self.store.size_bytes()
    }
}

#[test]
fn a_store_that_fails_in_between_gets_every_row_once() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut writer, _) = house.by_hand(flaky.clone(), small());
    for call in 0..200 {
        ledger.record(None, row(&format!("req_{call}"), 1)).unwrap();
        flaky.fails_before.store(call % 3 == 0, Ordering::Relaxed);
        flaky.fails_after.store(call % 3 == 1, Ordering::Relaxed);
        flaky.fails_to_flush.store(call % 2 == 0, Ordering::Relaxed);
        let _ = writer.round();
    }
    for flag in [&flaky.fails_before, &flaky.fails_after, &flaky.fails_to_flush] {
        flag.store(false, Ordering::Relaxed);
    }
    writer.round().unwrap();
    assert_eq!(rows(&*store).len(), 200);
    assert_eq!((ledger.lag().rows, ledger.lag().bytes), (0, 0));
}

#[test]
fn a_crash_between_a_batch_and_the_end_of_its_segment_doubles_nothing() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut writer, _) = house.by_hand(flaky.clone(), small());
    flaky.fails_to_flush.store(true, Ordering::Relaxed);
    for call in 0..100 {
        ledger.record(None, row(&format!("req_{call}"), 1)).unwrap();
    }
    writer.round().expect_err("the store cannot flush");
    assert_eq!(rows(&*store).len(), 100);
    assert!(house.segments() > 3, "no segment is removed before the store is flushed");
    std::mem::forget(ledger);
    drop((writer, flaky, store));

    let store = house.store();
    let (_ledger, _keeper, recovered) = house.by_hand(store.clone(), small());
    assert_eq!((recovered.rows_replayed, house.segments()), (0, 1));
    assert_eq!(rows(&*store).len(), 100);
}

#[test]
fn a_ledger_whose_store_cannot_be_read_does_not_open() {
    let house = House::new();
    let flaky = Flaky::new(house.store());
    flaky.fails_before.store(true, Ordering::Relaxed);
    let opened = Writer::recover(&house.spool_dir(), flaky, small(), house.clock(), Box::new(spool::create));
    assert!(matches!(opened, Err(Error::Store(_))));
}
