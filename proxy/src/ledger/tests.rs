//! The ledger from the calls' side. `broken` is about disks and stores that fail, `torn` about bytes, `kill` about
//! processes that die.

mod broken;
mod kill;
mod torn;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::{
    call::Tokens,
    limit::{DAY_MS, day_of, month_of},
    store::{Charge, Dimension, SledStore, totals},
};

/// 2024-02-28 23:59:00 UTC.
const NOW_MS: u64 = 1_709_164_740_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A data directory with its clock, and everything that is opened in it.
struct House {
    dir: tempfile::TempDir,
    now_ms: Arc<AtomicU64>,
}

impl House {
    fn new() -> House {
        House { dir: tempfile::tempdir().unwrap(), now_ms: Arc::new(AtomicU64::new(NOW_MS)) }
    }

    fn store(&self) -> Arc<SledStore> {
        Arc::new(SledStore::open(&self.dir.path().join("store"), &Default::default()).unwrap())
    }

    fn spool_dir(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    fn clock(&self) -> Clock {
        let now_ms = self.now_ms.clone();
        Arc::new(move || now_ms.load(Ordering::Relaxed))
    }

    fn pass_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    fn open(&self, store: Arc<dyn Store>) -> (Ledger, Recovered) {
        Ledger::open(&self.spool_dir(), store, Settings::default(), self.clock()).unwrap()
    }

    /// A ledger whose thread is the test: nothing happens until [`Writer::round`].
    fn by_hand(&self, store: Arc<dyn Store>, settings: Settings) -> (Ledger, Writer, Recovered) {
        self.by_hand_onto(store, settings, Box::new(spool::create))
    }

    fn by_hand_onto(
        &self,
        store: Arc<dyn Store>,
        settings: Settings,
        create: spool::Create,
    ) -> (Ledger, Writer, Recovered) {
        let (writer, recovered) = Writer::recover(&self.spool_dir(), store, settings, self.clock(), create).unwrap();
        let ledger = Ledger { shared: writer.shared().clone(), thread: Mutex::new(None) };
        (ledger, writer, recovered)
    }

    fn segments(&self) -> usize {
        spool::list(&self.spool_dir()).unwrap().len()
    }
}

fn small() -> Settings {
    Settings { segment_bytes_max: 2_000, batch_rows_max: 7, flush_interval_ms: 0, ..Settings::default() }
}

fn row(id: &str, tokens: u64) -> Record {
    Record {
        request_id: id.to_owned(),
        started_ms: NOW_MS,
        key_id: "key_a".to_owned(),
        model: "gpt-4o".to_owned(),
        provider: "openai".to_owned(),
        status: 200,
        tokens: Tokens { input: tokens, ..Tokens::default() },
        total_us: 1_000,
        ..Record::default()
    }
}

fn opened(id: &str, tokens_held: u64) -> Opened {
    Opened {
        request_id: id.to_owned(),
        started_ms: NOW_MS,
        key_id: "key_a".to_owned(),
        model: "gpt-4o".to_owned(),
        tokens_held,
        ..Opened::default()
    }
}

/// Every row of the store by request id: its class and its tokens. Fails if an id is there twice, or if the sums and
/// roll-ups say anything else than the rows.
fn rows(store: &dyn Store) -> HashMap<String, (String, u64)> {
    let mut rows = HashMap::new();
    let mut tokens = 0;
    store
        .each_record(&mut |row| {
            tokens += row.tokens.total();
            let double = rows.insert(row.request_id.clone(), (row.error_class.clone(), row.tokens.total()));
            assert!(double.is_none(), "{} is there twice", row.request_id);
            Ok(())
        })
        .unwrap();
    let summed: u64 = store.sums().unwrap().iter().map(|(_, sums)| sums.total_tokens).sum();
    assert_eq!(summed, tokens, "the sums are those of the rows");
    let rolled_up = totals(store, Dimension::Key, 0..u32::MAX).unwrap();
    let calls: u64 = rolled_up.values().map(|rollup| rollup.calls).sum();
    let input: u64 = rolled_up.values().map(|rollup| rollup.input).sum();
    assert_eq!((calls, input), (rows.len() as u64, tokens), "the roll-ups are those of the rows");
    rows
}

#[test]
fn a_recorded_row_is_in_the_store_once_the_ledger_has_caught_up() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = house.open(store.clone());
    let ticket = ledger.open_call(opened("req_1", 50));
    ledger.record(ticket, row("req_1", 10)).unwrap();
    ledger.record(None, Record { status: 429, error_class: "limited".to_owned(), ..row("req_2", 0) }).unwrap();
    assert!(ledger.catch_up(PATIENCE));
    assert_eq!(ledger.lag(), Lag::default());
    let expected = [("req_1".to_owned(), (String::new(), 10)), ("req_2".to_owned(), ("limited".to_owned(), 0))];
    assert_eq!(rows(&*store), HashMap::from(expected));
    assert!(store.find("req_1").unwrap().unwrap().admitted);
    assert!(!store.find("req_2").unwrap().unwrap().admitted);
}

#[test]
fn shutting_down_drains_everything_and_leaves_one_empty_segment() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = house.open(store.clone());
    (0..5_000).for_each(|call| ledger.record(None, row(&format!("req_{call}"), 1)).unwrap());
    ledger.shutdown().unwrap();
    ledger.shutdown().unwrap();
    assert_eq!(rows(&*store).len(), 5_000);
    ledger.record(None, row("req_late", 1)).unwrap();
    drop((ledger, store));
    let store = house.store();
    let (_ledger, recovered) = house.open(store.clone());
    assert_eq!((recovered.rows_replayed, recovered.bytes_damaged), (1, 0));
    assert_eq!(rows(&*store).len(), 5_001);
    assert_eq!(house.segments(), 1);
}

#[test]
fn a_dropped_ticket_writes_an_aborted_row() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut writer, _) = house.by_hand(store.clone(), small());
    let unsent = ledger.open_call(opened("req_unsent", 50));
    let mut sent = ledger.open_call(opened("req_sent", 60));
    sent.sent();
    house.pass_ms(5);
    drop((unsent, sent));
    writer.round().unwrap();
    let expected =
        [("req_unsent", 0), ("req_sent", 60)].map(|(id, tokens)| (id.to_owned(), (ABORTED.to_owned(), tokens)));
    assert_eq!(rows(&*store), HashMap::from(expected));
    assert_eq!(store.find("req_sent").unwrap().unwrap().total_us, 5_000);
}

#[test]
fn a_call_cut_by_a_crash_gets_a_row_if_it_had_lived_long_enough() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut writer, _) = house.by_hand(store.clone(), small());
    let old = ledger.open_call(opened("req_old", 50));
    let ended = ledger.open_call(opened("req_ended", 50));
    let early = ledger.open_call(opened("req_early", 50));
    ledger.record(early, row("req_early", 1)).unwrap();
    house.pass_ms(51);
    let young = ledger.open_call(Opened { started_ms: NOW_MS + 51, ..opened("req_young", 50) });
    writer.round().unwrap();
    assert_eq!(store.opened().unwrap().len(), 2);
    ledger.record(ended, row("req_ended", 2)).unwrap();
    std::mem::forget((old, young, ledger));
    drop((writer, store));

    for round in 0..3 {
        let store = house.store();
        let (_ledger, _keeper, recovered) = house.by_hand(store.clone(), small());
        assert_eq!(recovered.calls_crashed, u64::from(round == 0));
        let expected = [("req_early", "", 1), ("req_ended", "", 2), ("req_old", CRASHED, 50)]
            .map(|(id, class, tokens)| (id.to_owned(), (class.to_owned(), tokens)));
        assert_eq!(rows(&*store), HashMap::from(expected));
        let day = day_of(NOW_MS);
        let past = Past {
            day,
            day_tokens: 53,
            month: month_of(day),
            month_tokens: 53,
            total_tokens: 53,
            requests_ms: vec![NOW_MS; 3],
            ..Past::default()
        };
        assert_eq!(recovered.accounts, [("key_a".to_owned(), past)]);
    }
}

#[test]
fn a_call_that_ends_between_two_rounds_leaves_no_mark() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut writer, _) = house.by_hand(store.clone(), small());
    let ticket = ledger.open_call(opened("req_1", 50));
    house.pass_ms(51);
    writer.mark_calls(NOW_MS + 51);
    ledger.record(ticket, row("req_1", 1)).unwrap();
    writer.round().unwrap();
    assert!(store.opened().unwrap().is_empty());
    assert_eq!(rows(&*store).len(), 1);
}

#[test]
fn refused_calls_and_calls_of_other_minutes_do_not_count_for_the_limiter() {
    let house = House::new();
    let (ledger, writer, _) = house.by_hand(house.store(), small());
    for (id, age_ms) in [("req_1", 0), ("req_2", 59_000), ("req_3", 120_000)] {
        let started_ms = NOW_MS - age_ms;
        let ticket = ledger.open_call(Opened { started_ms, ..opened(id, 50) });
        ledger.record(ticket, Record { started_ms, ..row(id, 1) }).unwrap();
    }
    ledger.record(None, row("req_4", 0)).unwrap();
    drop((ledger, writer));
    let (_ledger, _keeper, recovered) = house.by_hand(house.store(), small());
    let mut requests_ms = recovered.accounts[0].1.requests_ms.clone();
    requests_ms.sort_unstable();
    assert_eq!(requests_ms, [NOW_MS - 59_000, NOW_MS]);
}

#[test]
fn roll_ups_are_by_hour_and_by_everything_that_has_a_name() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut writer, _) = house.by_hand(store.clone(), small());
    let priced = |id: &str, started_ms, currency: &str| Record {
        started_ms,
        user: "ann".to_owned(),
        group: "staff".to_owned(),
        tokens: Tokens { input: 10, output: 5, cached: 4, cache_write: 3, reasoning: 2 },
        charge_nanos: 7,
        currency: currency.to_owned(),
        priced: true,
        ..row(id, 0)
    };
    let next_hour_ms = NOW_MS + 60_000;
    ledger.record(None, priced("req_1", NOW_MS, "USD")).unwrap();
    ledger.record(None, priced("req_2", NOW_MS, "CNY")).unwrap();
    ledger.record(None, priced("req_3", next_hour_ms, "USD")).unwrap();
    ledger.record(None, Record { error_class: "upstream".to_owned(), ..row("req_4", 1) }).unwrap();
    ledger.record(None, Record { provider: String::new(), model: "made up".to_owned(), ..row("req_5", 0) }).unwrap();
    writer.round().unwrap();

    let hour = (NOW_MS / 3_600_000) as u32;
    let user = totals(&*store, Dimension::User, hour..hour + 1).unwrap();
    assert_eq!((user["ann"].calls, user["ann"].errors, user["ann"].unpriced), (2, 0, 0));
    assert_eq!((user["ann"].input, user["ann"].output, user["ann"].cached), (20, 10, 8));
    let charge = |currency: &str, nanos| Charge { currency: currency.to_owned(), nanos };
    assert_eq!(user["ann"].charges, [charge("CNY", 7), charge("USD", 7)]);
    let whole_day = totals(&*store, Dimension::Group, hour..hour + 2).unwrap();
    assert_eq!(whole_day["staff"].charges, [charge("CNY", 7), charge("USD", 14)]);
    let models = totals(&*store, Dimension::Model, hour..hour + 1).unwrap();
    assert_eq!((models["gpt-4o"].calls, models["gpt-4o"].errors, models["gpt-4o"].unpriced), (3, 1, 1));
    assert_eq!((models[UNROUTED].calls, models.len()), (1, 2));
    assert!(totals(&*store, Dimension::Agent, 0..u32::MAX).unwrap().is_empty());
}

#[test]
fn old_rows_are_removed_and_roll_ups_kept() {
    let house = House::new();
    let store = house.store();
    let settings = Settings { retention_days: Some(2), ..small() };
    let (ledger, mut writer, _) = house.by_hand(store.clone(), settings);
    ledger.record(None, row("req_old", 1)).unwrap();
    writer.round().unwrap();
    house.pass_ms(DAY_MS + 120_000);
    ledger.record(None, Record { started_ms: NOW_MS + DAY_MS, ..row("req_new", 1) }).unwrap();
    writer.round().unwrap();
    assert!(store.find("req_old").unwrap().is_some());
    house.pass_ms(DAY_MS);
    writer.round().unwrap();
    assert!(store.find("req_old").unwrap().is_none());
    assert!(store.find("req_new").unwrap().is_some());
    assert_eq!(totals(&*store, Dimension::Key, 0..u32::MAX).unwrap()["key_a"].calls, 2);
}

#[test]
fn texts_of_any_length_are_cut_to_what_a_row_takes() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut writer, _) = house.by_hand(store.clone(), small());
    let long = "模型".repeat(1_000_000);
    let ticket = ledger.open_call(Opened { model: long.clone(), user: long.clone(), ..opened("req_1", 1) });
    house.pass_ms(51);
    writer.round().unwrap();
    ledger.record(ticket, Record { model: long.clone(), user: long, ..row("req_1", 1) }).unwrap();
    writer.round().unwrap();
    let row = store.find("req_1").unwrap().unwrap();
    assert_eq!(row.model, "模型".repeat(42) + "模");
}

#[test]
fn ended_calls_do_not_pile_up_in_flight() {
    let house = House::new();
    let (ledger, _keeper, _) = house.by_hand(house.store(), small());
    for call in 0..1_000 {
        let id = format!("req_{call}");
        let ticket = ledger.open_call(opened(&id, 1));
        ledger.record(ticket, row(&id, 1)).unwrap();
    }
    assert!(ledger.shared.open_calls.len() <= 2);
}
