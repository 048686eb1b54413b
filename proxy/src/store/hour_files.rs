//! The roll-ups of hours that are over: a file for each long period, with a block for each hour or for what came late
//! to it. Parts of one hour add up.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, DirBuilder, File},
    io,
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    Dimension, Error, Rollup, RollupKey,
    blocks::{Blocks, Head},
    rollup::Period,
};

/// Roll-ups in a block.
const BLOCK_ROLLUPS: usize = 4096;

/// The files, and where each ends.
#[derive(Debug, Clone)]
pub(super) struct HourFiles {
    dir: PathBuf,
    /// By the number of the long period.
    pub(super) ends: BTreeMap<u32, u64>,
}

/// Roll-ups of one hour.
pub(super) type OfHour<'a> = (u32, &'a [(RollupKey, Rollup)]);

impl HourFiles {
    pub(super) fn open(dir: &Path, ends: BTreeMap<u32, u64>) -> io::Result<HourFiles> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(HourFiles { dir: dir.to_owned(), ends })
    }

    /// Writes roll-ups and makes them durable. They count once the ends are stored. Returns the files that have grown.
    pub(super) fn append<'a>(&mut self, hours: impl Iterator<Item = OfHour<'a>>) -> io::Result<Vec<u32>> {
        let mut grown = BTreeMap::<u32, Blocks>::new();
        for (hour, rollups) in hours {
            let number = hour / Period::Long.hours();
            let file = match grown.entry(number) {
                Entry::Occupied(file) => file.into_mut(),
                Entry::Vacant(place) => {
                    let file = place.insert(Blocks::writable(&self.path(number))?);
                    if !self.ends.contains_key(&number) {
                        File::open(&self.dir)?.sync_all()?;
                    }
                    file
                }
            };
            let end = self.ends.entry(number).or_default();
            for rollups in rollups.chunks(BLOCK_ROLLUPS) {
                let count = u32::try_from(rollups.len()).expect("a block has few entries");
                let head = Head { count, from: u64::from(hour), to: u64::from(hour), ..Head::default() };
                let [front, rest] = encode(rollups);
                *end = file.write(*end, head, [&front, &rest])?;
            }
        }
        grown.values().try_for_each(Blocks::sync)?;
        Ok(grown.into_keys().collect())
    }

    /// Visits the roll-ups of a range of hours.
    pub(super) fn each(
        &self,
        dimension: Dimension,
        hours: &Range<u32>,
        visit: &mut dyn FnMut(RollupKey, Rollup) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let length = Period::Long.hours();
        for (&number, &end) in self.ends.range(hours.start / length..) {
            if number * length >= hours.end {
                break;
            }
            let path = self.path(number);
            let file = Blocks::open(&path).map_err(|source| Error::Io { path, source })?;
            let (heads, whole) = file.heads(end);
            whole?;
            for (offset, head) in heads {
                let Some(hour) = u32::try_from(head.from).ok().filter(|hour| hours.contains(hour)) else { continue };
                for (name, rollup) in decode(file.parts(offset, &head)?, dimension)? {
                    visit(RollupKey { dimension, hour, name }, rollup)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.ends.values().sum()
    }

    /// Removes files that no end speaks of: what a crash left behind.
    pub(super) fn remove_unknown(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if !self.ends.keys().any(|&number| self.path(number) == path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:08x}.hours"))
    }
}

/// The two parts of a block: which dimension has how many bytes, then their roll-ups by name. The roll-ups come in the
/// order of their keys.
fn encode(rollups: &[(RollupKey, Rollup)]) -> [Vec<u8>; 2] {
    const CANNOT_FAIL: &str = "growing a vector cannot fail, and roll-ups are plain data";
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    for of_dimension in rollups.chunk_by(|(one, _), (other, _)| one.dimension == other.dimension) {
        let named: Vec<(&str, &Rollup)> = of_dimension.iter().map(|(key, rollup)| (&*key.name, rollup)).collect();
        let before = rest.len();
        rest = postcard::to_extend(&named, rest).expect(CANNOT_FAIL);
        front.push((of_dimension[0].0.dimension, rest.len() - before));
    }
    [postcard::to_extend(&front, Vec::new()).expect(CANNOT_FAIL), rest]
}

/// The roll-ups of one dimension.
fn decode([front, rest]: [Vec<u8>; 2], wanted: Dimension) -> Result<Vec<(String, Rollup)>, Error> {
    let broken = || Error::Broken { what: "a block of sums" };
    let front: Vec<(Dimension, usize)> = postcard::from_bytes(&front).map_err(|_| broken())?;
    let mut at = 0;
    for (dimension, length) in front {
        let bytes = rest.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(broken)?;
        if dimension == wanted {
            return postcard::from_bytes(bytes).map_err(|_| broken());
        }
        at += length;
    }
    Ok(Vec::new())
}
