//! How the store lies on the disk: snapshots, schemas, and the periods of roll-ups.

use proptest::prelude::*;

use super::{super::rollup::periods, *};

#[test]
fn a_torn_snapshot_is_taken_out_of_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let sled = dir.path().join("store/sled");
    let snapshots = || {
        let names = std::fs::read_dir(&sled).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("snap.")).collect::<Vec<_>>()
    };
    let store = open(&dir);
    append(&store, vec![row("req_1", NOW_MS, 1)]);
    store.flush().unwrap();
    store.reopen().unwrap();
    drop(store);
    let whole = snapshots().pop().unwrap();
    let bytes = std::fs::read(sled.join(&whole)).unwrap();
    for length in [0, 1, 11, 12, bytes.len() / 2, bytes.len()] {
        // As a kill leaves it: the next snapshot, unfinished.
        std::fs::write(sled.join("snap.00000000FFFFFFFF.generating"), &bytes[..length]).unwrap();
        assert_eq!(listed(&open(&dir), 0, u64::MAX, 10), ["req_1"], "{length}");
        assert!(snapshots().iter().all(|name| !name.ends_with("generating")), "{:?}", snapshots());
    }
    for length in [0, 11, bytes.len() - 1] {
        // As a broken disk leaves it.
        std::fs::write(sled.join("snap.00000000FFFFFFFF"), &bytes[..length]).unwrap();
        assert_eq!(listed(&open(&dir), 0, u64::MAX, 10), ["req_1"], "{length}");
        assert!(snapshots().contains(&"damaged-snap.00000000FFFFFFFF".to_owned()), "{:?}", snapshots());
    }
}

#[test]
fn a_store_of_the_version_before_is_brought_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let rollup = Rollup { calls: 3, input: 5, ..Rollup::default() };
    let value = postcard::to_extend(&rollup, vec![1]).unwrap();
    for hour in [0_u32, 1, 30, 5_000] {
        // Version 1: table 5, dimension, hour, name.
        store.overwrite(&[&[5, Dimension::Model as u8], &hour.to_be_bytes()[..], b"gpt-4o"].concat(), &value);
    }
    store.overwrite(b"\x03req_open", &[1, 2, 3]);
    store.overwrite(b"\x00schema", &[1]);
    store.flush().unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(&dir);
        let total = store.totals(Dimension::Model, 0..u32::MAX).unwrap();
        assert_eq!((total["gpt-4o"].calls, total["gpt-4o"].input), (12, 20));
        assert_eq!(store.totals(Dimension::Model, 1..31).unwrap()["gpt-4o"].calls, 6);
        let mut hours = Vec::new();
        let mut note = |(key, _): (RollupKey, Rollup)| {
            hours.push(key.hour);
            Ok(())
        };
        store.rollups(Dimension::Model, 0..u32::MAX, &mut note).unwrap();
        assert_eq!(hours, [0, 1, 30, 5_000]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn periods_cover_a_range_of_hours_once(from in 0..6_000_u32, length in 0..6_000_u32) {
        let mut hours: Vec<u32> = periods(from..from + length)
            .flat_map(|(period, numbers)| numbers.start * period.hours()..numbers.end * period.hours())
            .collect();
        hours.sort_unstable();
        prop_assert_eq!(hours, (from..from + length).collect::<Vec<_>>());
    }

    #[test]
    fn totals_of_a_range_are_the_sum_of_its_hours(
        hours in proptest::collection::vec((0..4_000_u32, 0..3_usize), 1..40),
        from in 0..4_000_u32,
        length in 0..4_000_u32,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let names = ["a", "ab", "b"];
        let at = |hour, name: usize| RollupKey { dimension: Dimension::User, hour, name: names[name].to_owned() };
        let one = Rollup { calls: 1, ..Rollup::default() };
        for hours in hours.chunks(7) {
            let rollups = hours.iter().map(|&(hour, name)| (at(hour, name), one.clone())).collect();
            store.append(&Batch { rollups, ..Batch::default() }).unwrap();
        }
        for range in [from..from + length, from..u32::MAX] {
            let mut expected = BTreeMap::<String, u64>::new();
            for (_, name) in hours.iter().filter(|(hour, _)| range.contains(hour)) {
                *expected.entry(names[*name].to_owned()).or_default() += 1;
            }
            let totals = store.totals(Dimension::User, range).unwrap();
            let totals: BTreeMap<String, u64> = totals.into_iter().map(|(name, sum)| (name, sum.calls)).collect();
            prop_assert_eq!(totals, expected);
        }
    }
}
