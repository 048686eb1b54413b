//! The reading end of the spool, the same for a running ledger and for a restart.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    Error,
    frame::{self, Entry, Front, HEADER_BYTES, PAYLOAD_BYTES_MAX},
    spool,
};
use crate::store::Position;

/// Bytes read at once. More than two frames of the largest size, so that each read gets on.
const READ_BYTES: usize = 128 << 10;

pub(super) struct Reader {
    dir: PathBuf,
    open: Option<(u64, File)>,
    buffer: Vec<u8>,
}

/// Some entries of a segment.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) entries: Vec<Entry>,
    /// Where in the segment reading goes on.
    pub(super) offset: u64,
    /// Bytes passed over because no frame can be read there.
    pub(super) damaged: u64,
}

impl Reader {
    pub(super) fn new(dir: &Path) -> Reader {
        Reader { dir: dir.to_owned(), open: None, buffer: Vec::new() }
    }

    /// Reads on from a position, to `end` of the segment and to `entries_max` entries at most.
    pub(super) fn read(&mut self, at: Position, end: u64, entries_max: usize) -> Result<Portion, Error> {
        let length = usize::try_from(end.saturating_sub(at.offset)).unwrap_or(READ_BYTES).min(READ_BYTES);
        self.fill(at, length).map_err(|source| Error::Io { path: spool::path(&self.dir, at.segment), source })?;
        let portion = scan(&self.buffer, at.offset + length as u64 == end, entries_max)?;
        self.buffer.clear();
        Ok(Portion { offset: at.offset + portion.offset, ..portion })
    }

    fn fill(&mut self, at: Position, length: usize) -> io::Result<()> {
        let file = match self.open.take() {
            Some((segment, file)) if segment == at.segment => file,
            _ => File::open(spool::path(&self.dir, at.segment))?,
        };
        self.buffer.resize(length, 0);
        file.read_exact_at(&mut self.buffer, at.offset)?;
        self.open = Some((at.segment, file));
        Ok(())
    }
}

/// The entries in some bytes of a segment, `last` if nothing follows them. Offsets count from the first byte.
pub(super) fn scan(bytes: &[u8], last: bool, entries_max: usize) -> Result<Portion, Error> {
    let mut entries = Vec::new();
    let (mut at, mut damaged) = (0, 0);
    while at < bytes.len() && entries.len() < entries_max {
        match frame::front(&bytes[at..]) {
            Front::Payload(payload) => {
                entries.push(frame::parse(payload)?);
                at += HEADER_BYTES + payload.len();
            }
            Front::Partial if !last => break,
            Front::Partial | Front::Damaged => {
                let next = resume(bytes, at + 1, last);
                damaged += next - at;
                at = next;
            }
        }
    }
    Ok(Portion { entries, offset: at as u64, damaged: damaged as u64 })
}

/// Where the next whole frame begins. Without one: the end, or as near to it as a frame may begin that goes on
/// behind it.
fn resume(bytes: &[u8], from: usize, last: bool) -> usize {
    let whole = (from..bytes.len()).find(|&at| matches!(frame::front(&bytes[at..]), Front::Payload(_)));
    match whole {
        Some(at) => at,
        None if last => bytes.len(),
        None => bytes.len().saturating_sub(HEADER_BYTES + PAYLOAD_BYTES_MAX).max(from),
    }
}
