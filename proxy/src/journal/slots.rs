//! The table of open calls: one slot of a mapped file for each, written when the call opens and when it is sent, and
//! emptied when its row is written. After a kill, it says which calls were cut, and where they had been sent.
//!
//! A slot: its state in four bytes, the call, then two places for where it was sent, of which the state names the one
//! that counts. Each part has a length and a checksum, and is whole before the state says that it is there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{Ordering, compiler_fence},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    mapped::Mapped,
    opened::{Attempt, CutCall, Opened},
    segments::{self, Create},
};

const SLOT_BYTES: usize = 1024;
const STATE_BYTES: usize = 8;
const PART_HEADER_BYTES: usize = 8;
const ATTEMPT_BYTES: usize = 152;
const CALL_BYTES: usize = SLOT_BYTES - STATE_BYTES - 2 * ATTEMPT_BYTES;
/// What texts are cut to where a call does not fit its slot.
const SHORT_TEXT_BYTES: usize = 20;
const ATTEMPT_TEXT_BYTES: usize = 40;

/// The suffix of the table's file.
pub(super) const SUFFIX: &str = ".open";

/// Of a slot. An unknown one is damage.
const EMPTY: u32 = 0;
const OPEN: u32 = 1;
const SENT: [u32; 2] = [2, 3];
/// What a table says.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Calls that the last process left open. A row may be there all the same: of one that was closing, or of any
    /// after a power cut, which may take the table back to an older state than the rows.
    pub(super) calls: Vec<CutCall>,
    /// Slots that make no sense.
    pub(super) damaged: u64,
}

pub(super) struct Slots {
    map: Mapped,
    /// The lowest come first, so that a table is touched only as far as calls are open at once.
    free: Vec<u32>,
    /// Slots whose pages are there.
    populated: u32,
}

/// Slots whose pages are made at once.
const POPULATED_AT_ONCE: u32 = 64;

/// The bytes of a call, for its slot.
pub(super) fn encode_call(opened: &Opened) -> Option<Vec<u8>> {
    encode(opened, CALL_BYTES).or_else(|| {
        let mut short = opened.clone();
        short.clip(SHORT_TEXT_BYTES);
        encode(&short, CALL_BYTES)
    })
}

/// The bytes of an attempt, for the slot of its call.
pub(super) fn encode_attempt(attempt: &Attempt) -> Option<Vec<u8>> {
    encode(attempt, ATTEMPT_BYTES).or_else(|| {
        let mut short = attempt.clone();
        short.clip(ATTEMPT_TEXT_BYTES);
        encode(&short, ATTEMPT_BYTES)
    })
}

pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}"))
}

impl Slots {
    /// A new table with room for so many calls.
    pub(super) fn begin(dir: &Path, number: u64, create: &Create, calls_max: u32) -> io::Result<Slots> {
        let map = create(&path(dir, number), calls_max as usize * SLOT_BYTES)?;
        Ok(Slots { map, free: (0..calls_max).rev().collect(), populated: 0 })
    }

    /// Takes a slot for a call.
    ///
    /// # Errors
    /// Where all are taken, and where the disk fails.
    pub(super) fn open(&mut self, call: &[u8]) -> io::Result<u32> {
        let slot = *self.free.last().ok_or(io::ErrorKind::QuotaExceeded)?;
        if slot >= self.populated {
            let (from, to) = (self.populated as usize, (self.populated + POPULATED_AT_ONCE) as usize);
            self.map.populate(from * SLOT_BYTES..(to * SLOT_BYTES).min(self.map.len()))?;
            self.populated += POPULATED_AT_ONCE;
        }
        self.free.pop();
        let bytes = self.slot(slot);
        bytes[STATE_BYTES..][..call.len()].copy_from_slice(call);
        set_state(bytes, OPEN);
        Ok(slot)
    }

    /// Notes where the call is sent.
    pub(super) fn sent(&mut self, slot: u32, attempt: &[u8]) {
        let bytes = self.slot(slot);
        let next = usize::from(state(bytes) == SENT[0]);
        let at = STATE_BYTES + CALL_BYTES + next * ATTEMPT_BYTES;
        bytes[at..][..attempt.len()].copy_from_slice(attempt);
        set_state(bytes, SENT[next]);
    }

    /// The call's row is written.
    pub(super) fn empty(&mut self, slot: u32) {
        set_state(self.slot(slot), EMPTY);
        self.free.push(slot);
    }

    /// Bytes that are allocated on the disk.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    fn slot(&mut self, slot: u32) -> &mut [u8] {
        &mut self.map[slot as usize * SLOT_BYTES..][..SLOT_BYTES]
    }
}

/// The tables that former processes left in the directory, by number.
pub(super) fn left(dir: &Path) -> io::Result<BTreeMap<u64, Left>> {
    let mut tables = BTreeMap::new();
    for number in numbers(dir)? {
        tables.insert(number, read(&fs::read(path(dir, number))?));
    }
    Ok(tables)
}

/// The numbers of the tables in the directory.
pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    Ok(segments::list(dir, SUFFIX)?.into_keys().collect())
}

fn read(table: &[u8]) -> Left {
    let mut left = Left::default();
    for slot in table.chunks_exact(SLOT_BYTES) {
        match state(slot) {
            EMPTY => {}
            _ => match read_slot(slot) {
                Some(call) => left.calls.push(call),
                None => left.damaged += 1,
            },
        }
    }
    left
}

fn read_slot(slot: &[u8]) -> Option<CutCall> {
    let state = state(slot);
    let opened = decode(&slot[STATE_BYTES..])?;
    let attempt = match state {
        OPEN => None,
        sent => {
            let place = SENT.iter().position(|&it| it == sent)?;
            Some(decode_attempt(&slot[STATE_BYTES + CALL_BYTES + place * ATTEMPT_BYTES..])?)
        }
    };
    Some(CutCall { opened, attempt })
}

/// An attempt, also one of a build that kept less of it: the bytes of that end before the fields of this one.
fn decode_attempt(bytes: &[u8]) -> Option<Attempt> {
    let first = || {
        let (provider, upstream_model, currency, charge_nanos, priced, attempts) = decode(bytes)?;
        Some(Attempt { provider, upstream_model, currency, charge_nanos, priced, attempts, ..Attempt::default() })
    };
    let second = || {
        let (before, output_tokens_held, input_tokens_spent, output_tokens_spent) = decode(bytes)?;
        let (provider, upstream_model, currency, charge_nanos, priced, attempts) = before;
        Some(Attempt {
            provider,
            upstream_model,
            currency,
            charge_nanos,
            priced,
            attempts,
            output_tokens_held,
            input_tokens_spent,
            output_tokens_spent,
            is_over: false,
        })
    };
    decode(bytes).or_else(second).or_else(first)
}

fn state(slot: &[u8]) -> u32 {
    u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]])
}

/// A process that is killed has made its stores in their order: a state speaks of what was written before it.
fn set_state(slot: &mut [u8], state: u32) {
    compiler_fence(Ordering::SeqCst);
    slot[..4].copy_from_slice(&state.to_le_bytes());
    compiler_fence(Ordering::SeqCst);
}

/// A length, a checksum, and the value.
fn encode<T: Serialize>(value: &T, bytes_max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(bytes_max);
    bytes.extend_from_slice(&[0; PART_HEADER_BYTES]);
    let mut bytes = postcard::to_extend(value, bytes).expect("growing a vector cannot fail, and calls are plain data");
    let length = u32::try_from(bytes.len() - PART_HEADER_BYTES).ok()?;
    let checksum = crc32fast::hash(&bytes[PART_HEADER_BYTES..]);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    (bytes.len() <= bytes_max).then_some(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let value = rest.get(..u32::from_le_bytes(*length) as usize)?;
    if crc32fast::hash(value) != u32::from_le_bytes(*checksum) {
        return None;
    }
    postcard::from_bytes(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_of_an_older_build_is_read() {
        let known = ("one".to_owned(), "m".to_owned(), "USD".to_owned(), 17_u64, true, 2_u32);
        let first = decode_attempt(&encode(&known, ATTEMPT_BYTES).unwrap()).unwrap();
        assert_eq!((first.provider.as_str(), first.charge_nanos, first.attempts), ("one", 17, 2));
        let bytes = encode(&(known, 50_u64, 7_u64, 3_u64), ATTEMPT_BYTES).unwrap();
        let second = decode_attempt(&bytes).unwrap();
        let spent = (second.output_tokens_held, second.input_tokens_spent, second.output_tokens_spent);
        assert_eq!((second.attempts, spent, second.is_over), (2, (50, 7, 3), false));
        assert_eq!(decode_attempt(&encode_attempt(&second).unwrap()), Some(second));
    }
}
