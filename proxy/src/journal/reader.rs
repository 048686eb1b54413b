//! The reading end of the journal, the same for a running process and for a restart.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    Error,
    frame::{self, Entry, Front, HEADER_BYTES},
    search::Search,
    segments,
};
use crate::store::Position;

/// Bytes read at once, where they hold a whole frame.
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
    /// Frames that were read, those that were taken back among them.
    pub(super) frames: u64,
    /// Bytes passed over because no frame can be read there.
    pub(super) damaged: u64,
}

impl Reader {
    pub(super) fn new(dir: &Path) -> Reader {
        Reader { dir: dir.to_owned(), open: None, buffer: Vec::new() }
    }

    /// Reads on from a position, to `end` of the segment and to `entries_max` entries at most.
    pub(super) fn read(&mut self, at: Position, end: u64, entries_max: usize) -> Result<Portion, Error> {
        let whole = usize::try_from(end.saturating_sub(at.offset)).unwrap_or(usize::MAX);
        let mut length = whole.min(READ_BYTES);
        loop {
            self.fill(at, length)
                .map_err(|source| Error::Io { path: segments::path(&self.dir, at.segment), source })?;
            let portion = scan(&self.buffer, length == whole, entries_max)?;
            if portion.offset > 0 || length == whole {
                self.buffer.clear();
                self.buffer.shrink_to(READ_BYTES);
                return Ok(Portion { offset: at.offset + portion.offset, ..portion });
            }
            length = whole.min(length * 4);
        }
    }

    fn fill(&mut self, at: Position, length: usize) -> io::Result<()> {
        let file = match self.open.take() {
            Some((segment, file)) if segment == at.segment => file,
            _ => File::open(segments::path(&self.dir, at.segment))?,
        };
        self.buffer.resize(length, 0);
        file.read_exact_at(&mut self.buffer, at.offset)?;
        self.open = Some((at.segment, file));
        Ok(())
    }
}

/// The entries in some bytes of a segment, `last` if nothing follows them. Offsets count from the first byte; one of
/// 0 asks for more bytes.
pub(super) fn scan(bytes: &[u8], last: bool, entries_max: usize) -> Result<Portion, Error> {
    let mut portion = Portion::default();
    let mut at = 0;
    let mut search = None;
    while at < bytes.len() && portion.entries.len() < entries_max {
        match frame::front(&bytes[at..]) {
            Front::Payload(payload) => {
                portion.entries.push(frame::parse(payload)?);
                portion.frames += 1;
                at += HEADER_BYTES + payload.len();
            }
            Front::Void(length) => {
                portion.frames += 1;
                at += HEADER_BYTES + length;
            }
            // The end, or as it seems so far: what follows says whether it was a hole.
            Front::Zeros if bytes[at..].iter().all(|&byte| byte == 0) => {
                if !last {
                    break;
                }
                at = bytes.len();
            }
            // A whole frame may begin here: what lies inside of it is not looked at.
            Front::Partial if !last => break,
            Front::Zeros | Front::Partial | Front::Damaged => {
                // Without a further frame: the end, if nothing follows it.
                let next = search.get_or_insert_with(|| Search::new(bytes)).next(at + 1);
                let Some(next) = next.or(last.then_some(bytes.len())) else { break };
                portion.damaged += (next - at) as u64;
                at = next;
            }
        }
    }
    portion.offset = at as u64;
    Ok(portion)
}
