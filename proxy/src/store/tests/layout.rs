//! How the store lies on the disk: snapshots, and the periods of roll-ups.

use proptest::prelude::*;

use super::*;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

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
            if hours.len() % 2 == 1 {
                store.flush().unwrap();
            }
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
