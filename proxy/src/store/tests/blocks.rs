//! Blocks of rows, whole and damaged.

use proptest::prelude::*;

use super::{super::blocks::Blocks, *};
use crate::{call::Tokens, usage::Source};

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
            overrun_tokens: if flags[2] { numbers[1] } else { 0 },
            streamed: flags[2],
            priced: flags[3],
            ..Record::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_give_back_the_rows_they_were_made_of(rows in proptest::collection::vec(some_row(), 1..80)) {
        let dir = tempfile::tempdir().unwrap();
        let file = Blocks::writable(&dir.path().join("file")).unwrap();
        let [front, rest] = rows::encode(&rows);
        let end = file.write(0, rows::head(&rows), [&front, &rest]).unwrap();
        let end = file.write(end, rows::head(&rows), [&front, &rest]).unwrap();
        let (heads, whole) = file.heads(end);
        prop_assert!(whole.is_ok());
        prop_assert_eq!(heads.len(), 2);
        for (offset, head) in heads {
            prop_assert_eq!(head.from, rows.iter().map(|row| row.started_ms).min().unwrap());
            prop_assert_eq!(head.to, rows.iter().map(|row| row.started_ms).max().unwrap());
            prop_assert_eq!(&rows::read(&file, offset, &head).unwrap(), &rows);
        }
    }

    #[test]
    fn damaged_blocks_are_errors_and_never_panics(
        rows in proptest::collection::vec(some_row(), 1..8),
        at in any::<proptest::sample::Index>(),
        flip in 1..255_u8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let [front, rest] = rows::encode(&rows);
        let end = Blocks::writable(&path).unwrap().write(0, rows::head(&rows), [&front, &rest]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let file = Blocks::open(&path).unwrap();
        for (offset, head) in file.heads(end).0 {
            let _ = rows::admitted(&file, offset, &head, &mut |_, _| {});
            prop_assert!(rows::read(&file, offset, &head).is_err());
        }
    }
}

/// The files of rows, the oldest first.
fn row_files(dir: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.path().join("store/rows")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files
}

#[test]
fn a_block_that_cannot_be_read_costs_its_own_rows_and_no_start_and_no_listing() {
    // A bit of the second block's rows, and one of its head, behind which nobody knows where the third begins.
    let cases: [(usize, &[&str]); 2] = [(200, &["req_3", "req_2", "req_0"]), (4, &["req_3", "req_0"])];
    for (at, left) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        let mut lengths = Vec::new();
        for number in 0..3 {
            append(&store, vec![Record { admitted: true, ..row(&format!("req_{number}"), NOW_MS + number, 0) }]);
            store.flush().unwrap();
            lengths.push(std::fs::metadata(&row_files(&dir)[0]).unwrap().len() as usize);
        }
        drop(store);
        let mut bytes = std::fs::read(&row_files(&dir)[0]).unwrap();
        let second = lengths[0]..lengths[1];
        bytes[(second.start + at).min(second.end - 1)] ^= 0xff;
        std::fs::write(&row_files(&dir)[0], bytes).unwrap();

        let store = open(&dir);
        append(&store, vec![row("req_3", NOW_MS + 3, 0)]);
        drop(store);
        let store = open(&dir);
        assert_eq!(listed(&store, 0, u64::MAX, 10), left);
        assert_eq!(store.have_rows(&["req_0", "req_none"]).unwrap(), HashSet::from(["req_0"]));
        assert!(store.admitted_since(0).unwrap()["key_a"].contains(&NOW_MS));
        let mut visited = 0;
        let mut count = |_| {
            visited += 1;
            Ok(())
        };
        store.each_record(&mut count).unwrap();
        assert_eq!(visited, left.len());
    }
}

#[test]
fn rows_are_not_written_behind_a_file_that_has_lost_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    for number in 0..2 {
        append(&store, vec![row(&format!("req_{number}"), NOW_MS + number, 0)]);
        store.flush().unwrap();
    }
    drop(store);
    let cut = row_files(&dir).remove(0);
    let length = std::fs::metadata(&cut).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(length - 1).unwrap();

    let store = open(&dir);
    append(&store, vec![row("req_2", NOW_MS + 2, 0)]);
    store.flush().unwrap();
    append(&store, vec![row("req_3", NOW_MS + 3, 0)]);
    drop(store);
    assert_eq!(std::fs::metadata(&cut).unwrap().len(), length - 1);
    assert_eq!(row_files(&dir).len(), 2, "one new file, and not one at each start");
    assert_eq!(listed(&open(&dir), 0, u64::MAX, 10), ["req_3", "req_2", "req_0"]);
}
