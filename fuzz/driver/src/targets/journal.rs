//! Reading the journal after a crash or a damaged disk: every byte is passed, none twice, and what was written whole and
//! lies between what was damaged is found.

use tollgate::journal::fuzzing::{Scanned, frame, scan};

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "|f\u{1}abc",
    "|v\u{3}abc",
    "|r",
    "|z8888",
    "|t\u{1}abcdefgh",
    "|f",
    "\0\0\0\0",
    "\u{1}\0\0\0",
    "|f\u{4}\0\0",
    "\u{a5}",
];

/// The first byte says how many entries are read at once. The rest are parts between bars, each after its kind: a whole
/// frame, one taken back, one torn, zeros, or bytes as they stand.
pub fn run(data: &[u8]) -> u64 {
    let [at_once, parts @ ..] = data else { return 0 };
    let mut segment = Vec::new();
    for part in parts.split(|byte| *byte == b'|') {
        match part.split_first() {
            Some((b'f', payload)) => segment.extend(frame(payload)),
            Some((b'v', payload)) => {
                let mut taken_back = frame(payload);
                taken_back[3] = 0xa5;
                segment.extend(taken_back);
            }
            Some((b't', payload)) => {
                let whole = frame(payload);
                segment.extend(&whole[..whole.len() * 2 / 3]);
            }
            Some((b'z', zeros)) => segment.resize(segment.len() + zeros.len() * 8, 0),
            _ => segment.extend(part),
        }
    }
    let whole = read(&segment, usize::MAX);
    let by_parts = read(&segment, usize::from(*at_once).max(1));
    if let (Ok(whole), Ok(by_parts)) = (&whole, &by_parts) {
        assert_eq!(whole, by_parts, "what is read at once decides what is found");
    }
    assert_eq!(whole.is_ok(), by_parts.is_ok());
    let tail = scan(&segment, false, usize::MAX);
    if let Ok(tail) = &tail {
        assert!(tail.offset <= segment.len() as u64, "read beyond the end");
    }
    outcome(&(whole.map(|it| (it.entries.min(3), it.frames.min(4), it.damaged.min(16))).ok(), tail.is_ok()))
}

/// Reads all of a segment, so many entries at once.
fn read(segment: &[u8], entries_max: usize) -> Result<Scanned, String> {
    let mut sum = Scanned::default();
    while sum.offset < segment.len() as u64 {
        let rest = &segment[usize::try_from(sum.offset).expect("a segment fits in memory")..];
        let portion = scan(rest, true, entries_max).map_err(|fault| fault.to_string())?;
        assert!(portion.offset > 0, "no byte is passed");
        sum.entries += portion.entries;
        sum.frames += portion.frames;
        sum.damaged += portion.damaged;
        sum.offset += portion.offset;
    }
    assert_eq!(sum.offset, segment.len() as u64, "read beyond the end");
    assert!(sum.damaged <= sum.offset && sum.entries as u64 <= sum.frames);
    Ok(sum)
}
