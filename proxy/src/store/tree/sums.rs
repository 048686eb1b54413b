//! The tables of roll-ups and sums.
//!
//! A roll-up's key is dimension, period, name, then the number of the period: one name's time line is one range. The
//! sums of longer periods are kept beside the hours, so that a year is read in a dozen values.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{get, path, text};
use crate::store::{
    Dimension, Error, Rollup, RollupKey, Sums, Visit,
    rollup::{Period, periods},
    value::{self, Table},
};

/// Merges roll-ups of hours into what is stored, and into the periods that the hours lie in.
pub(super) fn add_rollups(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    rollups: &[(RollupKey, Rollup)],
) -> Result<(), Error> {
    // Hours of one day meet in the same value, which the tree sees only once the batch is applied.
    let mut more = HashMap::<Vec<u8>, Rollup>::new();
    for (key, rollup) in rollups {
        for period in Period::ALL {
            let at = rollup_path(key.dimension, period, &key.name, key.hour / period.hours());
            more.entry(at).or_default().merge(rollup);
        }
    }
    more.into_iter().try_for_each(|(at, more)| merge(tree, changes, Table::Rollups, at, &more, Rollup::merge))
}

/// Merges what keys have used into what is stored.
pub(super) fn add_sums(tree: &sled::Db, changes: &mut sled::Batch, sums: &[(String, Sums)]) -> Result<(), Error> {
    sums.iter().try_for_each(|(key_id, more)| {
        merge(tree, changes, Table::Sums, path(Table::Sums, key_id.as_bytes()), more, Sums::merge)
    })
}

pub(super) fn each_hour(
    tree: &sled::Db,
    dimension: Dimension,
    hours: Range<u32>,
    visit: Visit<(RollupKey, Rollup)>,
) -> Result<(), Error> {
    for item in tree.scan_prefix(prefix(dimension, Period::Hour)) {
        let (key, bytes) = item?;
        let (name, hour) = parse(&key)?;
        if hours.contains(&hour) {
            visit((RollupKey { dimension, hour, name }, value::decode(Table::Rollups, &bytes)?))?;
        }
    }
    Ok(())
}

pub(super) fn totals(
    tree: &sled::Db,
    dimension: Dimension,
    hours: Range<u32>,
) -> Result<BTreeMap<String, Rollup>, Error> {
    let (long, short): (Vec<_>, Vec<_>) = periods(hours).partition(|(period, _)| *period == Period::Long);
    // Every name has a long period, so one walk over these finds all names and most of the sums.
    let mut totals = BTreeMap::<String, Rollup>::new();
    for item in tree.scan_prefix(prefix(dimension, Period::Long)) {
        let (key, bytes) = item?;
        let (name, number) = parse(&key)?;
        let total = totals.entry(name).or_default();
        if long.iter().any(|(_, numbers)| numbers.contains(&number)) {
            total.merge(&value::decode(Table::Rollups, &bytes)?);
        }
    }
    for (name, total) in &mut totals {
        for (period, numbers) in &short {
            let at = |number| rollup_path(dimension, *period, name, number);
            for bytes in tree.range(at(numbers.start)..at(numbers.end)).values() {
                total.merge(&value::decode(Table::Rollups, &bytes?)?);
            }
        }
    }
    totals.retain(|_, total| total.calls > 0);
    Ok(totals)
}

fn prefix(dimension: Dimension, period: Period) -> [u8; 3] {
    [Table::Rollups as u8, dimension as u8, period as u8]
}

/// The length before the name keeps the time line of `a` apart from that of `ab`.
fn rollup_path(dimension: Dimension, period: Period, name: &str, number: u32) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    [&prefix(dimension, period), length.to_be_bytes().as_slice(), name.as_bytes(), &number.to_be_bytes()].concat()
}

fn parse(key: &[u8]) -> Result<(String, u32), Error> {
    let broken = || Error::Broken { what: Table::Rollups.entry() };
    let (name, number) = key.get(5..).and_then(|rest| rest.split_last_chunk()).ok_or_else(broken)?;
    Ok((text(Table::Rollups, name)?, u32::from_be_bytes(*number)))
}

/// Adds to what is stored at the path. The caller is the one writer, so nothing changes in between.
fn merge<T: Default + Serialize + DeserializeOwned>(
    tree: &sled::Db,
    changes: &mut sled::Batch,
    table: Table,
    path: Vec<u8>,
    more: &T,
    add: fn(&mut T, &T),
) -> Result<(), Error> {
    let mut sum: T = get(tree, table, &path)?.unwrap_or_default();
    add(&mut sum, more);
    changes.insert(path, value::encode(table, &sum));
    Ok(())
}
