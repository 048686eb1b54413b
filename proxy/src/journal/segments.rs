//! The writing end of the journal: numbered segments of one size, some of them ready ahead.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{DirBuilder, File, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{Ordering, compiler_fence},
    },
};

use super::{
    frame::{self, HEADER_BYTES, ROW_BYTES_MAX},
    mapped::Mapped,
};
use crate::store::Position;

/// Makes the file of a segment, of this many bytes.
pub(super) type Create = Arc<dyn Fn(&Path, usize) -> io::Result<Mapped> + Send + Sync>;

/// Segments that are ready before anybody asks for them.
const READY_MIN: usize = 2;
/// Room that calls leave to changes of keys: a revocation must find some on a full disk.
const KEPT_FOR_CHANGES: usize = 64 << 10;

/// The path of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.journal"))
}

/// Makes the directory if it is not there; it becomes readable to its owner alone.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// The numbered files of the directory with this suffix, each with its length.
pub(super) fn list(dir: &Path, suffix: &str) -> io::Result<BTreeMap<u64, u64>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(suffix));
        if let Some(number) = number.and_then(|number| u64::from_str_radix(number, 16).ok()) {
            files.insert(number, entry.metadata()?.len());
        }
    }
    Ok(files)
}

/// Whether a segment in the directory has anything but zeros.
pub(super) fn have_entries(dir: &Path) -> io::Result<bool> {
    let numbers = match list(dir, SUFFIX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        listed => listed?.into_keys(),
    };
    let mut bytes = vec![0; 64 << 10];
    for number in numbers {
        let mut file = File::open(path(dir, number))?;
        loop {
            match file.read(&mut bytes)? {
                0 => break,
                length if bytes[..length].iter().any(|&byte| byte != 0) => return Ok(true),
                _ => {}
            }
        }
    }
    Ok(false)
}

/// The suffix of a segment's file.
pub(super) const SUFFIX: &str = ".journal";

/// Frames go in here, whole or not at all.
pub(super) struct Segments {
    dir: PathBuf,
    create: Create,
    segment_bytes: usize,
    number: u64,
    /// The number of the next segment that is made.
    next_number: u64,
    current: Mapped,
    /// Where the last frame of the current segment ends.
    end: usize,
    /// In the order of their numbers.
    ready: VecDeque<(u64, Mapped)>,
    /// Former segments that may still be read, with their ends.
    sealed: BTreeMap<u64, u64>,
    /// Former segments that are still mapped: unmapping is left to the journal's thread.
    retired: Vec<(u64, Mapped)>,
    /// The change that is being flushed: nothing from here on is taken over.
    held: Option<Position>,
    /// Bytes that the rows of open calls may take.
    reserved: usize,
    /// Why the last segment could not be made. Calls do not try again; the journal's thread does.
    full: Option<io::ErrorKind>,
    /// Former segments that are not known to be on the disk, and whether the current one is.
    unsynced: Vec<Arc<File>>,
    is_synced: bool,
    /// Frames and bytes ever written.
    pub(super) frames_written: u64,
    pub(super) bytes_written: u64,
}

/// Where a change was written.
pub(super) struct Unflushed {
    file: Arc<File>,
    dir: PathBuf,
}

impl Unflushed {
    /// Flushes the change, and the name of its file, without which it is not found after a power cut.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()?;
        File::open(&self.dir)?.sync_all()
    }
}

impl Segments {
    /// Begins a new segment of this number, and makes the ones ahead.
    pub(super) fn begin(dir: &Path, number: u64, create: Create, segment_bytes: usize) -> io::Result<Segments> {
        let current = create_segment(&create, dir, number, segment_bytes)?;
        let mut segments = Segments {
            dir: dir.to_owned(),
            create,
            segment_bytes,
            number,
            next_number: number + 1,
            current,
            end: 0,
            ready: VecDeque::new(),
            sealed: BTreeMap::new(),
            retired: Vec::new(),
            held: None,
            reserved: 0,
            full: None,
            unsynced: Vec::new(),
            is_synced: true,
            frames_written: 0,
            bytes_written: 0,
        };
        while segments.is_short() {
            segments.make_segment()?;
        }
        Ok(segments)
    }

    /// Sets room aside for the row of a call that opens.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        self.make_room(bytes)?;
        self.reserved += bytes;
        Ok(())
    }

    /// Gives the room of a call back that leaves no row.
    pub(super) fn cancel(&mut self, reserved: usize) {
        self.reserved -= reserved;
    }

    /// Writes the row of a call into the room that was set aside for it.
    pub(super) fn append_reserved(&mut self, frame: &[u8], reserved: usize) -> io::Result<()> {
        self.reserved -= reserved;
        self.append(frame).map(drop)
    }

    /// Writes a frame that no room was set aside for.
    pub(super) fn append_unreserved(&mut self, frame: &[u8]) -> io::Result<()> {
        self.make_room(frame.len())?;
        self.append(frame).map(drop)
    }

    /// Writes a change of keys, also where calls find no room any more. Nothing from it on is taken over until
    /// [`Segments::release_change`]. Returns what is to be flushed.
    pub(super) fn append_change(&mut self, frame: &[u8]) -> io::Result<Unflushed> {
        if self.room_after(frame.len()).is_none_or(|room| room < self.reserved) {
            self.make_segment()?;
        }
        self.held = Some(self.append(frame)?);
        Ok(Unflushed { file: self.current.file(), dir: self.dir.clone() })
    }

    /// The change is flushed, or stays although it could not be: it may be taken over.
    pub(super) fn release_change(&mut self) {
        self.held = None;
    }

    /// The change is taken back: it never was.
    pub(super) fn void_change(&mut self) {
        let Some(at) = self.held.take() else { return };
        let offset = usize::try_from(at.offset).expect("a segment is far smaller than the memory");
        if at.segment == self.number {
            frame::void(&mut self.current[offset..]);
        } else if let Some((_, mapped)) = self.retired.iter_mut().find(|(number, _)| *number == at.segment) {
            frame::void(&mut mapped[offset..]);
        }
    }

    /// What to make a segment with that should be ready and is not: a call of [`create_segment`] without the lock,
    /// whose outcome goes to [`Segments::provide`].
    pub(super) fn wanted(&mut self) -> Option<impl FnOnce() -> (u64, io::Result<Mapped>) + use<>> {
        if !self.is_short() {
            self.full = None;
            return None;
        }
        let (number, create) = (self.take_number(), self.create.clone());
        let (dir, bytes) = (self.dir.clone(), self.segment_bytes);
        Some(move || (number, create_segment(&create, &dir, number, bytes)))
    }

    /// Takes a segment that was made, or hears why it was not.
    pub(super) fn provide(&mut self, number: u64, made: io::Result<Mapped>) -> io::Result<()> {
        let mapped = made.inspect_err(|error| self.full = Some(error.kind()))?;
        self.full = None;
        if number < self.number {
            // A call was faster, and its segment is in use: this one would be read in the wrong order.
            return std::fs::remove_file(path(&self.dir, number));
        }
        let at = self.ready.partition_point(|(ready, _)| *ready < number);
        self.ready.insert(at, (number, mapped));
        Ok(())
    }

    /// Whether fewer segments are ready than should be: a segment more than the open calls may need.
    pub(super) fn is_short(&self) -> bool {
        self.ready.len() < READY_MIN || self.room() < self.reserved + KEPT_FOR_CHANGES + self.segment_bytes
    }

    /// Whether the journal's thread is to be woken for a segment. A disk that took none is asked again when the thread
    /// finds it time, and not at each row.
    pub(super) fn wants_one_now(&self) -> bool {
        self.full.is_none() && self.is_short()
    }

    /// Why calls find no room.
    pub(super) fn refuses(&self) -> Option<io::ErrorKind> {
        self.full.filter(|_| self.room() < self.reserved + KEPT_FOR_CHANGES + ROW_BYTES_MAX)
    }

    /// Every segment that may be read, each with the end of what may be taken over.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        let mut ends = self.sealed.clone();
        ends.insert(self.number, self.end as u64);
        if let Some(held) = self.held {
            ends.retain(|&number, _| number <= held.segment);
            ends.insert(held.segment, held.offset);
        }
        ends
    }

    /// The files that have what is not known to be on the disk. Where one cannot be flushed, all of them come back to
    /// [`Segments::keep_unsynced`].
    pub(super) fn take_unsynced(&mut self) -> Vec<Arc<File>> {
        let mut files = std::mem::take(&mut self.unsynced);
        if !std::mem::replace(&mut self.is_synced, true) {
            files.push(self.current.file());
        }
        files
    }

    pub(super) fn keep_unsynced(&mut self, files: Vec<Arc<File>>) {
        self.unsynced.extend(files);
    }

    /// Forgets the segments before this one, which nobody will read again.
    pub(super) fn release(&mut self, before: u64) {
        self.sealed.retain(|&number, _| number >= before);
    }

    /// Former segments, to be unmapped by whoever drops them.
    pub(super) fn take_retired(&mut self) -> Vec<(u64, Mapped)> {
        if self.held.is_some() { Vec::new() } else { std::mem::take(&mut self.retired) }
    }

    /// Bytes that are allocated on the disk.
    pub(super) fn allocated_bytes(&self) -> u64 {
        (self.sealed.len() + 1 + self.ready.len()) as u64 * self.segment_bytes as u64
    }

    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        while self.room_after(bytes).is_none_or(|room| room < self.reserved + KEPT_FOR_CHANGES) {
            if let Some(kind) = self.full {
                return Err(kind.into());
            }
            self.make_segment()?;
        }
        Ok(())
    }

    fn make_segment(&mut self) -> io::Result<()> {
        let number = self.take_number();
        let made = create_segment(&self.create, &self.dir, number, self.segment_bytes);
        self.provide(number, made)
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// What rows can surely take. A frame never spans segments, so a row may leave a rest as long as a row.
    fn room(&self) -> usize {
        let rest = self.segment_bytes - self.end;
        rest.saturating_sub(ROW_BYTES_MAX) + self.ready.len() * (self.segment_bytes - ROW_BYTES_MAX)
    }

    /// [`Segments::room`] once a frame of this length is written; `None` where it does not fit.
    fn room_after(&self, length: usize) -> Option<usize> {
        if length <= self.segment_bytes - self.end {
            return Some(self.room().saturating_sub(length));
        }
        let whole = self.segment_bytes - ROW_BYTES_MAX;
        let behind = self.ready.len().checked_sub(1)?;
        Some(behind * whole + whole.checked_sub(length)?)
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<Position> {
        if frame.len() > self.segment_bytes - self.end {
            self.next_segment()?;
        }
        let place = self.current.get_mut(self.end..self.end + frame.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let (length, rest) = frame.split_at(4);
        place[4..].copy_from_slice(rest);
        // A process that is killed has made its stores in their order: a frame with a length is whole.
        compiler_fence(Ordering::SeqCst);
        place[..4].copy_from_slice(length);
        debug_assert!(frame.len() > HEADER_BYTES);
        let at = Position { segment: self.number, offset: self.end as u64 };
        self.end += frame.len();
        self.is_synced = false;
        self.frames_written += 1;
        self.bytes_written += frame.len() as u64;
        Ok(at)
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let (number, next) = self.ready.pop_front().ok_or(io::ErrorKind::StorageFull)?;
        self.sealed.insert(self.number, self.end as u64);
        if !std::mem::replace(&mut self.is_synced, true) {
            self.unsynced.push(self.current.file());
        }
        self.retired.push((self.number, std::mem::replace(&mut self.current, next)));
        self.number = number;
        self.end = 0;
        Ok(())
    }
}

fn create_segment(create: &Create, dir: &Path, number: u64, bytes: usize) -> io::Result<Mapped> {
    let segment = create(&path(dir, number), bytes)?;
    if let Err(error) = segment.populate(0..bytes) {
        // It holds nothing; should it stay behind, the next start removes it.
        let _ = std::fs::remove_file(path(dir, number));
        return Err(error);
    }
    Ok(segment)
}
