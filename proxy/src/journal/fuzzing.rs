//! Frames for the fuzz targets, which see of the room what its tests see.

use super::{
    Error,
    frame::{self, HEADER_BYTES},
    reader,
};

/// What was read of some bytes of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    pub entries: usize,
    /// Frames that were read, those that were taken back among them.
    pub frames: u64,
    /// Bytes passed over because no frame can be read there.
    pub damaged: u64,
    /// Where reading goes on.
    pub offset: u64,
}

/// Reads `bytes`, `last` if nothing follows them.
///
/// # Errors
/// [`Error`] where a frame is whole and this build cannot read what is in it.
pub fn scan(bytes: &[u8], last: bool, entries_max: usize) -> Result<Scanned, Error> {
    let portion = reader::scan(bytes, last, entries_max)?;
    let reader::Portion { entries, offset, frames, damaged } = portion;
    Ok(Scanned { entries: entries.len(), frames, damaged, offset })
}

/// A whole frame around `payload`, whatever it says.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend_from_slice(payload);
    frame::seal(&mut frame);
    frame
}
