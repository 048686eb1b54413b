//! Dumps, and what they load into.

use super::*;

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
    let loaded = backup::fill(&store, &mut text.as_bytes()).unwrap();
    assert_eq!(loaded, Loaded { keys: 1, records: 3_000, rollups: 700 });
    assert_eq!(dumped(&store), text);
    assert_eq!(store.position().unwrap(), Position { segment: 4, offset: 77 }, "nothing is taken over twice");
    assert!(matches!(backup::fill(&store, &mut text.as_bytes()), Err(Error::NotEmpty)));
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
        ("{\"table\":\"schema\",\"value\":2}\nnonsense", 2),
        ("", 1),
    ];
    for (text, at) in cases {
        let dir = tempfile::tempdir().unwrap();
        let error = backup::fill(&open(&dir), &mut text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Dump { line, .. } if line == at), "{text}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let newer = backup::fill(&open(&dir), &mut r#"{"table":"schema","value":3}"#.as_bytes());
    assert!(matches!(newer, Err(Error::Schema { found: 3, known: 2, .. })));
}

#[test]
fn a_dump_that_is_cut_off_doubled_or_shortened_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = dumped(&filled(&dir));
    let (target, settings) = (dir.path().join("new"), Settings::default());
    let whole: Vec<&str> = text.lines().collect();
    let (last, head) = whole.split_last().unwrap();
    let shorter = [&head[..head.len() - 1], &[last]].concat();
    for broken in [String::new(), head.join("\n"), whole[..1].join("\n"), text.repeat(2), shorter.join("\n")] {
        let refused = load(&target, &settings, &mut broken.as_bytes());
        assert!(matches!(refused, Err(Error::Dump { .. })), "{refused:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["store"], "the store that was dumped is alone again");
    }
    // What a load left that was killed does not stand in the way of the next.
    drop(SledStore::open(&target.with_extension("loading"), &settings).unwrap());
    assert_eq!(load(&target, &settings, &mut text.as_bytes()).unwrap().records, 3_000);
    assert_eq!(dumped(&SledStore::open(&target, &settings).unwrap()), text);
    assert!(matches!(load(&target, &settings, &mut text.as_bytes()), Err(Error::NotEmpty)));
}

#[test]
fn a_store_with_sums_of_hours_alone_is_not_empty() {
    let (from_dir, to_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let text = dumped(&filled(&from_dir));
    let store = open(&to_dir);
    let key = RollupKey { dimension: Dimension::ALL[0], hour: 9, name: "gpt-4o".to_owned() };
    let rollups = vec![(key, Rollup { calls: 1, ..Rollup::default() })];
    store.append(&Batch { rollups, to: Position { segment: 0, offset: 1 }, ..Batch::default() }).unwrap();
    assert!(matches!(backup::fill(&store, &mut text.as_bytes()), Err(Error::NotEmpty)));
}
