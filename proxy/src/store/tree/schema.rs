//! The schemas of the tables, and the way from the one before to this build's.

use serde::Deserialize;

use super::{own, sums};
use crate::store::{Dimension, Error, Rollup, RollupKey, value::Table};

const SCHEMA: &[u8] = b"schema";
/// Until tables had versions of their own, one byte stood for all of them.
const ALL_AT_ONCE: u8 = 1;
/// Where roll-ups lay in version 1: by dimension, hour, then name.
const ROLLUPS_1: u8 = 5;
/// Calls that had no row yet; the journal keeps them now.
const OPENED_1: u8 = 3;
/// Entries brought over in one batch.
const BATCH: usize = 1_000;

/// A new tree gets this build's versions; an old one must have them, or those right before, which are brought over.
pub(super) fn check(tree: &sled::Db) -> Result<(), Error> {
    let what = "the store";
    let now: Vec<u8> = Table::ALL.iter().map(|table| table.version()).collect();
    match tree.get(own(SCHEMA))?.as_deref() {
        Some(found) if found == now => return Ok(()),
        Some(&[ALL_AT_ONCE]) => bring_over(tree)?,
        Some(&[found]) => return Err(Error::Schema { what, found, known: ALL_AT_ONCE }),
        Some(found) if found.len() == now.len() => {
            let other = Table::ALL.iter().zip(found).find(|(table, found)| table.version() != **found);
            let (table, &found) = other.ok_or(Error::Broken { what })?;
            return Err(Error::Schema { what: table.entry(), found, known: table.version() });
        }
        None if tree.is_empty() => {}
        _ => return Err(Error::Broken { what }),
    }
    tree.insert(own(SCHEMA), now)?;
    tree.flush()?;
    Ok(())
}

/// A value of version 1.
#[derive(Deserialize)]
struct Old(Rollup);

/// Version 1 → 2. Ends where it is cut off at the same place when it is begun again: the new roll-ups are cleared
/// first, and the old ones go last.
fn bring_over(tree: &sled::Db) -> Result<(), Error> {
    remove(tree, OPENED_1)?;
    let broken = || Error::Broken { what: Table::Rollups.entry() };
    let mut rollups = Vec::new();
    for item in tree.scan_prefix([ROLLUPS_1]) {
        let (key, bytes) = item?;
        let (&dimension, rest) = key[1..].split_first().ok_or_else(broken)?;
        let dimension = Dimension::ALL.get(usize::from(dimension)).copied().ok_or_else(broken)?;
        let (hour, name) = rest.split_first_chunk().ok_or_else(broken)?;
        let name = super::text(Table::Rollups, name)?;
        let Old(rollup) = bytes.get(1..).and_then(|bytes| postcard::from_bytes(bytes).ok()).ok_or_else(broken)?;
        rollups.push((RollupKey { dimension, hour: u32::from_be_bytes(*hour), name }, rollup));
        if rollups.len() == BATCH {
            store(tree, &std::mem::take(&mut rollups))?;
        }
    }
    store(tree, &rollups)?;
    remove(tree, ROLLUPS_1)?;
    tracing::info!("the store's roll-ups were brought over to this build's layout");
    Ok(())
}

fn store(tree: &sled::Db, rollups: &[(RollupKey, Rollup)]) -> Result<(), Error> {
    let mut changes = sled::Batch::default();
    sums::add_rollups(tree, &mut changes, rollups)?;
    Ok(tree.apply_batch(changes)?)
}

fn remove(tree: &sled::Db, first: u8) -> Result<(), Error> {
    let mut changes = sled::Batch::default();
    for key in tree.scan_prefix([first]).keys() {
        changes.remove(key?);
    }
    Ok(tree.apply_batch(changes)?)
}
