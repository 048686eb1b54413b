//! The store, table by table, and across openings. `layout` is about how it lies on the disk.

mod blocks;
mod clock;
mod dumps;
mod layout;

use std::os::unix::fs::PermissionsExt;

use super::{value::Table, *};
use crate::limit::Caps;

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
    let second = SledStore::open(&path, &Settings::default());
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
fn calls_that_have_a_row_are_told_from_those_that_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for number in 0..500 {
        let ms = NOW_MS + number * 60_000;
        append(&store, vec![row(&ulid(ms, number), ms + 3, number * 1_000), row(&format!("own-{number}"), ms, 0)]);
    }
    for number in [0, 250, 499] {
        for id in [ulid(NOW_MS + number * 60_000, number), format!("own-{number}")] {
            assert!(store.have_rows(&[&id]).unwrap().contains(&*id), "{id}");
        }
    }
    let ids: Vec<String> = [3, 400, 77].map(|number| ulid(NOW_MS + number * 60_000, number)).into();
    let wanted = [ids[0].as_str(), &ids[1], &ids[2], "own-5", "own-500"];
    assert_eq!(store.have_rows(&wanted).unwrap(), HashSet::from_iter(wanted.into_iter().take(4)));
    for absent in ["", "req_", "own-500", &ulid(NOW_MS, 77), &ulid(0, 0), "req_!!!!!!!!!!!!!!!!!!!!!!!!!!"] {
        assert!(store.have_rows(&[absent]).unwrap().is_empty(), "{absent}");
    }
}

#[test]
fn pruning_removes_whole_days_of_old_rows_a_bounded_number_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let day = 86_400_000;
    for number in 0..10 {
        append(&store, vec![row(&format!("req_{number}"), NOW_MS + number * day, 0)]);
        store.flush().unwrap();
    }
    assert_eq!(store.prune(NOW_MS + 5 * day, NOW_MS + 60 * day, 3).unwrap(), 3);
    assert_eq!(store.prune(NOW_MS + 5 * day, NOW_MS + 60 * day, 3).unwrap(), 2);
    assert_eq!(store.prune(NOW_MS + 5 * day, NOW_MS + 60 * day, 3).unwrap(), 0);
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_9", "req_8", "req_7", "req_6", "req_5"]);
    assert_eq!(store.prune(NOW_MS + 50 * day, NOW_MS + 60 * day, 30).unwrap(), 5);
    append(&store, vec![row("req_after", NOW_MS + 60 * day, 0)]);
    drop(store);
    assert_eq!(listed(&open(&dir), 0, u64::MAX, 10), ["req_after"]);
}

#[test]
fn a_kill_at_any_point_of_pruning_leaves_the_younger_days_whole() {
    let day = 86_400_000;
    for removed in 0..=4 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        for number in 0..4 {
            append(&store, vec![row(&format!("req_{number}"), NOW_MS + number * day, 0)]);
            store.flush().unwrap();
        }
        append(&store, vec![row("req_unflushed", NOW_MS + 3 * day, 0)]);
        // As a kill leaves it: files are removed one by one, the oldest first, and nothing of it stands in the tree.
        let entries = std::fs::read_dir(dir.path().join("store/rows")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        files.iter().take(removed).for_each(|file| std::fs::remove_file(file).unwrap());
        store.reopen().unwrap();
        append(&store, vec![row("req_after", NOW_MS + 3 * day, 0)]);
        drop(store);
        let store = open(&dir);
        let mut expected = vec!["req_after".to_owned()];
        expected.extend((removed..4).rev().map(|number| format!("req_{number}")));
        assert_eq!(listed(&store, 0, u64::MAX, 10), expected, "{removed} files were removed");
        assert_eq!(
            store.prune(NOW_MS + 30 * day, NOW_MS + 60 * day, 10).unwrap(),
            if removed == 4 { 1 } else { 4 - removed }
        );
        assert!(listed(&store, 0, u64::MAX, 10).is_empty());
    }
}

#[test]
fn what_a_cut_off_save_left_in_the_files_is_not_read_and_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_1", NOW_MS, 0)]);
    store.flush().unwrap();
    drop(store);
    // A block that the tree never heard of, and a file of the next day.
    let rows = dir.path().join("store/rows");
    let file = std::fs::read_dir(&rows).unwrap().next().unwrap().unwrap().path();
    let block = std::fs::read(&file).unwrap();
    std::fs::write(&file, [block.as_slice(), &block[..block.len() / 2]].concat()).unwrap();
    std::fs::write(rows.join("0000000000000001-0000000000000005.rows"), &block).unwrap();
    std::fs::write(dir.path().join("store/hours/00000007.hours"), &block).unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_2", NOW_MS + 1, 0)]);
    drop(store);
    assert_eq!(listed(&open(&dir), 0, u64::MAX, 10), ["req_2", "req_1"]);
    assert_eq!(std::fs::read_dir(&rows).unwrap().count(), 1);
}

#[test]
fn a_store_whose_save_failed_takes_nothing_more_and_doubles_nothing_once_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_1", NOW_MS, 0)]);
    store.flush().unwrap();
    let at = store.position().unwrap();
    let spent = Sums { total_tokens: 7, ..Sums::default() };
    let to = Position { offset: at.offset + 1, ..at };
    // The rows are written, and then the hours cannot be.
    let hours = dir.path().join("store/hours");
    std::fs::remove_dir(&hours).unwrap();
    let rollups = vec![
        (RollupKey { dimension: Dimension::User, hour: 9, name: "ann".to_owned() }, Rollup::default()),
        (RollupKey { dimension: Dimension::User, hour: 1, name: "ann".to_owned() }, Rollup::default()),
    ];
    let rows = vec![row("req_2", NOW_MS, 0)];
    let batch = Batch { from: at, to, rows, rollups, sums: vec![("key_a".to_owned(), spent)], ..Batch::default() };
    store.append(&batch).unwrap();
    assert!(store.flush().is_err());
    std::fs::create_dir(&hours).unwrap();
    assert!(store.flush().is_err() && store.append(&batch).is_err());
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_2", "req_1"]);
    store.reopen().unwrap();
    assert_eq!(store.position().unwrap(), at);
    store.append(&batch).unwrap();
    drop(store);
    let store = open(&dir);
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_2", "req_1"]);
    assert_eq!(store.sums().unwrap(), [("key_a".to_owned(), spent)]);
}

#[test]
fn what_was_not_flushed_is_gone_after_a_kill_with_its_position() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_1", NOW_MS, 0)]);
    store.flush().unwrap();
    let at = store.position().unwrap();
    append(&store, vec![row("req_2", NOW_MS, 0)]);
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["req_2", "req_1"]);
    store.reopen().unwrap();
    assert_eq!((store.position().unwrap(), listed(&store, 0, u64::MAX, 10)), (at, vec!["req_1".to_owned()]));
}

#[test]
fn the_calls_of_each_key_since_a_moment_are_those_admitted_in_memory_and_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let call = |number: u64, admitted| Record { admitted, ..row(&format!("req_{number}"), NOW_MS + number, 0) };
    append(&store, vec![call(0, true), call(1, true), call(2, false)]);
    store.flush().unwrap();
    append(&store, vec![call(3, true), Record { key_id: String::new(), ..call(4, true) }]);
    let mut calls = store.admitted_since(NOW_MS + 1).unwrap();
    calls.values_mut().for_each(|calls| calls.sort_unstable());
    assert_eq!(calls, HashMap::from([("key_a".to_owned(), vec![NOW_MS + 1, NOW_MS + 3])]));
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
    assert!(store.size_bytes() > 0);
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
    assert!(matches!(error, Error::Schema { what: "a roll-up of an hour", found: 9, known: 3 }), "{error}");

    let broken: Result<Sums, Error> = value::decode(Table::Sums, &[2, 0, 0]);
    assert!(matches!(broken, Err(Error::Schema { what: "the sums of a key", found: 2, known: 1 })));
    for bytes in [&[][..], &[1], &[1, 0xff]] {
        let broken: Result<Sums, Error> = value::decode(Table::Sums, bytes);
        assert!(matches!(broken, Err(Error::Broken { what: "the sums of a key" })), "{bytes:?}");
    }
}

#[test]
fn a_cursor_that_nobody_gave_out_is_refused() {
    for text in ["", "x", "1-2", "-1", "11111111111111111"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[test]
fn the_size_is_told_while_the_disk_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    append(&store, vec![row("req_1", NOW_MS, 0)]);
    store.flush().unwrap();
    let before = store.size_bytes();
    assert_eq!((store.while_changing(|| store.size_bytes()), before > 0), (before, true));
}
