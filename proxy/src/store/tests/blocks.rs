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
        let heads = file.heads(end).unwrap();
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
        if let Ok(heads) = file.heads(end) {
            for (offset, head) in heads {
                let _ = rows::admitted(&file, offset, &head, &mut |_, _| {});
                prop_assert!(rows::read(&file, offset, &head).is_err());
            }
        }
    }
}
