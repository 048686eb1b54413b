//! Values as they lie in the tree: a byte of schema version, then postcard.

use serde::{Serialize, de::DeserializeOwned};

use super::Error;

/// A table, told by the first byte of its keys. The rows come last, so that the small tables share no leaf with them
/// but one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Table {
    /// What the store knows of itself.
    Own = 0,
    Meta = 1,
    Keys = 2,
    Rollups = 3,
    Sums = 4,
    Rows = 6,
}

impl Table {
    pub(super) const ALL: [Table; 6] = [Table::Own, Table::Meta, Table::Keys, Table::Rollups, Table::Sums, Table::Rows];

    /// The table's schema. Raised with each change of its keys or values; `tree/schema.rs` reads the one before.
    pub(super) const fn version(self) -> u8 {
        match self {
            Table::Rollups => 2,
            Table::Own | Table::Meta | Table::Keys | Table::Sums | Table::Rows => 1,
        }
    }

    /// What an entry of the table is called in errors.
    pub(super) const fn entry(self) -> &'static str {
        match self {
            Table::Own => "a value of the store's own",
            Table::Meta => "a named value",
            Table::Keys => "a key",
            Table::Rollups => "a roll-up",
            Table::Sums => "the sums of a key",
            Table::Rows => "a block of rows",
        }
    }
}

/// The bytes of a value.
pub(super) fn encode<T: Serialize + ?Sized>(table: Table, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![table.version()])
        .expect("growing a vector cannot fail, and no stored type refuses to serialize")
}

/// The value of the bytes.
pub(super) fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    Ok(decode_front(table, bytes)?.0)
}

/// The value at the front of the bytes, and the postcard behind it.
pub(super) fn decode_front<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<(T, &[u8]), Error> {
    let (what, known) = (table.entry(), table.version());
    match bytes.split_first() {
        Some((&found, rest)) if found == known => postcard::take_from_bytes(rest).map_err(|_| Error::Broken { what }),
        Some((&found, _)) => Err(Error::Schema { what, found, known }),
        None => Err(Error::Broken { what }),
    }
}
