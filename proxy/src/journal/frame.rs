//! Entries of the journal as bytes: a length, a checksum over length and payload, then the payload.
//!
//! The rest of a segment is zeros. A frame's length is written last, so that what a kill tore has none.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Error;
use crate::store::{self, KeyChange, Record};

/// Longest payload: a change of keys with as many models as a key may have.
pub(super) const PAYLOAD_BYTES_MAX: usize = 480 << 10;
/// Longest frame of a row, whose texts are clipped.
pub(super) const ROW_BYTES_MAX: usize = 5 << 10;
pub(super) const HEADER_BYTES: usize = 8;
/// The highest byte of the length of a frame that was taken back: no length is so long, and no flipped bit makes it.
const VOID: u8 = 0xa5;
const LENGTH_MASK: u32 = 0x00ff_ffff;
const _: () = assert!(PAYLOAD_BYTES_MAX < LENGTH_MASK as usize);

/// The first byte of a payload. A change of what follows takes a new number.
const ROW: u8 = 1;
const KEYS: u8 = 3;
const REFUSALS: u8 = 4;

/// What the journal is made of.
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a row")]
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Row(Record),
    Keys(Vec<KeyChange>),
    Refusals(Refusals),
}

/// Requests that were nobody's call, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusals {
    /// Since 1970.
    pub(super) hour: u32,
    /// By the code of the refusal.
    pub(super) counts: Vec<(String, u64)>,
}

/// What lies at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front<'a> {
    Payload(&'a [u8]),
    /// A frame of so many payload bytes that was taken back.
    Void(usize),
    /// Nothing was written here.
    Zeros,
    /// The beginning of a frame that may go on behind the bytes.
    Partial,
    Damaged,
}

pub(super) fn row(record: &Record) -> Vec<u8> {
    match record.overrun_tokens {
        0 => frame(ROW, record),
        overrun_tokens => frame(ROW, &(record, overrun_tokens)),
    }
}

/// A row, and behind it its overrun where it has one.
fn row_of(value: &[u8]) -> Result<Record, Error> {
    let (mut record, behind): (Record, _) = postcard::take_from_bytes(value).map_err(|_| broken())?;
    if !behind.is_empty() {
        record.overrun_tokens = decode(behind)?;
    }
    Ok(record)
}

pub(super) fn keys(changes: &[KeyChange]) -> Vec<u8> {
    frame(KEYS, changes)
}

pub(super) fn refusals(refusals: &Refusals) -> Vec<u8> {
    frame(REFUSALS, refusals)
}

fn frame<T: Serialize + ?Sized>(kind: u8, value: &T) -> Vec<u8> {
    let mut frame = Vec::with_capacity(512);
    frame.extend_from_slice(&[0; HEADER_BYTES]);
    frame.push(kind);
    let mut frame = postcard::to_extend(value, frame)
        .expect("growing a vector cannot fail, and no entry of the journal refuses to serialize");
    seal(&mut frame);
    frame
}

/// Fills in the header of a frame whose payload stands behind it.
pub(super) fn seal(frame: &mut [u8]) {
    let length = u32::try_from(frame.len() - HEADER_BYTES).expect("entries are bounded far below 4 GiB");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(length, &frame[HEADER_BYTES..]);
    frame[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// Takes back the frame that begins at the front of the bytes. One store: it is taken back whole or not at all.
pub(super) fn void(bytes: &mut [u8]) {
    bytes[3] = VOID;
}

/// Reads the frame at the front of the bytes.
pub(super) fn front(bytes: &[u8]) -> Front<'_> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return if bytes.iter().all(|&byte| byte == 0) { Front::Zeros } else { Front::Partial };
    };
    let length = u32::from_le_bytes(*length);
    if length == 0 {
        return Front::Zeros;
    }
    let is_void = length.to_le_bytes()[3] == VOID;
    let length = if is_void { length & LENGTH_MASK } else { length };
    if length == 0 || length as usize > PAYLOAD_BYTES_MAX {
        return Front::Damaged;
    }
    let Some((expected, rest)) = rest.split_first_chunk() else { return Front::Partial };
    match rest.get(..length as usize) {
        None => Front::Partial,
        Some(payload) if checksum(length, payload) != u32::from_le_bytes(*expected) => Front::Damaged,
        Some(payload) if is_void => Front::Void(payload.len()),
        Some(payload) => Front::Payload(payload),
    }
}

/// What the front of some bytes claims to be: the length and the checksum of a payload that may be there whole.
pub(super) fn claim(bytes: &[u8]) -> Option<(u32, u32)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    let length = if length.to_le_bytes()[3] == VOID { length & LENGTH_MASK } else { length };
    let is_plausible = length > 0 && length as usize <= PAYLOAD_BYTES_MAX.min(rest.len());
    is_plausible.then_some((length, u32::from_le_bytes(*checksum)))
}

/// The entry of a payload whose checksum held.
pub(super) fn parse(payload: &[u8]) -> Result<Entry, Error> {
    match payload.split_first() {
        Some((&ROW, value)) => Ok(Entry::Row(row_of(value)?)),
        Some((&KEYS, value)) => Ok(Entry::Keys(decode(value)?)),
        Some((&REFUSALS, value)) => Ok(Entry::Refusals(decode(value)?)),
        Some((&kind, _)) => Err(Error::Foreign { kind }),
        None => Err(Error::Foreign { kind: 0 }),
    }
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(value).map_err(|_| broken())
}

fn broken() -> Error {
    store::Error::Broken { what: "an entry of the journal" }.into()
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(length);
    hasher.update(payload);
    hasher.finalize()
}
