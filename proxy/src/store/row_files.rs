//! The files of rows: one for each UTC day in which rows were written, or more where a day has many.
//!
//! Rows are numbered in the order in which they were stored. A file's name has the number of its first row, and the
//! latest moment at which a row before it ended: no row begins after it ends, so that a range of time is a range of
//! files, found without opening one.

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
    blocks::{Blocks, Head},
    rows::{self, BLOCK_ROWS},
};

/// A file that has grown to this is left for a new one.
const FILE_BYTES: u64 = 32 << 20;
const DAY_MS: u64 = 86_400_000;
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
    /// The latest moment at which a row ended.
    pub(super) until_ms: u64,
    /// The longest time between the beginning of a row and the mark of its block.
    pub(super) span_ms: u64,
}

/// The files, and where they end. Cheap to copy: a walk takes a copy and holds nobody up.
#[derive(Debug, Clone)]
pub(super) struct RowFiles {
    dir: PathBuf,
    /// By their first rows: the latest moment at which a row before the file ended.
    files: BTreeMap<u64, u64>,
    pub(super) end: End,
    pub(super) bytes: u64,
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
        let mut opened = RowFiles { dir: dir.to_owned(), files: BTreeMap::new(), end, bytes: 0 };
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
            } else if length > end.offset {
                file.cut(end.offset)?;
                opened.bytes -= length - end.offset;
            }
        }
        Ok(opened)
    }

    /// Writes rows behind the end, and makes them durable. They count once [`RowFiles::end`] is stored.
    pub(super) fn append(&mut self, rows: &[Record]) -> io::Result<()> {
        let mut open: Option<(u64, Blocks)> = None;
        for rows in rows.chunks(BLOCK_ROWS) {
            let until_ms = rows.iter().map(Record::ended_ms).fold(self.end.until_ms, u64::max);
            let day = until_ms / DAY_MS;
            if !self.files.contains_key(&self.end.file) || day != self.end.day || self.end.offset >= FILE_BYTES {
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
        Ok(())
    }

    /// Visits the blocks that may have rows begun in a range, newest first, from the one with the row before `before`
    /// on. The visitor says whether to go on.
    pub(super) fn walk_back(
        &self,
        started_ms: &Range<u64>,
        before: u64,
        visit: &mut dyn FnMut(Found<'_>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let newest_ms = started_ms.end.saturating_add(self.end.span_ms);
        for (&first, &before_ms) in self.files.range(..before.min(self.end.next)).rev() {
            if self.ended_ms(first) < started_ms.start {
                return Ok(());
            }
            if before_ms > newest_ms {
                continue;
            }
            // A file that is gone was pruned meanwhile, and so were all before it.
            let Some((file, end)) = self.read(first, before_ms)? else { return Ok(()) };
            for (offset, head) in file.heads(end)?.into_iter().rev() {
                let is_wanted = head.first < before && head.to >= started_ms.start && head.from < started_ms.end;
                if is_wanted && !visit(Found { file: &file, offset, head })? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Visits every row, oldest first.
    pub(super) fn each(&self, visit: &mut dyn FnMut(Record) -> Result<(), Error>) -> Result<(), Error> {
        for (&first, &before_ms) in &self.files {
            let Some((file, end)) = self.read(first, before_ms)? else { continue };
            for (offset, head) in file.heads(end)? {
                rows::read(&file, offset, &head)?.into_iter().try_for_each(&mut *visit)?;
            }
        }
        Ok(())
    }

    /// Removes files all of whose rows ended before a moment, the oldest first and at most so many; returns how many.
    pub(super) fn prune(&mut self, before_ms: u64, files_max: usize) -> io::Result<usize> {
        // A file that was written while the clock stood in another age says nothing of its own: it is as old as the
        // first behind it that does.
        let is_old = |first: &&u64| (CLOCK_MS_MIN..before_ms).contains(&self.ended_ms(**first));
        let Some(&last) = self.files.keys().rev().find(is_old) else { return Ok(0) };
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

    /// The latest moment at which a row of the file, or of one before it, ended.
    fn ended_ms(&self, first: u64) -> u64 {
        self.files.range(first + 1..).next().map_or(self.end.until_ms, |(_, &before_ms)| before_ms)
    }

    /// The file that begins with this row, and where it ends; `None` if it is gone.
    fn read(&self, first: u64, before_ms: u64) -> Result<Option<(Blocks, u64)>, Error> {
        let path = self.path(first, before_ms);
        let opened = Blocks::open(&path).and_then(|file| {
            let end = if first == self.end.file { self.end.offset } else { file.length()? };
            Ok((file, end))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
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
