//! The ledger from the calls' side. `broken` is about disks and stores that fail, `kill` about processes that die.

mod between;
mod broken;
mod full_disk;
mod kept_data;
mod keys;
mod kill;
mod overrun;

use std::{path::PathBuf, time::Duration};

use super::*;
use crate::{
    call::Tokens,
    journal::{
        Attempt,
        testing::{ByHand, House, NOW_MS},
    },
    limit::{Amount, DAY_MS, Limiter, PastPeriod, Time, day_of, month_of},
    store::{Charge, Dimension, SledStore},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(house: &House, store: Arc<dyn Store>) -> (Ledger, Recovered) {
    Ledger::open(&house.journal_dir(), store, Settings::default(), house.clock()).unwrap()
}

/// A ledger whose thread is the test: nothing happens until [`ByHand::round`].
fn by_hand(house: &House, store: Arc<dyn Store>, settings: Settings) -> (Ledger, ByHand, Recovered) {
    let now_ms = (house.clock().wall_ms)();
    let (journal, hand, recovered) = house.by_hand(store.clone(), settings, RULES).unwrap();
    let accounts = accounts::past(store.as_ref(), now_ms).unwrap();
    let ledger = Ledger { journal: Arc::new(journal), clock: house.clock().wall_ms };
    (ledger, hand, Recovered { accounts, journal: recovered })
}

fn small() -> Settings {
    Settings {
        segment_bytes: 64 << 10,
        calls_max: 1_000,
        batch_rows_max: 7,
        flush_interval_ms: 0,
        store_interval_ms: 0,
        ..Settings::default()
    }
}

fn attempt() -> Attempt {
    Attempt {
        provider: "openai".to_owned(),
        upstream_model: "gpt-4o-2024".to_owned(),
        currency: "USD".to_owned(),
        charge_nanos: 17,
        priced: true,
        attempts: 1,
        ..Attempt::default()
    }
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
    let rolled_up = store.totals(Dimension::Key, 0..u32::MAX).unwrap();
    let calls: u64 = rolled_up.values().map(|rollup| rollup.calls).sum();
    let input: u64 = rolled_up.values().map(|rollup| rollup.input).sum();
    assert_eq!((calls, input), (rows.len() as u64, tokens), "the roll-ups are those of the rows");
    rows
}

#[test]
fn what_was_used_today_counts_after_a_clock_that_had_stepped_into_another_month() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = open(&house, store.clone());
    let later_ms = NOW_MS + 40 * DAY_MS;
    for (id, started_ms, tokens) in [("req_1", NOW_MS, 10), ("req_2", later_ms, 7), ("req_3", NOW_MS, 5)] {
        ledger.record(None, Record { started_ms, ..row(id, tokens) }).unwrap();
        assert!(ledger.catch_up(PATIENCE));
    }
    ledger.shutdown().unwrap();
    let (limiter, time) = (Limiter::new(), Time { unix_ms: NOW_MS, monotonic_ms: 0 });
    for (key, past) in accounts::past(store.as_ref(), NOW_MS).unwrap() {
        limiter.restore(&key, &past, time);
    }
    let spent = limiter.spent("key_a", time);
    assert_eq!((spent.day.tokens, spent.month.tokens, spent.total.tokens), (15, 15, 22));
}

#[test]
fn a_recorded_row_is_in_the_store_once_the_ledger_has_caught_up() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = open(&house, store.clone());
    let ticket = ledger.open_call(opened("req_1", 50)).unwrap();
    ledger.record(ticket, row("req_1", 10)).unwrap();
    ledger.record(None, Record { status: 429, error_class: "limited".to_owned(), ..row("req_2", 0) }).unwrap();
    assert!(ledger.catch_up(PATIENCE));
    assert_eq!((ledger.lag().rows, ledger.lag().bytes), (0, 0));
    let expected = [("req_1".to_owned(), (String::new(), 10)), ("req_2".to_owned(), ("limited".to_owned(), 0))];
    assert_eq!(rows(&*store), HashMap::from(expected));
    assert!(find(&*store, "req_1").unwrap().admitted);
    assert!(!find(&*store, "req_2").unwrap().admitted);
}

#[test]
fn shutting_down_drains_everything_and_leaves_no_segment_behind() {
    let house = House::new();
    let store = house.store();
    let (ledger, _) = open(&house, store.clone());
    (0..5_000).for_each(|call| ledger.record(None, row(&format!("req_{call}"), 1)).unwrap());
    ledger.shutdown().unwrap();
    ledger.shutdown().unwrap();
    assert_eq!(rows(&*store).len(), 5_000);
    ledger.record(None, row("req_late", 1)).unwrap();
    drop((ledger, store));
    let store = house.store();
    let (_ledger, recovered) = open(&house, store.clone());
    assert_eq!((recovered.journal.rows_replayed, recovered.journal.bytes_damaged), (1, 0));
    assert_eq!(rows(&*store).len(), 5_001);
    assert_eq!(house.segments(), 3, "one is written, two are ready");
}

#[test]
fn a_dropped_ticket_writes_an_aborted_row_that_names_where_the_call_was_sent() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let unsent = ledger.open_call(opened("req_unsent", 50)).unwrap();
    let mut sent = ledger.open_call(opened("req_sent", 60)).unwrap();
    sent.sent(attempt());
    house.pass_ms(5);
    drop((unsent, sent));
    hand.round().unwrap();
    let expected =
        [("req_unsent", 0), ("req_sent", 60)].map(|(id, tokens)| (id.to_owned(), (ABORTED.to_owned(), tokens)));
    assert_eq!(rows(&*store), HashMap::from(expected));
    let row = find(&*store, "req_sent").unwrap();
    assert_eq!((row.total_us, row.attempts), (5_000, 1));
    names_the_attempt(&row);
}

/// The row says where its call was sent, and what the hold costs there.
fn names_the_attempt(row: &Record) {
    assert_eq!((row.provider.as_str(), row.upstream_model.as_str()), ("openai", "gpt-4o-2024"));
    assert_eq!((row.currency.as_str(), row.charge_nanos, row.priced), ("USD", 17, true));
}

#[test]
fn a_call_cut_by_a_crash_gets_its_row_whatever_its_age() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let mut old = ledger.open_call(opened("req_old", 50)).unwrap();
    let ended = ledger.open_call(opened("req_ended", 50)).unwrap();
    old.sent(Attempt { provider: "other".to_owned(), ..Attempt::default() });
    old.sent(attempt());
    let early = ledger.open_call(opened("req_early", 50)).unwrap();
    ledger.record(early, row("req_early", 1)).unwrap();
    hand.round().unwrap();
    ledger.record(ended, row("req_ended", 2)).unwrap();
    let unsent = ledger.open_call(opened("req_unsent", 50)).unwrap();
    let mut young = ledger.open_call(Opened { model: "长".repeat(9_000), ..opened("req_young", 50) }).unwrap();
    young.sent(Attempt { upstream_model: "长".repeat(9_000), ..attempt() });
    std::mem::forget((old, unsent, young, ledger));
    drop((hand, store));

    for round in 0..3 {
        let store = house.store();
        let (_ledger, _hand, recovered) = by_hand(&house, store.clone(), small());
        assert_eq!(recovered.journal.calls_crashed, if round == 0 { 3 } else { 0 });
        let expected = [
            ("req_early", "", 1),
            ("req_ended", "", 2),
            ("req_old", CRASHED, 50),
            ("req_unsent", CRASHED, 0),
            ("req_young", CRASHED, 50),
        ]
        .map(|(id, class, tokens)| (id.to_owned(), (class.to_owned(), tokens)));
        assert_eq!(rows(&*store), HashMap::from(expected));
        names_the_attempt(&find(&*store, "req_old").unwrap());
        let young = find(&*store, "req_young").unwrap();
        assert!(young.model.starts_with("长长长") && young.upstream_model.starts_with("长长长"), "{young:?}");
        let day = day_of(NOW_MS);
        let of = |number| PastPeriod { number, used: Amount::tokens(103) };
        let past = Past {
            days: vec![of(day)],
            months: vec![of(month_of(day))],
            total: Amount::tokens(103),
            requests_ms: vec![NOW_MS; 5],
        };
        assert_eq!(recovered.accounts, HashMap::from([("key_a".to_owned(), past)]));
    }
}

#[test]
fn requests_of_strangers_are_counted_by_the_hour_and_leave_no_row() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let before = store.size_bytes();
    for _ in 0..200 {
        (0..1_000).for_each(|_| ledger.count_refusal("key_unknown"));
        ledger.count_refusal("key_missing");
        hand.round().unwrap();
    }
    assert!(rows_of(&*store).is_empty());
    let counted = store.totals(Dimension::Refusal, 0..u32::MAX).unwrap();
    assert_eq!((counted["key_unknown"].calls, counted["key_missing"].errors), (200_000, 200));
    let grown = store.size_bytes() - before;
    assert!(grown < 1_000_000, "the store grew by {grown} bytes");
}

#[test]
fn refused_calls_and_calls_of_other_minutes_do_not_count_for_the_limiter() {
    let house = House::new();
    let (ledger, hand, _) = by_hand(&house, house.store(), small());
    for (id, age_ms) in [("req_1", 0), ("req_2", 59_000), ("req_3", 120_000)] {
        let started_ms = NOW_MS - age_ms;
        let ticket = ledger.open_call(Opened { started_ms, ..opened(id, 50) }).unwrap();
        ledger.record(ticket, Record { started_ms, ..row(id, 1) }).unwrap();
    }
    ledger.record(None, row("req_4", 0)).unwrap();
    drop((ledger, hand));
    let (_ledger, _hand, recovered) = by_hand(&house, house.store(), small());
    let mut requests_ms = recovered.accounts["key_a"].requests_ms.clone();
    requests_ms.sort_unstable();
    assert_eq!(requests_ms, [NOW_MS - 59_000, NOW_MS]);
}

#[test]
fn roll_ups_are_by_hour_and_by_everything_that_has_a_name() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
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
    hand.round().unwrap();

    let hour = (NOW_MS / 3_600_000) as u32;
    let user = store.totals(Dimension::User, hour..hour + 1).unwrap();
    assert_eq!((user["ann"].calls, user["ann"].errors, user["ann"].unpriced), (2, 0, 0));
    assert_eq!((user["ann"].input, user["ann"].output, user["ann"].cached), (20, 10, 8));
    let charge = |currency: &str, nanos| Charge { currency: currency.to_owned(), nanos };
    assert_eq!(user["ann"].charges, [charge("CNY", 7), charge("USD", 7)]);
    let whole_day = store.totals(Dimension::Group, hour..hour + 2).unwrap();
    assert_eq!(whole_day["staff"].charges, [charge("CNY", 7), charge("USD", 14)]);
    let models = store.totals(Dimension::Model, hour..hour + 1).unwrap();
    assert_eq!((models["gpt-4o"].calls, models["gpt-4o"].errors, models["gpt-4o"].unpriced), (3, 1, 1));
    assert_eq!((models[UNROUTED].calls, models.len()), (1, 2));
    assert!(store.totals(Dimension::Agent, 0..u32::MAX).unwrap().is_empty());
}

#[test]
fn old_rows_are_removed_and_roll_ups_kept() {
    let house = House::new();
    let store = house.store();
    let settings = Settings { retention_days: Some(2), ..small() };
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), settings);
    ledger.record(None, row("req_old", 1)).unwrap();
    hand.round().unwrap();
    house.pass_ms(DAY_MS + 120_000);
    ledger.record(None, Record { started_ms: NOW_MS + DAY_MS, ..row("req_new", 1) }).unwrap();
    hand.round().unwrap();
    assert!(find(&*store, "req_old").is_some());
    house.pass_ms(DAY_MS);
    hand.round().unwrap();
    hand.round().unwrap();
    assert!(find(&*store, "req_old").is_none());
    assert!(find(&*store, "req_new").is_some());
    assert_eq!(store.totals(Dimension::Key, 0..u32::MAX).unwrap()["key_a"].calls, 2);
}

#[test]
fn texts_of_any_length_are_cut_to_what_a_row_takes() {
    let house = House::new();
    let store = house.store();
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), small());
    let long = "模型".repeat(1_000_000);
    let call = Opened { model: long.clone(), user: long.clone(), ..opened("req_1", 1) };
    let ticket = ledger.open_call(call).unwrap();
    hand.round().unwrap();
    ledger.record(ticket, Record { model: long.clone(), user: long, ..row("req_1", 1) }).unwrap();
    hand.round().unwrap();
    let row = find(&*store, "req_1").unwrap();
    assert_eq!(row.model, "模型".repeat(42) + "模");
}

fn find(store: &dyn Store, id: &str) -> Option<Record> {
    let mut page = store.records(0, u64::MAX, 1_000, None).unwrap();
    page.records.retain(|row| row.request_id == id);
    page.records.pop()
}

/// Ids of all rows.
fn rows_of(store: &dyn Store) -> Vec<String> {
    rows(store).into_keys().collect()
}

#[test]
fn a_clock_that_steps_or_stands_costs_no_young_row() {
    let house = House::new();
    let store = house.store();
    let settings = Settings { retention_days: Some(30), ..small() };
    let (ledger, mut hand, _) = by_hand(&house, store.clone(), settings);
    let pass = |hand: &mut ByHand, hours: u64| {
        for _ in 0..hours * 4 {
            house.pass_ms(900_000);
            hand.round().unwrap();
        }
    };
    // The machine boots in 1970, and two rows come before its clock is set.
    house.set_clock_ms(5_000);
    for id in ["req_1970", "req_1970_too"] {
        ledger.record(None, Record { started_ms: 5_000, ..row(id, 1) }).unwrap();
    }
    pass(&mut hand, 3);
    house.set_clock_ms(NOW_MS);
    ledger.record(None, row("req_now", 1)).unwrap();
    pass(&mut hand, 3);
    // Forward by two years and back before the hour is over.
    house.set_clock_ms(NOW_MS + 730 * DAY_MS);
    hand.round().unwrap();
    house.pass_ms(3_000_000);
    hand.round().unwrap();
    house.set_clock_ms(NOW_MS + 6 * 3_600_000);
    pass(&mut hand, 3);
    // Back by a day.
    house.set_clock_ms(NOW_MS - DAY_MS);
    pass(&mut hand, 3);
    assert_eq!(rows(&*store).len(), 3);

    // A clock that goes on evenly removes them when they are old.
    house.set_clock_ms(NOW_MS + 31 * DAY_MS);
    pass(&mut hand, 2);
    assert_eq!(store.records(0, u64::MAX, 10, None).unwrap().records.len(), 0);
}
