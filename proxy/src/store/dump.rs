//! The store as JSON lines, and back: for backups, and for moving to another schema.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{Batch, Dimension, Error, KeyChange, KeyEntry, Position, Record, Rollup, RollupKey, Store, Sums};

/// The format of a dump. Raised with each change of its lines.
const VERSION: u8 = 1;

/// Rows stored at once while loading.
const LOAD_ROWS: usize = 1_000;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "table", content = "value", rename_all = "snake_case")]
enum Line {
    /// The first line.
    Schema(u8),
    /// How far the journal is in the dump: what the journal has before is not taken over again.
    Position(Position),
    Meta(String, Vec<u8>),
    Key(KeyEntry),
    Sums(String, Sums),
    Rollup(RollupKey, Rollup),
    Record(Record),
}

/// What a load brought in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub keys: u64,
    pub records: u64,
    pub rollups: u64,
}

/// Writes everything in the store, one JSON object per line.
pub fn dump(store: &dyn Store, out: &mut dyn Write) -> Result<(), Error> {
    let mut put = |line: Line| -> Result<(), Error> {
        let mut text = serde_json::to_vec(&line).expect("every line is plain data with text keys");
        text.push(b'\n');
        out.write_all(&text).map_err(Error::Stream)
    };
    put(Line::Schema(VERSION))?;
    put(Line::Position(store.position()?))?;
    store.metas()?.into_iter().try_for_each(|(name, value)| put(Line::Meta(name, value)))?;
    store.keys()?.into_iter().try_for_each(|key| put(Line::Key(key)))?;
    store.sums()?.into_iter().try_for_each(|(key_id, sums)| put(Line::Sums(key_id, sums)))?;
    for dimension in Dimension::ALL {
        store.rollups(dimension, 0..u32::MAX, &mut |(key, rollup)| put(Line::Rollup(key, rollup)))?;
    }
    store.each_record(&mut |record| put(Line::Record(record)))
}

/// Fills an empty store from a dump, and flushes it. After an error the store holds a part and must be thrown away.
pub fn load(store: &dyn Store, input: &mut dyn BufRead) -> Result<Loaded, Error> {
    if !is_empty(store)? {
        return Err(Error::NotEmpty);
    }
    let mut loaded = Loaded::default();
    let mut batch = Batch { from: store.position()?, to: store.position()?, ..Batch::default() };
    for (number, text) in (1..).zip(input.lines()) {
        let text = text.map_err(Error::Stream)?;
        let line =
            serde_json::from_str(&text).map_err(|error| Error::Dump { line: number, reason: error.to_string() })?;
        match line {
            Line::Schema(VERSION) => continue,
            Line::Schema(found) => return Err(Error::Schema { what: "the dump", found, known: VERSION }),
            _ if number == 1 => return Err(not_a_dump()),
            Line::Meta(name, value) => batch.metas.push((name, value)),
            Line::Position(position) => batch.to = position,
            Line::Key(key) => {
                batch.keys.push(KeyChange::Put(key));
                loaded.keys += 1;
            }
            Line::Sums(key_id, sums) => batch.sums.push((key_id, sums)),
            Line::Rollup(key, rollup) => {
                batch.rollups.push((key, rollup));
                loaded.rollups += 1;
            }
            Line::Record(record) => {
                batch.rows.push(record);
                loaded.records += 1;
            }
        }
        if batch.rows.len() + batch.rollups.len() + batch.sums.len() + batch.keys.len() >= LOAD_ROWS {
            store.append(&batch)?;
            batch = Batch { from: batch.to, to: batch.to, ..Batch::default() };
        }
    }
    store.append(&batch)?;
    store.flush()?;
    Ok(loaded)
}

fn is_empty(store: &dyn Store) -> Result<bool, Error> {
    let nothing = store.keys()?.is_empty() && store.sums()?.is_empty();
    Ok(nothing && store.records(0, u64::MAX, 1, None)?.records.is_empty())
}

fn not_a_dump() -> Error {
    Error::Dump { line: 1, reason: "the first line of a dump names its schema".to_owned() }
}
