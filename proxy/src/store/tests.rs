//! The store, table by table, and across openings. `layout` is about how it lies on the disk.

mod layout;

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::{value::Table, *};
use crate::{call::Tokens, limit::Caps, usage::Source};

const NOW_MS: u64 = 1_709_164_740_000;

fn open(dir: &tempfile::TempDir) -> SledStore {
    SledStore::open(&dir.path().join("store"), &Settings::default()).unwrap()
}

fn row(id: &str, started_ms: u64, total_ms: u64) -> Record {
    Record {
        request_id: id.to_owned(),
        started_ms,
        key_id: "key_a".to_owned(),
        model: "gpt-4o".to_owned(),
        total_us: total_ms * 1000,
        ..Record::default()
    }
}

/// Appends rows as one batch of the journal.
fn append(store: &dyn Store, rows: Vec<Record>) {
    let from = store.position().unwrap();
    let to = Position { segment: from.segment, offset: from.offset + 1 };
    store.append(&Batch { from, to, rows, ..Batch::default() }).unwrap();
}

/// A request id whose ULID says when it was made.
fn ulid(ms: u64, number: u64) -> String {
    let digits = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let time: String = (0..10).rev().map(|at| char::from(digits[(ms >> (5 * at) & 31) as usize])).collect();
    format!("req_{time}{number:016}")
}

fn key(id: &str) -> KeyEntry {
    KeyEntry {
        id: id.to_owned(),
        name: "example".to_owned(),
        hash: [7; 32],
        prefix: "sk-tg-ab12".to_owned(),
        models: vec!["*".to_owned()],
        caps: Caps { tokens_per_day: Some(1_000), concurrent: Some(8), ..Caps::default() },
        created_ms: NOW_MS,
        expires_ms: Some(NOW_MS + 1),
        revoked_ms: None,
        user: "ann".to_owned(),
        origin: Origin::Admin,
    }
}

/// Request ids of a listing, page by page.
fn listed(store: &dyn Store, from_ms: u64, to_ms: u64, limit: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.records(from_ms, to_ms, limit, cursor).unwrap();
        assert!(page.records.len() <= limit);
        ids.extend(page.records.into_iter().map(|row| row.request_id));
        let Some(next) = page.next else { return ids };
        cursor = Some(next.to_string().parse().unwrap());
    }
}

#[test]
fn only_one_process_may_open_a_store_and_only_its_owner_may_look() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let path = dir.path().join("store");
    let second = SledStore::open(&path, &Settings { lock_wait_ms: 10, ..Settings::default() });
    assert!(matches!(second, Err(Error::Locked { path: locked }) if locked == path));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    drop(store);
    open(&dir);
}

/// Changes keys in a batch of their own.
fn change_keys(store: &dyn Store, keys: Vec<KeyChange>) -> Result<(), Error> {
    let at = store.position().unwrap();
    store.append(&Batch { from: at, to: at, keys, ..Batch::default() })
}

#[test]
fn keys_are_kept_and_changed_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    assert!(store.keys().unwrap().is_empty());
    let revoked = KeyEntry { revoked_ms: Some(NOW_MS), ..key("key_b") };
    let put = |id: &str| KeyChange::Put(key(id));
    change_keys(&store, vec![put("key_b"), put("key_a"), put("key_c"), KeyChange::Put(revoked.clone())]).unwrap();
    change_keys(&store, vec![KeyChange::Remove("key_c".to_owned()), KeyChange::Remove("key_none".to_owned())]).unwrap();
    store.reopen().unwrap();
    assert_eq!(store.keys().unwrap(), [key("key_a"), revoked]);
    change_keys(&store, vec![KeyChange::Remove("key_b".to_owned())]).unwrap();
    drop(store);
    assert_eq!(open(&dir).keys().unwrap(), [key("key_a")]);
}

#[test]
fn a_key_in_a_log_says_nothing_of_its_hash() {
    assert_eq!(format!("{:?}", key("key_a")), r#"KeyEntry { id: "key_a", name: "example", .. }"#);
}

#[test]
fn a_batch_applies_once_and_only_where_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let to = Position { segment: 3, offset: 70 };
    let spent = Sums { day: 5, day_tokens: 1, month: 1, month_tokens: 1, total_tokens: 1 };
    let batch =
        Batch { to, rows: vec![row("req_1", NOW_MS, 1)], sums: vec![("key_a".to_owned(), spent)], ..Batch::default() };
    store.append(&batch).unwrap();
    store.append(&batch).unwrap();
    drop(store);
    let store = open(&dir);
    store.append(&batch).unwrap();
    assert_eq!((store.position().unwrap(), store.sums().unwrap()), (to, batch.sums.clone()));
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_1"]);
    let elsewhere = Batch { from: Position { segment: 4, offset: 0 }, to: Position { segment: 4, offset: 9 }, ..batch };
    assert!(matches!(store.append(&elsewhere), Err(Error::OutOfOrder { .. })));
}

#[test]
fn rows_are_listed_newest_first_in_pages_of_any_size() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let ids: Vec<String> = (0..300).map(|number| format!("req_{number:03}")).collect();
    for (batch, ids) in ids.chunks(70).enumerate() {
        append(&store, ids.iter().map(|id| row(id, NOW_MS + batch as u64, 0)).collect());
    }
    let newest_first: Vec<String> = ids.into_iter().rev().collect();
    for limit in [1, 7, 300, 1_000] {
        assert_eq!(listed(&store, 0, u64::MAX, limit), newest_first, "{limit}");
    }
    assert_eq!(listed(&store, NOW_MS + 1, NOW_MS + 2, 20), newest_first[160..230]);
}

#[test]
fn a_range_of_time_is_that_of_the_calls_beginnings() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_short", NOW_MS, 10)]);
    append(&store, vec![row("req_later", NOW_MS + 5_000, 10)]);
    append(&store, vec![row("req_long", NOW_MS + 1, 3_600_000)]);
    append(&store, vec![row("req_last", NOW_MS + 3_600_000, 10)]);
    let cases: [(u64, u64, &[&str]); 5] = [
        (0, 1, &["req_short"]),
        (0, 2, &["req_long", "req_short"]),
        (1, 2, &["req_long"]),
        (2, 10_000, &["req_later"]),
        (7, 7, &[]),
    ];
    for (from, to, ids) in cases {
        assert_eq!(listed(&store, NOW_MS + from, NOW_MS + to, 10), ids, "{from}..{to}");
    }
}

#[test]
fn a_row_is_found_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for number in 0..500 {
        let ms = NOW_MS + number * 60_000;
        append(&store, vec![row(&ulid(ms, number), ms + 3, number * 1_000), row(&format!("own-{number}"), ms, 0)]);
    }
    for number in [0, 250, 499] {
        let id = ulid(NOW_MS + number * 60_000, number);
        assert_eq!(store.find(&id).unwrap().unwrap().request_id, id);
        let own = format!("own-{number}");
        assert_eq!(store.find(&own).unwrap().unwrap().request_id, own);
    }
    for absent in ["", "req_", "own-500", &ulid(NOW_MS, 77), &ulid(0, 0), "req_!!!!!!!!!!!!!!!!!!!!!!!!!!"] {
        assert_eq!(store.find(absent).unwrap(), None, "{absent}");
    }
}

#[test]
fn pruning_removes_old_rows_a_bounded_number_of_blocks_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    (0..10).for_each(|number| append(&store, vec![row(&format!("req_{number}"), NOW_MS + number * 1_000, 0)]));
    assert_eq!(store.prune(NOW_MS + 5_000, 3).unwrap(), 3);
    assert_eq!(store.prune(NOW_MS + 5_000, 3).unwrap(), 2);
    assert_eq!(store.prune(NOW_MS + 5_000, 3).unwrap(), 0);
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_9", "req_8", "req_7", "req_6", "req_5"]);
}

#[test]
fn days_and_months_that_are_over_count_in_the_total_alone() {
    let sums = |day, month, tokens| Sums { day, day_tokens: tokens, month, month_tokens: tokens, total_tokens: tokens };
    let mut sum = Sums::default();
    for more in [sums(10, 1, 1), sums(10, 1, 2), sums(9, 1, 4), sums(40, 2, 8), sums(10, 1, 16)] {
        sum.merge(&more);
    }
    assert_eq!(sum, Sums { day: 40, day_tokens: 8, month: 2, month_tokens: 8, total_tokens: 31 });
}

#[test]
fn named_values_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.put_meta("prices", b"v1").unwrap();
    store.put_meta("prices", b"v2").unwrap();
    store.flush().unwrap();
    assert_eq!((store.meta("prices").unwrap(), store.meta("nothing").unwrap()), (Some(b"v2".to_vec()), None));
    assert_eq!(store.metas().unwrap(), [("prices".to_owned(), b"v2".to_vec())]);
    assert!(store.size_bytes().unwrap() > 0);
}

#[test]
fn a_store_or_a_value_of_another_version_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.overwrite(b"\x00schema", &[9]);
    drop(store);
    let error = SledStore::open(&dir.path().join("store"), &Settings::default()).unwrap_err();
    assert!(matches!(error, Error::Schema { found: 9, known: 1, .. }), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.overwrite(b"\x00schema", &[1, 1, 1, 9, 1, 1]);
    drop(store);
    let error = SledStore::open(&dir.path().join("store"), &Settings::default()).unwrap_err();
    assert!(matches!(error, Error::Schema { what: "a roll-up", found: 9, known: 2 }), "{error}");

    let broken: Result<Sums, Error> = value::decode(Table::Sums, &[2, 0, 0]);
    assert!(matches!(broken, Err(Error::Schema { what: "the sums of a key", found: 2, known: 1 })));
    for bytes in [&[][..], &[1], &[1, 0xff]] {
        let broken: Result<Sums, Error> = value::decode(Table::Sums, bytes);
        assert!(matches!(broken, Err(Error::Broken { what: "the sums of a key" })), "{bytes:?}");
    }
}

#[test]
fn a_cursor_that_nobody_gave_out_is_refused() {
    for text in ["", "1", "1-2", "1-2-x", "1-2-fffffffff"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

/// A store with something in every table.
fn filled(dir: &tempfile::TempDir) -> SledStore {
    let store = open(dir);
    store.put_meta("prices", b"\x00v1").unwrap();
    let mut rollup = Rollup { calls: 3, input: 5, ..Rollup::default() };
    rollup.add_charge("USD", 7);
    let rollup_key = |dimension, hour| RollupKey { dimension, hour, name: "key_a".to_owned() };
    let batch = Batch {
        rows: (0..3_000).map(|number| row(&format!("req_{number}"), NOW_MS + number, 5)).collect(),
        keys: vec![KeyChange::Put(key("key_a"))],
        to: Position { segment: 4, offset: 77 },
        rollups: (0..700).map(|hour| (rollup_key(Dimension::ALL[hour % 8], hour as u32), rollup.clone())).collect(),
        sums: vec![("key_a".to_owned(), Sums { total_tokens: 9, ..Sums::default() })],
        ..Batch::default()
    };
    store.append(&batch).unwrap();
    store
}

fn dumped(store: &dyn Store) -> String {
    let mut text = Vec::new();
    dump(store, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_dump_loads_into_an_empty_store_as_it_was() {
    let (from_dir, to_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = dumped(&filled(&from_dir));
    let store = open(&to_dir);
    let loaded = load(&store, &mut text.as_bytes()).unwrap();
    assert_eq!(loaded, Loaded { keys: 1, records: 3_000, rollups: 700 });
    assert_eq!(dumped(&store), text);
    assert_eq!(store.position().unwrap(), Position { segment: 4, offset: 77 }, "nothing is taken over twice");
    assert!(matches!(load(&store, &mut text.as_bytes()), Err(Error::NotEmpty)));
}

#[test]
fn a_file_that_is_no_dump_is_refused_with_its_line() {
    let cases = [
        ("{}", 1),
        (r#"{"table":"record","value":{}}"#, 1),
        (
            r#"{"table":"sums","value":["key_a",{"day":0,"day_tokens":0,"month":0,"month_tokens":0,"total_tokens":0}]}"#,
            1,
        ),
        ("{\"table\":\"schema\",\"value\":1}\nnonsense", 2),
    ];
    for (text, at) in cases {
        let dir = tempfile::tempdir().unwrap();
        let error = load(&open(&dir), &mut text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Dump { line, .. } if line == at), "{text}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let newer = load(&open(&dir), &mut r#"{"table":"schema","value":2}"#.as_bytes());
    assert!(matches!(newer, Err(Error::Schema { found: 2, known: 1, .. })));
}

fn some_row() -> impl Strategy<Value = Record> {
    let text = || prop_oneof![Just(String::new()), Just("gpt-4o".to_owned()), ".{0,40}"];
    (any::<[u64; 9]>(), (text(), text(), text(), text(), text()), any::<[bool; 4]>()).prop_map(
        |(numbers, (id, key_id, model, error_class, user), flags)| Record {
            request_id: id,
            started_ms: numbers[0],
            key_id,
            model,
            error_class,
            user,
            tokens: Tokens {
                input: numbers[1],
                output: numbers[2],
                cached: numbers[3],
                cache_write: numbers[4],
                reasoning: numbers[5],
            },
            usage_source: if flags[0] { Source::Provider } else { Source::Counted },
            charge_nanos: numbers[6],
            first_byte_us: flags[1].then_some(numbers[7]),
            total_us: numbers[8],
            streamed: flags[2],
            priced: flags[3],
            ..Record::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_give_back_the_rows_they_were_made_of(rows in proptest::collection::vec(some_row(), 0..80)) {
        let blocks = block::encode(&rows);
        let mut back = Vec::new();
        for (head, bytes) in &blocks {
            let rows = block::rows(bytes).unwrap();
            prop_assert_eq!(*head, block::head(bytes).unwrap());
            prop_assert_eq!(head.started_ms_min, rows.iter().map(|row| row.started_ms).min().unwrap());
            prop_assert_eq!(head.started_ms_max, rows.iter().map(|row| row.started_ms).max().unwrap());
            prop_assert_eq!(head.ended_ms_max, rows.iter().map(Record::ended_ms).max().unwrap());
            back.extend(rows);
        }
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn damaged_blocks_are_errors_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0..3_u8) {
        let bytes = [vec![version], bytes].concat();
        let _ = (block::head(&bytes), block::rows(&bytes));
    }
}
