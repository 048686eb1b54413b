//! The ledger, from the calls' side and across crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::store::SledStore;

fn clock(now_ms: u64) -> (Arc<AtomicU64>, Clock) {
    let now = Arc::new(AtomicU64::new(now_ms));
    let read = now.clone();
    (now, Arc::new(move || read.load(Ordering::Relaxed)))
}

#[test]
fn a_recorded_row_is_in_the_store_after_catching_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(SledStore::open(&dir.path().join("store"), &Default::default()).unwrap());
    let (_, clock) = clock(1_000_000);
    let (ledger, recovered) =
        Ledger::open(&dir.path().join("spool"), store.clone(), Settings::default(), clock).unwrap();
    assert!(recovered.accounts.is_empty());
    let ticket = ledger.open_call(Opened { request_id: "req_1".into(), ..Default::default() });
    ledger.record(ticket, Record { request_id: "req_1".into(), ..Record::default() }).unwrap();
    ledger.record(None, Record { request_id: "req_2".into(), ..Record::default() }).unwrap();
    assert!(ledger.catch_up(Duration::from_secs(5)));
    assert_eq!(store.records(0, u64::MAX, 10, None).unwrap().records.len(), 2);
    assert!(store.find("req_1").unwrap().unwrap().admitted);
    assert!(!store.find("req_2").unwrap().unwrap().admitted);
    ledger.shutdown().unwrap();
}
