//! The schemas of the tables.

use super::{
    Error,
    value::{Table, own},
};

const SCHEMA: &[u8] = b"schema";

/// A new tree gets this build's versions; an old one must have them.
pub(super) fn check(tree: &sled::Db) -> Result<(), Error> {
    let what = "the store";
    let now = Table::ALL.map(Table::version);
    match tree.get(own(SCHEMA))?.as_deref() {
        Some(found) if found == now => return Ok(()),
        Some(&[found]) => return Err(Error::Schema { what, found, known: now[0] }),
        Some(found) if found.len() == now.len() => {
            let other = Table::ALL.iter().zip(found).find(|(table, found)| table.version() != **found);
            let (table, &found) = other.ok_or(Error::Broken { what })?;
            return Err(Error::Schema { what: table.entry(), found, known: table.version() });
        }
        None if tree.is_empty() => {}
        _ => return Err(Error::Broken { what }),
    }
    tree.insert(own(SCHEMA), now.as_slice())?;
    tree.flush()?;
    Ok(())
}
