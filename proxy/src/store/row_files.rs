//! The files of rows: one for each UTC day in which rows were written, or more where a day has many.
//!
//! Rows are numbered in the order in which they were stored. A file's name has the number of its first row, and the
//! latest moment at which a row of the file before it ended: so a range of time is found without opening a file.
//!
//! The moments are those of a clock that may step. Within a day they do not fall, since calls end in any order; where
//! the clock came back by more than a day they fall with it, and a file begins, so that what was written in a future
//! that was none says nothing of what was written after it.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File},
    io,
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Record,
    blocks::{Blocks, Head, Heads},
    record::DAY_MS,
    rows::{self, BLOCK_ROWS},
};

/// A file that has grown to this is left for a new one.
const FILE_BYTES: u64 = 32 << 20;
/// 2020-01-01: no clock that is set shows less.
const CLOCK_MS_MIN: u64 = 1_577_836_800_000;
const SUFFIX: &str = ".rows";

/// Where the rows end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The first row of the last file.
    file: u64,
    /// Bytes of it that are valid.
    offset: u64,
    /// The day that the last file is for.
    day: u64,
    /// The number of the next row.
    pub(super) next: u64,
    /// The latest moment at which a row ended, since the clock last came back.
    pub(super) until_ms: u64,
    /// The longest time between the beginning of a row and the mark of its block.
    pub(super) span_ms: u64,
}

/// The files, and where they end. Cheap to copy: a walk takes a copy and holds nobody up.
#[derive(Debug, Clone)]
pub(super) struct RowFiles {
    dir: PathBuf,
    /// By their first rows: the latest moment at which a row of the file before ended.
    files: BTreeMap<u64, u64>,
    pub(super) end: End,
    pub(super) bytes: u64,
    /// The last file has lost its end or the order of its blocks: nothing that is written behind would be found.
    is_last_damaged: bool,
}

/// A block that a walk has come to.
pub(super) struct Found<'a> {
    pub(super) file: &'a Blocks,
    pub(super) offset: u64,
    pub(super) head: Head,
}

impl RowFiles {
    /// The files of a directory, which is made if it is not there, as far as `end` says. What a crash left behind the
    /// end is removed.
    pub(super) fn open(dir: &Path, end: End) -> io::Result<RowFiles> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut opened =
            RowFiles { dir: dir.to_owned(), files: BTreeMap::new(), end, bytes: 0, is_last_damaged: false };
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Some((first, before_ms)) = entry.file_name().to_str().and_then(parse_name) else { continue };
            if first > end.file || end.next == 0 {
                fs::remove_file(entry.path())?;
                continue;
            }
            opened.files.insert(first, before_ms);
            opened.bytes += entry.metadata()?.len();
        }
        if let Some(&before_ms) = opened.files.get(&end.file) {
            let file = Blocks::writable(&opened.path(end.file, before_ms))?;
            let length = file.length()?;
            if length < end.offset {
                tracing::error!(missing = end.offset - length, "the last file of rows is damaged: its end is missing");
                opened.is_last_damaged = true;
            } else if length > end.offset {
                file.cut(end.offset)?;
                opened.bytes -= length - end.offset;
            }
            opened.is_last_damaged |= file.heads(end.offset).1.is_err();
        }
        Ok(opened)
    }

    /// Writes rows behind the end, and makes them durable. They count once [`RowFiles::end`] is stored. Each stretch of
    /// rows that ended on one day has blocks of its own.
    pub(super) fn append(&mut self, rows: &[Record]) -> io::Result<()> {
        let mut open: Option<(u64, Blocks)> = None;
        let by_day = rows.chunk_by(|one, next| one.ended_day() == next.ended_day());
        for rows in by_day.flat_map(|rows| rows.chunks(BLOCK_ROWS)) {
            let ended_ms = rows.iter().map(Record::ended_ms).max().unwrap_or_default();
            let came_back = ended_ms.saturating_add(DAY_MS) < self.end.until_ms;
            let until_ms = if came_back { ended_ms } else { ended_ms.max(self.end.until_ms) };
            let day = until_ms / DAY_MS;
            let is_usable = self.files.contains_key(&self.end.file) && !self.is_last_damaged;
            if !is_usable || day != self.end.day || self.end.offset >= FILE_BYTES {
                self.begin_file(day)?;
            }
            let (first, before_ms) = (self.end.file, self.files[&self.end.file]);
            let file = match open.take() {
                Some((of, file)) if of == first => file,
                other => {
                    other.map_or(Ok(()), |(_, file)| file.sync())?;
                    Blocks::writable(&self.path(first, before_ms))?
                }
            };
            let head = Head { first: self.end.next, mark: until_ms, ..rows::head(rows) };
            let [front, rest] = rows::encode(rows);
            let end = file.write(self.end.offset, head, [&front, &rest])?;
            self.bytes += end - self.end.offset;
            self.end.offset = end;
            self.end.next += rows.len() as u64;
            self.end.until_ms = until_ms;
            self.end.span_ms = self.end.span_ms.max(until_ms - head.from);
            open = Some((first, file));
        }
        open.map_or(Ok(()), |(_, file)| file.sync())
    }

    fn begin_file(&mut self, day: u64) -> io::Result<()> {
        let (first, before_ms) = (self.end.next, self.end.until_ms);
        let file = Blocks::writable(&self.path(first, before_ms))?;
        file.cut(0)?;
        File::open(&self.dir)?.sync_all()?;
        self.files.insert(first, before_ms);
        self.end = End { file: first, offset: 0, day, ..self.end };
        self.is_last_damaged = false;
        Ok(())
    }

    /// Visits the blocks that may have rows begun in a range, newest first, from the one with the row before `before`
    /// on. The visitor says whether to go on. What cannot be read is logged and passed over: one bad block costs its own
    /// rows, and neither a start nor a listing.
    pub(super) fn walk_back(
        &self,
        started_ms: &Range<u64>,
        before: u64,
        visit: &mut dyn FnMut(Found<'_>) -> Result<bool, Error>,
    ) {
        let newest_ms = started_ms.end.saturating_add(self.end.span_ms);
        for (&first, &before_ms) in self.files.range(..before.min(self.end.next)).rev() {
            let ended_ms = self.ended_ms(first);
            // Where the clock came back before the file, its name says nothing of when its rows begin.
            let is_younger = before_ms > newest_ms && before_ms <= ended_ms;
            if ended_ms < started_ms.start || is_younger {
                continue;
            }
            let (file, heads) = match self.read(first, before_ms) {
                Ok(Some(read)) => read,
                // A file that is gone was pruned meanwhile, and so were all before it.
                Ok(None) => return,
                Err(error) => {
                    self.pass_over(first, None, &error);
                    continue;
                }
            };
            for (offset, head) in heads.into_iter().rev() {
                let is_wanted = head.first < before && head.to >= started_ms.start && head.from < started_ms.end;
                match is_wanted.then(|| visit(Found { file: &file, offset, head })) {
                    Some(Ok(false)) => return,
                    Some(Err(error)) => self.pass_over(first, Some(offset), &error),
                    Some(Ok(true)) | None => {}
                }
            }
        }
    }

    /// `offset` is that of a block; `None` is where a file's blocks end too early.
    fn pass_over(&self, first: u64, offset: Option<u64>, error: &Error) {
        let file = format!("{first:016x}");
        tracing::error!(file, offset, %error, "rows are damaged and passed over, what can be read is kept");
    }

    /// Visits every row that can be read, oldest first; what cannot is passed over as by [`RowFiles::walk_back`].
    pub(super) fn each(&self, visit: &mut dyn FnMut(Record) -> Result<(), Error>) -> Result<(), Error> {
        for (&first, &before_ms) in &self.files {
            let (file, heads) = match self.read(first, before_ms) {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err(error) => {
                    self.pass_over(first, None, &error);
                    continue;
                }
            };
            for (offset, head) in heads {
                match rows::read(&file, offset, &head) {
                    Ok(rows) => rows.into_iter().try_for_each(&mut *visit)?,
                    Err(error) => self.pass_over(first, Some(offset), &error),
                }
            }
        }
        Ok(())
    }

    /// Removes files all of whose rows ended before a moment, the oldest first and at most so many; returns how many.
    /// `now_ms` is of a clock that can be trusted.
    pub(super) fn prune(&mut self, before_ms: u64, now_ms: u64, files_max: usize) -> io::Result<usize> {
        // A clock that was ahead by less than rows are kept for costs that much time, and no row.
        let ahead_ms = now_ms.saturating_add(now_ms.saturating_sub(before_ms));
        let mut last = None;
        for &first in self.files.keys() {
            match self.ended_ms(first) {
                // A file that was written while the clock stood in another age says nothing of its own: it is as old
                // as the first behind it that does.
                ..CLOCK_MS_MIN => {}
                ended_ms if ended_ms > ahead_ms => {}
                ended_ms if ended_ms < before_ms => last = Some(first),
                // What was written after a young file is younger, whatever its clock said.
                _ => break,
            }
        }
        let Some(last) = last else { return Ok(0) };
        let old: Vec<(u64, u64)> = self.files.range(..=last).take(files_max).map(|(&a, &b)| (a, b)).collect();
        for &(first, before_ms) in &old {
            let path = self.path(first, before_ms);
            let bytes = fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
            fs::remove_file(&path)?;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.files.remove(&first);
        }
        Ok(old.len())
    }

    /// The latest moment at which a row of the file ended, or, since the clock last came back, of one before it.
    fn ended_ms(&self, first: u64) -> u64 {
        self.files.range(first + 1..).next().map_or(self.end.until_ms, |(_, &before_ms)| before_ms)
    }

    /// The file that begins with this row, with the heads of its blocks as far as they make sense; `None` if it is gone.
    fn read(&self, first: u64, before_ms: u64) -> Result<Option<(Blocks, Heads)>, Error> {
        let path = self.path(first, before_ms);
        let opened = Blocks::open(&path).and_then(|file| {
            let end = if first == self.end.file { self.end.offset } else { file.length()? };
            Ok((file, end))
        });
        match opened {
            Ok((file, end)) => {
                let (heads, whole) = file.heads(end);
                if let Err(error) = whole {
                    self.pass_over(first, None, &error);
                }
                Ok(Some((file, heads)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    fn path(&self, first: u64, before_ms: u64) -> PathBuf {
        self.dir.join(format!("{first:016x}-{before_ms:016x}{SUFFIX}"))
    }
}

fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (first, before_ms) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((u64::from_str_radix(first, 16).ok()?, u64::from_str_radix(before_ms, 16).ok()?))
}
