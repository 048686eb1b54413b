//! The writing end of the spool: numbered segments, each only ever appended to.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where a segment's bytes go. A file, but for tests of a full disk.
pub(super) trait Segment: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes back what lies behind `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Segment for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Makes the segment of a path.
pub(super) type Create = Box<dyn FnMut(&Path) -> io::Result<Box<dyn Segment>> + Send>;

/// Makes a segment's file.
pub(super) fn create(path: &Path) -> io::Result<Box<dyn Segment>> {
    Ok(Box::new(OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?))
}

/// The path of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.spool"))
}

/// Makes the directory if it is not there; it becomes readable to its owner alone.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// The segments in the directory, each with its length.
pub(super) fn list(dir: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".spool"));
        if let Some(number) = number.and_then(|number| u64::from_str_radix(number, 16).ok()) {
            segments.insert(number, entry.metadata()?.len());
        }
    }
    Ok(segments)
}

/// Frames go in here, whole or not at all.
pub(super) struct Spool {
    dir: PathBuf,
    create: Create,
    segment_bytes_max: u64,
    number: u64,
    segment: Box<dyn Segment>,
    /// Where the last whole frame of the segment ends.
    end: u64,
    /// A failed write left a piece of a frame behind `end`, and it could not be cut off.
    torn: bool,
    /// Former segments that may still be read, with their ends.
    sealed: BTreeMap<u64, u64>,
    /// Frames that could not be written, oldest first.
    deferred: VecDeque<Vec<u8>>,
    deferred_bytes: usize,
    deferred_bytes_max: usize,
    /// Frames and bytes ever written.
    pub(super) frames_written: u64,
    pub(super) bytes_written: u64,
    pub(super) frames_lost: u64,
}

impl Spool {
    /// Begins a new segment of this number.
    pub(super) fn begin(
        dir: &Path,
        number: u64,
        mut create: Create,
        segment_bytes_max: u64,
        deferred_bytes_max: usize,
    ) -> io::Result<Spool> {
        let segment = create(&path(dir, number))?;
        Ok(Spool {
            dir: dir.to_owned(),
            create,
            segment_bytes_max,
            number,
            segment,
            end: 0,
            torn: false,
            sealed: BTreeMap::new(),
            deferred: VecDeque::new(),
            deferred_bytes: 0,
            deferred_bytes_max,
            frames_written: 0,
            bytes_written: 0,
            frames_lost: 0,
        })
    }

    /// Writes a frame, with one write where the disk does its part.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.torn || self.end >= self.segment_bytes_max {
            let next = self.next_segment();
            // A full segment takes another frame rather than lose it; a torn one must not.
            if self.torn {
                next?;
            }
        }
        if let Err(error) = self.segment.append(frame) {
            self.torn = self.segment.cut(self.end).is_err();
            return Err(error);
        }
        self.end += frame.len() as u64;
        self.frames_written += 1;
        self.bytes_written += frame.len() as u64;
        Ok(())
    }

    /// Keeps a frame that could not be written. Returns whether there was room.
    pub(super) fn defer(&mut self, frame: Vec<u8>) -> bool {
        if self.deferred_bytes + frame.len() > self.deferred_bytes_max {
            self.frames_lost += 1;
            return false;
        }
        self.deferred_bytes += frame.len();
        self.deferred.push_back(frame);
        true
    }

    /// Writes up to `frames_max` of the frames that were kept. Returns whether some are left.
    pub(super) fn write_deferred(&mut self, frames_max: usize) -> io::Result<bool> {
        for _ in 0..frames_max {
            let Some(frame) = self.deferred.pop_front() else { return Ok(false) };
            if let Err(error) = self.append(&frame) {
                self.deferred.push_front(frame);
                return Err(error);
            }
            self.deferred_bytes -= frame.len();
        }
        Ok(!self.deferred.is_empty())
    }

    pub(super) fn deferred(&self) -> u64 {
        self.deferred.len() as u64
    }

    /// Every segment that may still be read, with the end of its last whole frame.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        let mut ends = self.sealed.clone();
        ends.insert(self.number, self.end);
        ends
    }

    /// Forgets the segments before this one, which nobody will read again.
    pub(super) fn release(&mut self, before: u64) {
        self.sealed.retain(|&number, _| number >= before);
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let next = (self.create)(&path(&self.dir, self.number + 1))?;
        self.sealed.insert(self.number, self.end);
        self.segment = next;
        self.number += 1;
        self.end = 0;
        self.torn = false;
        Ok(())
    }
}
