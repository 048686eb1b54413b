//! The data folder of each release, as it lay on the disk when its process was killed. Every later build opens it.
//!
//! A new one is made with `TOLLGATE_MAKE_DATA=proxy/tests/data/VERSION cargo test -p tollgate --lib kept_data`.

use std::path::Path;

use super::{full_disk::copy_dir, keys::key, *};
use crate::store::KeyEntry;

const FOLDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
/// Where to leave a data folder of this build.
const MAKE: &str = "TOLLGATE_MAKE_DATA";

/// Fills a data folder as a process does that is killed: some rows in the store, some in the journal, a call open.
fn make(dir: &Path) {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    ledger.journal().create_key(key("app"), |_| {}).unwrap();
    ledger.journal().create_key(KeyEntry { expires_ms: Some(NOW_MS), ..key("gone") }, |_| {}).unwrap();
    ledger.journal().revoke_keys("gone", NOW_MS, |_| {}).unwrap();
    ledger.count_refusal("invalid_api_key");
    for call in 0..20 {
        let ticket = ledger.open_call(opened(&format!("req_stored_{call}"), 50)).unwrap();
        ledger.record(ticket, row(&format!("req_stored_{call}"), call)).unwrap();
    }
    hand.round().unwrap();
    ledger.record(None, Record { error_class: "tokens_per_day".to_owned(), ..row("req_journal", 0) }).unwrap();
    let mut ticket = ledger.open_call(opened("req_open", 50)).unwrap();
    ticket.sent(attempt());
    std::mem::forget(ticket);
    store.flush().unwrap();
    copy_dir(house.dir.path(), dir);
    std::mem::forget(ledger);
}

#[test]
fn the_data_of_every_release_opens() {
    if let Some(dir) = std::env::var_os(MAKE) {
        make(&Path::new(FOLDERS).join("../../..").join(dir));
    }
    let mut folders = 0;
    for folder in std::fs::read_dir(FOLDERS).unwrap() {
        let folder = folder.unwrap().path();
        folders += 1;
        for _ in 0..2 {
            let house = House::new();
            copy_dir(&folder, house.dir.path());
            let store = house.store();
            let (ledger, _hand, recovered) = by_hand(&house, store.clone(), small());
            assert_eq!((recovered.journal.rows_replayed, recovered.journal.calls_crashed), (1, 1));
            assert_eq!(recovered.journal.bytes_damaged, 0);
            let rows = rows(&*store);
            assert_eq!(rows.len(), 22);
            assert_eq!(rows["req_stored_7"], (String::new(), 7));
            assert_eq!(rows["req_journal"], ("tokens_per_day".to_owned(), 0));
            assert_eq!(rows["req_open"], (CRASHED.to_owned(), 50));
            assert_eq!(recovered.accounts["key_a"].total.tokens, 240);
            assert_eq!(store.totals(Dimension::Refusal, 0..u32::MAX).unwrap()["invalid_api_key"].calls, 1);
            let keys: Vec<_> = ledger.journal().keys().iter().map(|key| (key.name.clone(), key.revoked_ms)).collect();
            assert_eq!(keys, [("app".to_owned(), None), ("gone".to_owned(), Some(NOW_MS))]);
        }
    }
    assert!(folders > 0, "{FOLDERS} holds none");
}
