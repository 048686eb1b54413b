//! Bytes that are not as they were written.

use proptest::prelude::*;

use super::{
    super::{
        frame::{self, Entry},
        reader::scan,
        search::{MADE, Search},
        segments,
        testing::House,
    },
    *,
};

/// A segment of rows, and where each frame begins.
fn segment(rows: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for number in 0..rows {
        starts.push(bytes.len());
        bytes.extend(frame::row(&row(&format!("req_{number}"), number as u64)));
    }
    (bytes, starts)
}

fn ids(entries: &[Entry]) -> Vec<String> {
    let id = |entry: &Entry| match entry {
        Entry::Row(row) => row.request_id.clone(),
        other => panic!("{other:?}"),
    };
    entries.iter().map(id).collect()
}

fn expected(rows: impl Iterator<Item = usize>) -> Vec<String> {
    rows.map(|number| format!("req_{number}")).collect()
}

#[test]
fn entries_come_back_as_they_were_written_and_what_was_taken_back_does_not() {
    let changes = vec![KeyChange::Remove("key_a".to_owned())];
    let refusals = Refusals { hour: 7, counts: vec![("key_unknown".to_owned(), 3)] };
    let mut void = frame::keys(&changes);
    frame::void(&mut void);
    let beyond = Record { overrun_tokens: u64::MAX, ..row("req_2", 8) };
    let rows = [frame::row(&row("req_1", 7)), frame::row(&beyond)].concat();
    let bytes = [rows, frame::keys(&changes), void, frame::refusals(&refusals)].concat();
    let portion = scan(&bytes, true, 10).unwrap();
    let rows = [Entry::Row(row("req_1", 7)), Entry::Row(beyond)];
    assert_eq!(portion.entries[..2], rows);
    assert_eq!(portion.entries[2..], [Entry::Keys(changes), Entry::Refusals(refusals)]);
    assert_eq!((portion.offset, portion.frames, portion.damaged), (bytes.len() as u64, 5, 0));
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_the_row_it_tore() {
    let (bytes, starts) = segment(3);
    for length in starts[2] + 1..bytes.len() {
        let portion = scan(&bytes[..length], true, 10).unwrap();
        assert_eq!(ids(&portion.entries), expected(0..2), "{length}");
        assert_eq!((portion.offset, portion.damaged), (length as u64, (length - starts[2]) as u64));
        let more_may_follow = scan(&bytes[..length], false, 10).unwrap();
        assert_eq!((more_may_follow.offset, more_may_follow.damaged), (starts[2] as u64, 0), "{length}");
    }
}

#[test]
fn a_flipped_bit_costs_only_the_row_it_is_in() {
    let (bytes, starts) = segment(3);
    for bit in starts[1] * 8..starts[2] * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let portion = scan(&bytes, true, 10).unwrap();
        assert_eq!(ids(&portion.entries), ["req_0", "req_2"], "bit {bit}");
        assert_eq!(portion.damaged, (starts[2] - starts[1]) as u64);
    }
}

#[test]
fn the_zeros_behind_the_last_entry_are_no_damage_and_those_before_one_are() {
    let (mut bytes, starts) = segment(3);
    bytes.extend([0; 4_096]);
    let portion = scan(&bytes, true, 10).unwrap();
    assert_eq!((ids(&portion.entries), portion.damaged), (expected(0..3), 0));
    assert_eq!(portion.offset, bytes.len() as u64);
    bytes[starts[1]..starts[2]].fill(0);
    let portion = scan(&bytes, true, 10).unwrap();
    assert_eq!(ids(&portion.entries), ["req_0", "req_2"]);
    assert_eq!(portion.damaged, (starts[2] - starts[1]) as u64);
}

#[test]
fn an_entry_of_an_unknown_kind_stops_the_ledger_with_a_sentence() {
    let mut bytes = frame::row(&row("req_1", 1));
    bytes[frame::HEADER_BYTES] = 9;
    let mut hasher = crc32fast::Hasher::new_with_initial((bytes.len() - frame::HEADER_BYTES) as u32);
    hasher.update(&bytes[frame::HEADER_BYTES..]);
    let checksum = hasher.finalize();
    bytes[4..frame::HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    let house = House::new();
    segments::make_dir(&house.journal_dir()).unwrap();
    let path = segments::path(&house.journal_dir(), 1);
    std::fs::write(&path, &bytes).unwrap();
    let opened = house.by_hand(house.store(), Settings::default(), RULES);
    assert!(matches!(opened, Err(Error::Foreign { kind: 9 })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "and is not thrown away");
}

#[test]
fn what_looks_like_an_entry_inside_of_one_that_a_read_cuts_is_none() {
    let inner = frame::row(&row("req_inner", 1));
    let outer = {
        // A payload with the inner frame in it, byte for byte.
        let mut bytes = frame::row(&row("req_outer", 1));
        bytes.extend_from_slice(&inner);
        bytes.extend([1; 64]);
        frame::seal(&mut bytes);
        bytes
    };
    let first = frame::row(&row("req_first", 1));
    let bytes = [first.as_slice(), &outer].concat();
    let cut = bytes.len() - 10;
    let portion = scan(&bytes[..cut], false, 10).unwrap();
    assert_eq!((ids(&portion.entries), portion.damaged), (vec!["req_first".to_owned()], 0));
    assert_eq!(portion.offset as usize, first.len());
}

/// Damages a journal of several segments, each of several reads, and recovers it. Returns how many rows were left
/// whole, how many are in the store, and how many bytes were passed over.
fn recover_after(damage: impl Fn(usize, &mut Vec<u8>)) -> (usize, usize, u64) {
    let house = House::new();
    segments::make_dir(&house.journal_dir()).unwrap();
    let mut whole = 0;
    for number in 0..3 {
        let rows: Vec<_> = (0..3_000).map(|call| frame::row(&row(&format!("req_{number}_{call}"), 1))).collect();
        let mut bytes = rows.concat();
        damage(number, &mut bytes);
        let mut start = 0;
        for row in rows {
            whole += usize::from(bytes.get(start..start + row.len()) == Some(&row));
            start += row.len();
        }
        std::fs::write(segments::path(&house.journal_dir(), number as u64 + 1), bytes).unwrap();
    }
    let store = house.store();
    let settings = Settings { batch_rows_max: 500, ..Settings::default() };
    let (_, _, recovered) = house.by_hand(store.clone(), settings, RULES).unwrap();
    assert_eq!(recovered.rows_replayed, whole as u64);
    let mut stored = 0;
    let count = |_| {
        stored += 1;
        Ok(())
    };
    store.each_record(&mut { count }).unwrap();
    (whole, stored, recovered.bytes_damaged)
}

#[test]
fn damage_in_one_place_of_a_journal_leaves_the_rest() {
    type Damage = fn(usize, &mut Vec<u8>);
    let cases: [(&str, Damage); 4] = [
        ("none", |_, _| {}),
        ("a torn tail in the last segment", |number, bytes| {
            if number == 2 {
                bytes.truncate(bytes.len() - 1);
            }
        }),
        ("a flipped bit in every segment", |_, bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("a hole larger than a read", |number, bytes| {
            if number == 1 {
                bytes[1_000..141_000].fill(0xff);
            }
        }),
    ];
    for (name, damage) in cases {
        let (whole, stored, damaged) = recover_after(damage);
        assert_eq!((stored, damaged > 0), (whole, whole < 9_000), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let portion = scan(&bytes, true, 1_000).unwrap();
        prop_assert_eq!(portion.offset, bytes.len() as u64);
    }

    #[test]
    fn rows_after_damage_are_found_wherever_reads_are_cut(
        at in 0.0..1.0_f64,
        junk in proptest::collection::vec(any::<u8>(), 1..200),
        cut in 1..3_000_usize,
    ) {
        let (mut bytes, starts) = segment(10);
        let start = starts[(at * 10.0) as usize];
        bytes.splice(start..start, junk);
        let mut found = Vec::new();
        let (mut offset, mut end) = (0, cut.min(bytes.len()));
        while offset < bytes.len() {
            let portion = scan(&bytes[offset..end], end == bytes.len(), 3).unwrap();
            found.extend(ids(&portion.entries));
            offset += portion.offset as usize;
            end = (end + cut).min(bytes.len());
        }
        prop_assert_eq!(found, expected(0..10));
    }
}

#[test]
fn a_search_finds_the_frames_that_reading_finds_wherever_it_begins() {
    let (bytes, starts) = segment(4);
    let search = Search::new(&bytes);
    for from in 0..bytes.len() {
        assert_eq!(search.next(from), starts.iter().copied().find(|&start| start >= from), "{from}");
    }
}

#[test]
fn bytes_that_all_look_like_lengths_are_passed_over_in_a_time_that_grows_with_them() {
    // Read as lengths, these are 64 KiB each wherever one begins. By the square, 4 MiB of them are 270 GB to add up.
    let mut bytes = [0, 0, 1, 0].repeat(1 << 20);
    let row = frame::row(&row("req_1", 7));
    bytes.extend(&row);
    let portion = scan(&bytes, true, 10).unwrap();
    assert_eq!((ids(&portion.entries), portion.damaged), (expected(1..2), 4 << 20));
}

#[test]
fn the_empty_rest_of_a_segment_is_read_and_not_searched() {
    let settings = Settings { segment_bytes: 1 << 20, calls_max: 1, ..Settings::default() };
    for (hole_bytes, searches) in [(0, 0), (300 << 10, 1)] {
        let house = House::new();
        segments::make_dir(&house.journal_dir()).unwrap();
        let mut bytes = [frame::row(&row("req_1", 1)), vec![0; hole_bytes]].concat();
        if searches > 0 {
            bytes.extend(frame::row(&row("req_2", 1)));
        }
        bytes.resize(1 << 20, 0);
        std::fs::write(segments::path(&house.journal_dir(), 1), bytes).unwrap();
        let before = MADE.get();
        let (_, _, recovered) = house.by_hand(house.store(), settings.clone(), RULES).unwrap();
        assert_eq!((recovered.rows_replayed, recovered.bytes_damaged), (1 + u64::from(searches), hole_bytes as u64));
        assert_eq!(MADE.get() - before, searches);
    }
}
