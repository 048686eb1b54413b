//! Finding the next whole frame in bytes that make no sense.
//!
//! Any four bytes may look like a length, and a checksum over each such payload would take a time that grows with the
//! square of the bytes. So one pass notes the checksum of everything up to each byte, and that of any payload follows
//! from two of them.

use crc32fast::Hasher;

use super::frame::{self, HEADER_BYTES};

#[cfg(test)]
thread_local! {
    /// Searches that this thread has begun: each costs far more than to read the bytes.
    pub(super) static MADE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Some bytes, prepared to be searched.
pub(super) struct Search<'a> {
    bytes: &'a [u8],
    /// The checksum of the bytes before each place.
    before: Vec<u32>,
}

impl<'a> Search<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Search<'a> {
        #[cfg(test)]
        MADE.set(MADE.get() + 1);
        let mut hasher = Hasher::new();
        let mut before = vec![0];
        before.extend(bytes.iter().map(|byte| {
            hasher.update(std::slice::from_ref(byte));
            hasher.clone().finalize()
        }));
        Search { bytes, before }
    }

    /// Where the first whole frame at `from` or behind begins.
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        (from..self.bytes.len()).find(|&at| self.is_whole(at))
    }

    fn is_whole(&self, at: usize) -> bool {
        let Some((length, checksum)) = frame::claim(&self.bytes[at..]) else { return false };
        let (start, end) = (at + HEADER_BYTES, at + HEADER_BYTES + length as usize);
        // A checksum is linear: what stands before the payload falls out, and its length, which it begins with, in.
        let mut payload = Hasher::new_with_initial(self.before[start] ^ length);
        payload.combine(&Hasher::new_with_initial_len(0, u64::from(length)));
        payload.finalize() ^ self.before[end] == checksum
    }
}
