//! Entries of the spool as bytes: a length, a checksum over length and payload, then the payload.

use serde::{Serialize, de::DeserializeOwned};

use super::Error;
use crate::store::{self, Opened, Record};

/// Longest payload. Rows are clipped well below.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 10;
pub(super) const HEADER_BYTES: usize = 8;

/// The first byte of a payload. A change of what follows takes a new number.
const ROW: u8 = 1;
const OPENED: u8 = 2;

/// What the spool is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Row(Record),
    Opened(Opened),
}

/// What lies at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front<'a> {
    Payload(&'a [u8]),
    /// The beginning of a frame that may go on behind the bytes.
    Partial,
    Damaged,
}

pub(super) fn row(record: &Record) -> Vec<u8> {
    frame(ROW, record)
}

pub(super) fn opened(opened: &Opened) -> Vec<u8> {
    frame(OPENED, opened)
}

fn frame<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    let mut frame = Vec::with_capacity(512);
    frame.extend_from_slice(&[0; HEADER_BYTES]);
    frame.push(kind);
    let mut frame = postcard::to_extend(value, frame)
        .expect("growing a vector cannot fail, and neither rows nor marks refuse to serialize");
    let length = u32::try_from(frame.len() - HEADER_BYTES).expect("rows and marks are clipped to a few kilobytes");
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(length, &frame[HEADER_BYTES..]);
    frame[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    frame
}

/// Reads the frame at the front of the bytes.
pub(super) fn front(bytes: &[u8]) -> Front<'_> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Front::Partial };
    let length = u32::from_le_bytes(*length);
    // A run of zeros, which a power cut leaves behind, must not read as empty frames.
    if length == 0 || length as usize > PAYLOAD_BYTES_MAX {
        return Front::Damaged;
    }
    let Some((expected, rest)) = rest.split_first_chunk() else { return Front::Partial };
    match rest.get(..length as usize) {
        None => Front::Partial,
        Some(payload) if checksum(length, payload) == u32::from_le_bytes(*expected) => Front::Payload(payload),
        Some(_) => Front::Damaged,
    }
}

/// The entry of a payload whose checksum held.
pub(super) fn parse(payload: &[u8]) -> Result<Entry, Error> {
    match payload.split_first() {
        Some((&ROW, value)) => Ok(Entry::Row(decode(value)?)),
        Some((&OPENED, value)) => Ok(Entry::Opened(decode(value)?)),
        Some((&kind, _)) => Err(Error::Foreign { kind }),
        None => Err(Error::Foreign { kind: 0 }),
    }
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(value).map_err(|_| store::Error::Broken { what: "an entry of the spool" }.into())
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(length);
    hasher.update(payload);
    hasher.finalize()
}
