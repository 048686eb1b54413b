//! Files of compressed blocks, written at their end alone: the bulk of what is kept, where no tree could open quickly.
//!
//! A block is a head of fixed length and two compressed parts. The head says what is in the block and has a checksum
//! over all of it, so that a walk over the heads passes over blocks unread. How far a file is valid stands in the
//! tree: what a crash left behind that is not read, and the next block is written over it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::Error;

const VERSION: u32 = 1;
const HEAD_BYTES: usize = 64;
/// Longest part, unpacked.
const PART_BYTES_MAX: usize = 64 << 20;
const LEVEL: i32 = 3;

/// What a block holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of its first entry.
    pub(super) first: u64,
    /// Entries.
    pub(super) count: u32,
    /// The least and the greatest time of its entries, in the unit of the file.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Does not fall from block to block.
    pub(super) mark: u64,
    /// Packed bytes of each part, and the checksum: filled in when the block is written.
    pub(super) parts: [u32; 2],
    pub(super) checksum: u32,
}

/// Heads, each with the offset of its block.
pub(super) type Heads = Vec<(u64, Head)>;

/// A file of blocks, open.
#[derive(Debug)]
pub(super) struct Blocks(File);

impl Blocks {
    /// Opens a file to read it.
    pub(super) fn open(path: &Path) -> io::Result<Blocks> {
        File::open(path).map(Blocks)
    }

    /// Opens a file to write to it, and makes it if it is not there.
    pub(super) fn writable(path: &Path) -> io::Result<Blocks> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        Ok(Blocks(file))
    }

    /// Writes a block of two parts at an offset. Returns where it ends.
    pub(super) fn write(&self, offset: u64, head: Head, parts: [&[u8]; 2]) -> io::Result<u64> {
        let mut bytes = vec![0; HEAD_BYTES];
        let mut lengths = [0; 2];
        for (length, part) in lengths.iter_mut().zip(parts) {
            let packed = zstd::bulk::compress(part, LEVEL)?;
            *length = u32::try_from(packed.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
            bytes.extend_from_slice(&packed);
        }
        let head = Head { parts: lengths, ..head };
        bytes[..HEAD_BYTES].copy_from_slice(&head.bytes());
        let checksum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        self.0.write_all_at(&bytes, offset)?;
        Ok(offset + bytes.len() as u64)
    }

    /// The heads of the blocks before `end`, each with its offset: all of them, or those before the first that makes no
    /// sense, and what is wrong with it. Behind that one nobody can say where the next begins.
    pub(super) fn heads(&self, end: u64) -> (Heads, Result<(), Error>) {
        let mut heads = Vec::new();
        let mut offset = 0;
        while offset < end {
            match self.head(offset, end) {
                Ok((head, next)) => {
                    heads.push((offset, head));
                    offset = next;
                }
                Err(error) => return (heads, Err(error)),
            }
        }
        (heads, Ok(()))
    }

    /// The head at an offset, and where its block ends: not behind `end`.
    fn head(&self, offset: u64, end: u64) -> Result<(Head, u64), Error> {
        let mut bytes = [0; HEAD_BYTES];
        self.0.read_exact_at(&mut bytes, offset).map_err(|_| broken())?;
        let head = Head::parse(&bytes).ok_or_else(broken)?;
        let next = offset + HEAD_BYTES as u64 + u64::from(head.parts[0]) + u64::from(head.parts[1]);
        if next <= end { Ok((head, next)) } else { Err(broken()) }
    }

    /// Both parts of a block. Its checksum is held to.
    pub(super) fn parts(&self, offset: u64, head: &Head) -> Result<[Vec<u8>; 2], Error> {
        let [first, second] = head.parts.map(|length| length as usize);
        let mut bytes = vec![0; HEAD_BYTES + first + second];
        self.0.read_exact_at(&mut bytes, offset).map_err(|_| broken())?;
        if crc32fast::hash(&bytes[4..]) != head.checksum {
            return Err(broken());
        }
        let (first, second) = bytes[HEAD_BYTES..].split_at(first);
        Ok([unpack(first)?, unpack(second)?])
    }

    /// The first part of a block alone.
    pub(super) fn front(&self, offset: u64, head: &Head) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; head.parts[0] as usize];
        self.0.read_exact_at(&mut bytes, offset + HEAD_BYTES as u64).map_err(|_| broken())?;
        unpack(&bytes)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Cuts what lies behind `end`.
    pub(super) fn cut(&self, end: u64) -> io::Result<()> {
        self.0.set_len(end)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Head {
    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let words = [VERSION, self.count, self.parts[0], self.parts[1]];
        for (at, word) in words.into_iter().enumerate() {
            bytes[4 + 4 * at..][..4].copy_from_slice(&word.to_le_bytes());
        }
        for (at, long) in [self.first, self.from, self.to, self.mark].into_iter().enumerate() {
            bytes[24 + 8 * at..][..8].copy_from_slice(&long.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Head> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if word(4)? != VERSION {
            return None;
        }
        Some(Head {
            checksum: word(0)?,
            count: word(8)?,
            parts: [word(12)?, word(16)?],
            first: long(24)?,
            from: long(32)?,
            to: long(40)?,
            mark: long(48)?,
        })
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    let length = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().ok_or_else(broken)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= PART_BYTES_MAX).ok_or_else(broken)?;
    zstd::bulk::decompress(packed, length).map_err(|_| broken())
}

fn broken() -> Error {
    Error::Broken { what: "a block of rows or sums" }
}
