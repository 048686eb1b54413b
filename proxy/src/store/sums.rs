//! Usage added up, in the tree: hours that are not over, days and long periods, and what each key has used.
//!
//! An hour lies in the tree while it may still grow. Then it moves: its roll-ups to the files of hours, and what they
//! add to their days and long periods into one value for each name and long period. So the tree stays small, and a
//! year is read in a dozen values a name.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Dimension, Error, Rollup, RollupKey, Sums,
    rollup::Period,
    value::{self, Table, get, path, text},
};

/// A long period of one name, as it lies in the tree. The total comes first: it can be read alone.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LongPeriod {
    total: Rollup,
    /// By the day's number in the period, in order.
    days: Vec<(u8, Rollup)>,
}

/// Adds to hours that are not over.
pub(super) fn add_hours<'a>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    rollups: impl Iterator<Item = (&'a RollupKey, &'a Rollup)>,
) -> Result<u64, Error> {
    let mut bytes = 0;
    for (key, more) in rollups {
        bytes +=
            merge(tree, changes, Table::Hours, hour_path(key.dimension, key.hour, &key.name), more, Rollup::merge)?;
    }
    Ok(bytes)
}

/// Adds hours that are over to their days and long periods.
pub(super) fn add_long_periods<'a>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    rollups: impl Iterator<Item = &'a (RollupKey, Rollup)>,
) -> Result<u64, Error> {
    let mut periods = HashMap::<Vec<u8>, LongPeriod>::new();
    for (key, rollup) in rollups {
        let at = long_period_path(key.dimension, key.hour / Period::Long.hours(), &key.name);
        let day = key.hour % Period::Long.hours() / Period::Day.hours();
        let of_day = LongPeriod { total: rollup.clone(), days: vec![(day as u8, rollup.clone())] };
        periods.entry(at).or_default().merge(&of_day);
    }
    let mut bytes = 0;
    for (at, more) in periods {
        bytes += merge(tree, changes, Table::LongPeriods, at, &more, LongPeriod::merge)?;
    }
    Ok(bytes)
}

/// Adds to what keys have used.
pub(super) fn add_sums<'a>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    sums: impl Iterator<Item = (&'a String, &'a Sums)>,
) -> Result<u64, Error> {
    let mut bytes = 0;
    for (key_id, more) in sums {
        bytes += merge(tree, changes, Table::Sums, path(Table::Sums, key_id.as_bytes()), more, Sums::merge)?;
    }
    Ok(bytes)
}

/// The hours in the tree, in a range.
pub(super) fn hours(
    tree: &sled::Db,
    dimension: Dimension,
    hours: &Range<u32>,
) -> impl Iterator<Item = Result<(RollupKey, Rollup), Error>> {
    let at = |hour| hour_path(dimension, hour, "");
    tree.range(at(hours.start)..at(hours.end.max(hours.start))).map(move |item| {
        let (key, bytes) = item?;
        let (hour, name) = parse(Table::Hours, &key)?;
        Ok((RollupKey { dimension, hour, name }, value::decode(Table::Hours, &bytes)?))
    })
}

/// Takes the hours that are over out of the tree. Returns them.
pub(super) fn take_hours(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    is_over: impl Fn(u32) -> bool,
) -> Result<Vec<(RollupKey, Rollup)>, Error> {
    let mut over = Vec::new();
    for dimension in Dimension::ALL {
        for item in hours(tree, dimension, &(0..u32::MAX)) {
            let (key, rollup) = item?;
            if is_over(key.hour) {
                changes.remove(hour_path(dimension, key.hour, &key.name));
                over.push((key, rollup));
            }
        }
    }
    Ok(over)
}

/// Adds the whole days of a range of hours up, by name.
pub(super) fn add_days(
    tree: &sled::Db,
    dimension: Dimension,
    days: &Range<u32>,
    totals: &mut BTreeMap<String, Rollup>,
) -> Result<(), Error> {
    let length = Period::Long.hours() / Period::Day.hours();
    if days.is_empty() {
        return Ok(());
    }
    let at = |number| long_period_path(dimension, number, "");
    for item in tree.range(at(days.start / length)..at((days.end - 1) / length + 1)) {
        let (key, bytes) = item?;
        let (number, name) = parse(Table::LongPeriods, &key)?;
        let whole = number * length..(number + 1) * length;
        let total = totals.entry(name).or_default();
        if days.start <= whole.start && whole.end <= days.end {
            total.merge(&value::decode(Table::LongPeriods, &bytes)?);
            continue;
        }
        let period: LongPeriod = value::decode(Table::LongPeriods, &bytes)?;
        let of_days = period.days.iter().filter(|(day, _)| days.contains(&(whole.start + u32::from(*day))));
        of_days.for_each(|(_, rollup)| total.merge(rollup));
    }
    Ok(())
}

impl LongPeriod {
    fn merge(&mut self, other: &LongPeriod) {
        self.total.merge(&other.total);
        for (day, more) in &other.days {
            match self.days.binary_search_by_key(day, |(day, _)| *day) {
                Ok(at) => self.days[at].1.merge(more),
                Err(at) => self.days.insert(at, (*day, more.clone())),
            }
        }
    }
}

fn hour_path(dimension: Dimension, hour: u32, name: &str) -> Vec<u8> {
    [&[Table::Hours as u8, dimension as u8], hour.to_be_bytes().as_slice(), name.as_bytes()].concat()
}

fn long_period_path(dimension: Dimension, number: u32, name: &str) -> Vec<u8> {
    [&[Table::LongPeriods as u8, dimension as u8], number.to_be_bytes().as_slice(), name.as_bytes()].concat()
}

/// The period's number, and the name.
fn parse(table: Table, key: &[u8]) -> Result<(u32, String), Error> {
    let (number, name) =
        key.get(2..).and_then(|rest| rest.split_first_chunk()).ok_or(Error::Broken { what: table.entry() })?;
    Ok((u32::from_be_bytes(*number), text(table, name)?))
}

/// Adds to what is stored at the path; returns how many bytes were written. The caller is the one writer, so nothing
/// changes in between.
fn merge<T: Default + Serialize + DeserializeOwned>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    table: Table,
    path: Vec<u8>,
    more: &T,
    add: fn(&mut T, &T),
) -> Result<u64, Error> {
    let mut sum: T = get(tree, table, &path)?.unwrap_or_default();
    add(&mut sum, more);
    let bytes = value::encode(table, &sum);
    let written = path.len() + bytes.len();
    changes.insert(path, bytes);
    Ok(written as u64)
}
