//! Disks and stores that fail, in between and for good.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{full_disk::copy_dir, keys::key, *};
use crate::{
    journal::KeyError,
    store::{self, Batch, Cursor, KeyEntry, Page, Position, Rollup, RollupKey, Sums, Visit},
};

#[test]
fn a_full_disk_refuses_calls_and_keeps_every_row_of_the_open_ones() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    house.disk.fill(true);
    let mut open_calls = Vec::new();
    let refused = loop {
        let id = format!("req_{}", open_calls.len());
        match ledger.open_call(opened(&id, 1)) {
            Ok(mut ticket) => {
                ticket.sent(attempt());
                open_calls.push((id, ticket));
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoRoom(io::ErrorKind::StorageFull)), "{refused}");
    assert!(open_calls.len() > 50, "{}", open_calls.len());
    assert_eq!(ledger.journal().refuses(), Some(io::ErrorKind::StorageFull));
    let strangers = (0..100).take_while(|call| ledger.record(None, row(&format!("req_stranger_{call}"), 1)).is_ok());
    let strangers = strangers.count();
    assert!(strangers < 100, "what is left is kept for the calls that are open");
    hand.round().expect_err("the disk is still full");

    let count = open_calls.len();
    for (at, (id, ticket)) in open_calls.into_iter().enumerate() {
        match at % 3 {
            0 => ledger.record(ticket, Record { user: "u".repeat(256), ..row(&id, 1) }).unwrap(),
            1 => drop(ticket),
            _ => std::mem::forget(ticket),
        }
    }
    assert_eq!(ledger.lag().rows_lost, 1, "that of a stranger");
    house.disk.fill(false);
    hand.round().unwrap();
    assert_eq!(ledger.journal().refuses(), None);
    drop(ledger.open_call(opened("req_after", 1)).unwrap());
    hand.round().unwrap();
    assert_eq!(rows(&*store).len(), count - count / 3 + strangers + 1);
    std::mem::forget(ledger);
    drop((hand, store));
    let store = house.store();
    let (_, _, recovered) = by_hand(&house, store.clone(), small());
    assert_eq!((recovered.journal.calls_crashed as usize, rows(&*store).len()), (count / 3, count + strangers + 1));
}

#[test]
fn more_open_calls_than_the_table_has_slots_are_refused() {
    let house = House::new();
    let (ledger, _hand, _) = by_hand(&house, house.store(), Settings { calls_max: 2, ..small() });
    let first = ledger.open_call(opened("req_1", 1)).unwrap();
    let _second = ledger.open_call(opened("req_2", 1)).unwrap();
    assert!(ledger.open_call(opened("req_3", 1)).is_err());
    drop(first);
    drop(ledger.open_call(opened("req_4", 1)).unwrap());
}

#[test]
fn a_change_that_cannot_be_flushed_never_was_and_a_revocation_holds_all_the_same() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    ledger.journal().create_key(key("app"), |_| {}).unwrap();
    hand.round().unwrap();
    std::mem::forget(ledger);
    drop((hand, store));

    house.disk.fail_to_flush(true);
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let journal = ledger.journal();
    ledger.record(None, row("req_before", 1)).unwrap();
    let refused = journal.create_key(key("new"), |_| {}).unwrap_err();
    assert!(matches!(refused, KeyError::Unwritten(_)), "{refused}");
    ledger.record(None, row("req_behind", 1)).unwrap();
    assert!(journal.keys().iter().all(|key| key.name != "new"));
    let revoked = journal.revoke_keys("app", NOW_MS, |_| {}).unwrap();
    assert!(!revoked.is_durable);
    hand.round().expect_err("the journal cannot be flushed, and says so");
    std::mem::forget(ledger);
    drop((hand, store));

    house.disk.fail_to_flush(false);
    let store = house.store();
    let (ledger, _hand, _) = by_hand(&house, store.clone(), small());
    let keys: Vec<_> = ledger.journal().keys().iter().map(|key| (key.name.clone(), key.revoked_ms)).collect();
    assert_eq!(keys, [("app".to_owned(), Some(NOW_MS))]);
    assert_eq!(rows(&*store).len(), 2);
}

/// A store that fails when told to: before it stored a batch, or after.
struct Flaky {
    store: parking_lot::RwLock<Arc<dyn Store>>,
    fails_before: AtomicBool,
    fails_after: AtomicBool,
    fails_to_flush: AtomicBool,
    panics: AtomicBool,
    reopened: AtomicU64,
}

impl Flaky {
    fn new(store: Arc<dyn Store>) -> Arc<Flaky> {
        let flag = || AtomicBool::new(false);
        Arc::new(Flaky {
            store: parking_lot::RwLock::new(store),
            fails_before: flag(),
            fails_after: flag(),
            fails_to_flush: flag(),
            panics: flag(),
            reopened: AtomicU64::new(0),
        })
    }
}

impl Flaky {
    fn store(&self) -> Arc<dyn Store> {
        self.store.read().clone()
    }

    /// Another store comes in this one's place.
    fn swap(&self, store: Arc<dyn Store>) {
        *self.store.write() = store;
    }
}

fn fail_if(flag: &AtomicBool) -> Result<(), store::Error> {
    let broken = store::Error::Broken { what: "the disk" };
    if flag.load(Ordering::Relaxed) { Err(broken) } else { Ok(()) }
}

impl Store for Flaky {
    fn append(&self, batch: &Batch) -> Result<(), store::Error> {
        fail_if(&self.fails_before)?;
        self.store().append(batch)?;
        assert!(!self.panics.load(Ordering::Relaxed), "as sled does where a disk fails at a bad moment");
        fail_if(&self.fails_after)
    }
    fn flush(&self) -> Result<(), store::Error> {
        fail_if(&self.fails_to_flush)?;
        self.store().flush()
    }
    fn have_rows<'i>(&self, request_ids: &[&'i str]) -> Result<HashSet<&'i str>, store::Error> {
        self.store().have_rows(request_ids)
    }
    fn opens_slowly(&self) -> bool {
        self.store().opens_slowly()
    }
    fn admitted_since(&self, from_ms: u64) -> Result<HashMap<String, Vec<u64>>, store::Error> {
        self.store().admitted_since(from_ms)
    }
    fn reopen(&self) -> Result<(), store::Error> {
        self.reopened.fetch_add(1, Ordering::Relaxed);
        self.store().reopen()
    }
    fn position(&self) -> Result<Position, store::Error> {
        fail_if(&self.fails_before)?;
        self.store().position()
    }
    fn keys(&self) -> Result<Vec<KeyEntry>, store::Error> {
        self.store().keys()
    }
    fn sums(&self) -> Result<Vec<(String, Sums)>, store::Error> {
        self.store().sums()
    }
    fn rollups(
        &self,
        dimension: Dimension,
        hours: Range<u32>,
        visit: Visit<(RollupKey, Rollup)>,
    ) -> Result<(), store::Error> {
        self.store().rollups(dimension, hours, visit)
    }
    fn totals(&self, dimension: Dimension, hours: Range<u32>) -> Result<BTreeMap<String, Rollup>, store::Error> {
        self.store().totals(dimension, hours)
    }
    fn records(&self, from_ms: u64, to_ms: u64, limit: usize, cursor: Option<Cursor>) -> Result<Page, store::Error> {
        self.store().records(from_ms, to_ms, limit, cursor)
    }
    fn each_record(&self, visit: Visit<Record>) -> Result<(), store::Error> {
        self.store().each_record(visit)
    }
    fn prune(&self, before_ms: u64, now_ms: u64, files_max: usize) -> Result<usize, store::Error> {
        self.store().prune(before_ms, now_ms, files_max)
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, store::Error> {
        self.store().meta(name)
    }
    fn put_meta(&self, name: &str, value: &[u8]) -> Result<(), store::Error> {
        self.store().put_meta(name, value)
    }
    fn metas(&self) -> Result<Vec<(String, Vec<u8>)>, store::Error> {
        self.store().metas()
    }
    fn size_bytes(&self) -> u64 {
        self.store().size_bytes()
    }
}

#[test]
fn a_store_that_fails_in_between_gets_every_row_once() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut hand, _) = by_hand(&house, flaky.clone(), small());
    for call in 0..200 {
        ledger.record(None, row(&format!("req_{call}"), 1)).unwrap();
        flaky.fails_before.store(call % 3 == 0, Ordering::Relaxed);
        flaky.fails_after.store(call % 3 == 1, Ordering::Relaxed);
        flaky.fails_to_flush.store(call % 2 == 0, Ordering::Relaxed);
        let _ = hand.round();
    }
    for flag in [&flaky.fails_before, &flaky.fails_after, &flaky.fails_to_flush] {
        flag.store(false, Ordering::Relaxed);
    }
    hand.round().unwrap();
    assert_eq!(rows(&*store).len(), 200);
    assert!(flaky.reopened.load(Ordering::Relaxed) > 50, "a store that failed is opened again");
    assert_eq!((ledger.lag().rows, ledger.lag().bytes), (0, 0));
}

#[test]
fn a_store_whose_library_panics_is_opened_again_and_gets_every_row_once() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut hand, _) = by_hand(&house, flaky.clone(), small());
    for call in 0..20 {
        ledger.record(None, row(&format!("req_{call}"), 1)).unwrap();
        flaky.panics.store(call % 2 == 0, Ordering::Relaxed);
        assert_eq!(hand.round().is_err(), call % 2 == 0);
    }
    assert_eq!(rows(&*store).len(), 20);
    assert_eq!((ledger.lag().rows, ledger.lag().bytes), (0, 0));
    assert_eq!(flaky.reopened.load(Ordering::Relaxed), 10);
}

#[test]
fn a_call_whose_place_came_back_with_a_power_cut_is_not_counted_twice() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let mut ticket = ledger.open_call(opened("req_1", 1)).unwrap();
    ticket.sent(attempt());
    let table = std::fs::read_dir(house.journal_dir()).unwrap().map(|entry| entry.unwrap().path());
    let table = table.into_iter().find(|path| path.extension().is_some_and(|it| it == "open")).unwrap();
    let older = std::fs::read(&table).unwrap();
    ledger.record(ticket, row("req_1", 7)).unwrap();
    hand.round().unwrap();
    std::mem::forget(ledger);
    drop((hand, store));

    // The row's page was written to the disk, the table's was not.
    std::fs::write(&table, older).unwrap();
    let store = house.store();
    let (_, _, recovered) = by_hand(&house, store.clone(), small());
    assert_eq!((recovered.journal.calls_crashed, rows(&*store).len()), (0, 1));
}

#[test]
fn a_crash_between_a_batch_and_the_end_of_its_segment_doubles_nothing() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut hand, _) = by_hand(&house, flaky.clone(), small());
    flaky.fails_to_flush.store(true, Ordering::Relaxed);
    for call in 0..4_000 {
        ledger.record(None, row(&format!("req_{call}"), 1)).unwrap();
    }
    hand.round().expect_err("the store cannot flush");
    assert_eq!(rows(&*store).len(), 4_000);
    assert!(house.segments() > 4, "no segment is removed before the store is flushed");
    std::mem::forget(ledger);
    drop((hand, flaky, store));

    let store = house.store();
    let (_ledger, _hand, recovered) = by_hand(&house, store.clone(), small());
    assert_eq!((recovered.journal.rows_replayed, house.segments()), (0, 3));
    assert_eq!(rows(&*store).len(), 4_000);
}

#[test]
fn a_ledger_whose_store_cannot_be_read_does_not_open() {
    let house = House::new();
    let flaky = Flaky::new(house.store());
    flaky.fails_before.store(true, Ordering::Relaxed);
    let opened = house.by_hand(flaky, small(), RULES);
    assert!(matches!(opened, Err(Error::Store(_))));
}

#[test]
fn what_a_store_loses_when_it_is_opened_again_is_taken_once_more() {
    let house = House::new();
    let store = house.store();
    let flaky = Flaky::new(store.clone());
    let (ledger, mut hand, _) = by_hand(&house, flaky.clone(), small());
    (0..50).for_each(|call| ledger.record(None, row(&format!("req_{call}"), 1)).unwrap());
    hand.round().unwrap();
    let copy = house.dir.path().join("copy");
    copy_dir(&house.dir.path().join("store"), &copy);
    flaky.fails_to_flush.store(true, Ordering::Relaxed);
    (50..90).for_each(|call| ledger.record(None, row(&format!("req_{call}"), 1)).unwrap());
    hand.round().expect_err("the store cannot flush");
    assert_eq!(rows(&*store).len(), 90);
    // The power goes as far as the store is concerned: it comes back as it was flushed.
    let older = Arc::new(SledStore::open(&copy, &Default::default()).unwrap());
    assert_eq!(rows(&*older).len(), 50);
    flaky.swap(older.clone());
    flaky.fails_to_flush.store(false, Ordering::Relaxed);
    hand.round().unwrap();
    assert_eq!(rows(&*older).len(), 90);
    assert_eq!((ledger.lag().rows, ledger.lag().bytes), (0, 0));
}
