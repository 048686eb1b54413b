//! Rows stamped by clocks that stepped, and what is pruned and found of them.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{
    super::{
        row_files::{End, RowFiles},
        state::check_clock,
    },
    *,
};

const DAY_MS: u64 = 86_400_000;
/// 2100-01-01.
const FUTURE_MS: u64 = 4_102_444_800_000;

/// Appends a row, and saves it.
fn save(store: &SledStore, id: &str, started_ms: u64) {
    append(store, vec![row(id, started_ms, 5)]);
    store.flush().unwrap();
}

#[test]
fn rows_of_a_far_future_neither_hide_the_present_nor_keep_it_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    save(&store, "before", NOW_MS);
    save(&store, "future_1", FUTURE_MS);
    save(&store, "future_2", FUTURE_MS + DAY_MS);
    for day in 0..10 {
        save(&store, &format!("day_{day}"), NOW_MS + day * DAY_MS + 1);
    }
    drop(store);
    let store = open(&dir);
    let days = |days: std::ops::Range<u64>| days.rev().map(|day| format!("day_{day}")).collect::<Vec<_>>();
    let at = |day| NOW_MS + day * DAY_MS;
    assert_eq!(listed(&store, at(9), at(10), 10), days(9..10));
    assert_eq!(listed(&store, at(2), at(4), 10), days(2..4));
    assert_eq!(listed(&store, FUTURE_MS, u64::MAX, 10), ["future_2", "future_1"]);
    assert_eq!(store.prune(at(4), at(9), 100).unwrap(), 7);
    assert_eq!(listed(&store, 0, u64::MAX, 100), days(4..10));
}

#[test]
fn rows_of_a_future_go_with_what_was_written_after_them_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    save(&store, "old", NOW_MS);
    save(&store, "future", FUTURE_MS);
    let later_ms = NOW_MS + 5 * DAY_MS;
    assert_eq!(store.prune(later_ms, later_ms, 10).unwrap(), 1);
    save(&store, "young", later_ms);
    assert_eq!(store.prune(later_ms, later_ms + DAY_MS, 10).unwrap(), 0);
    assert_eq!(listed(&store, 0, u64::MAX, 10), ["young", "future"]);
    assert_eq!(store.prune(later_ms + DAY_MS, later_ms + DAY_MS, 10).unwrap(), 2);
}

#[test]
fn a_clock_that_stood_a_month_behind_makes_no_young_row_old() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    save(&store, "before", NOW_MS);
    save(&store, "behind", NOW_MS - 40 * DAY_MS);
    save(&store, "after", NOW_MS + 1);
    assert_eq!(listed(&store, 0, NOW_MS, 10), ["behind"]);
    assert_eq!(listed(&store, NOW_MS, u64::MAX, 10), ["after", "before"]);
    assert_eq!(store.prune(NOW_MS - 30 * DAY_MS, NOW_MS + 2, 10).unwrap(), 0);
    assert_eq!(store.prune(NOW_MS + DAY_MS, NOW_MS + DAY_MS, 10).unwrap(), 3);
}

#[test]
fn a_step_in_the_middle_of_a_batch_widens_no_later_search_and_makes_few_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RowFiles::open(dir.path(), End::default()).unwrap();
    let mut rows: Vec<_> = (0..1_000).map(|at| row("", [NOW_MS, FUTURE_MS][at as usize % 2] + at, 5)).collect();
    rows.sort_by_key(Record::ended_day);
    files.append(&rows).unwrap();
    files.append(&[row("", NOW_MS + 2_000, 5)]).unwrap();
    assert!(files.end.span_ms < DAY_MS, "{:?}", files.end);
    assert_eq!(files.end.until_ms, NOW_MS + 2_005);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn a_clock_before_1970_is_refused_with_a_sentence() {
    let refused = check_clock(UNIX_EPOCH - Duration::from_nanos(1)).unwrap_err().to_string();
    assert!(refused.contains("before 1970") && refused.contains("set the clock"), "{refused}");
    check_clock(UNIX_EPOCH).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_clock_said_ranges_are_whole_and_nothing_young_is_pruned(
        stamps in proptest::collection::vec(
            (
                0..6 * 3_600_000_u64,
                prop_oneof![
                    6 => Just(0_i64),
                    1 => -50 * 86_400_000..50 * 86_400_000_i64,
                    1 => Just(86_400_000 * 365 * 70),
                    1 => Just(i64::MIN),
                ],
                0..100_000_000_u64,
                any::<bool>(),
            ),
            1..40,
        ),
        ranges in proptest::collection::vec((any::<proptest::sample::Index>(), 0..3 * 86_400_000_u64), 1..6),
        retention_ms in 0..20 * 86_400_000_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let (mut now_ms, mut rows) = (NOW_MS, Vec::new());
        for (number, (passed_ms, ahead_ms, total_ms, saves)) in stamps.into_iter().enumerate() {
            now_ms += passed_ms;
            let row = row(&number.to_string(), now_ms.saturating_add_signed(ahead_ms), total_ms);
            rows.push(row.clone());
            append(&store, vec![row]);
            if saves {
                store.flush().unwrap();
            }
        }
        drop(store);
        let store = open(&dir);
        let ids = |rows: &[Record], from_ms: u64, to_ms: u64| {
            let within = rows.iter().filter(|row| (from_ms..to_ms).contains(&row.started_ms));
            within.map(|row| row.request_id.clone()).collect::<HashSet<_>>()
        };
        let found = |from_ms, to_ms| listed(&store, from_ms, to_ms, 7).into_iter().collect::<HashSet<_>>();
        for (at, length_ms) in &ranges {
            let from_ms = at.get(&rows).started_ms.saturating_sub(length_ms / 2);
            prop_assert_eq!(found(from_ms, from_ms + length_ms), ids(&rows, from_ms, from_ms + length_ms));
        }
        let before_ms = now_ms - retention_ms;
        store.prune(before_ms, now_ms, usize::MAX).unwrap();
        let young_ms = before_ms..=now_ms + retention_ms;
        let young: Vec<_> = rows.into_iter().filter(|row| young_ms.contains(&row.ended_ms())).collect();
        prop_assert!(found(0, u64::MAX).is_superset(&ids(&young, 0, u64::MAX)));
    }
}
