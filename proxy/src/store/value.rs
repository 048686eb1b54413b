//! Values as they lie in the tree: a byte of schema version, then postcard. And where they lie.

use serde::{Serialize, de::DeserializeOwned};

use super::Error;

/// A table, told by the first byte of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Table {
    /// What the store knows of itself.
    Own = 0,
    Meta = 1,
    Keys = 2,
    /// Roll-ups of hours that are not over yet.
    Hours = 3,
    Sums = 4,
    /// Roll-ups of days and long periods.
    LongPeriods = 5,
}

impl Table {
    pub(super) const ALL: [Table; 6] =
        [Table::Own, Table::Meta, Table::Keys, Table::Hours, Table::Sums, Table::LongPeriods];

    /// The table's schema. Raised with each change of its keys or values.
    pub(super) const fn version(self) -> u8 {
        match self {
            Table::Hours => 3,
            Table::Own | Table::Meta | Table::Keys | Table::Sums | Table::LongPeriods => 1,
        }
    }

    /// What an entry of the table is called in errors.
    pub(super) const fn entry(self) -> &'static str {
        match self {
            Table::Own => "a value of the store's own",
            Table::Meta => "a named value",
            Table::Keys => "a key",
            Table::Hours => "a roll-up of an hour",
            Table::Sums => "the sums of a key",
            Table::LongPeriods => "a roll-up of a long period",
        }
    }
}

/// Where a value of this name lies.
pub(super) fn path(table: Table, name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(1 + name.len());
    path.push(table as u8);
    path.extend_from_slice(name);
    path
}

/// Where a value of the store's own lies.
pub(super) fn own(name: &[u8]) -> Vec<u8> {
    path(Table::Own, name)
}

/// The value that lies there.
pub(super) fn get<T: DeserializeOwned>(tree: &sled::Db, table: Table, path: &[u8]) -> Result<Option<T>, Error> {
    tree.get(path)?.map(|bytes| decode(table, &bytes)).transpose()
}

/// A name that is part of a key.
pub(super) fn text(table: Table, bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_owned()).map_err(|_| Error::Broken { what: table.entry() })
}

/// The bytes of a value.
pub(super) fn encode<T: Serialize + ?Sized>(table: Table, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![table.version()])
        .expect("growing a vector cannot fail, and no stored type refuses to serialize")
}

/// The value of the bytes.
pub(super) fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    let (what, known) = (table.entry(), table.version());
    match bytes.split_first() {
        // Takes as much as the type asks for: the front of a longer value can be read alone.
        Some((&found, rest)) if found == known => {
            postcard::take_from_bytes(rest).map(|(value, _)| value).map_err(|_| Error::Broken { what })
        }
        Some((&found, _)) => Err(Error::Schema { what, found, known }),
        None => Err(Error::Broken { what }),
    }
}
