//! The store as JSON lines, and back: for backups, and for moving to another schema.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{Batch, Dimension, Error, KeyChange, KeyEntry, Position, Record, Rollup, RollupKey, Store, Sums};

/// The format of a dump. Raised with each change of its lines.
const VERSION: u8 = 2;

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
    /// The last line: how many there were of each, so that a dump that was cut off is known.
    End(Counts),
}

/// How many lines of each table a dump has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    metas: u64,
    keys: u64,
    sums: u64,
    rollups: u64,
    records: u64,
}

impl Counts {
    fn count(&mut self, line: &Line) {
        let count = match line {
            Line::Schema(_) | Line::Position(_) | Line::End(_) => return,
            Line::Meta(..) => &mut self.metas,
            Line::Key(_) => &mut self.keys,
            Line::Sums(..) => &mut self.sums,
            Line::Rollup(..) => &mut self.rollups,
            Line::Record(_) => &mut self.records,
        };
        *count += 1;
    }
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
    let mut counts = Counts::default();
    let mut put = |line: Line| -> Result<(), Error> {
        counts.count(&line);
        write_line(out, &line)
    };
    put(Line::Schema(VERSION))?;
    put(Line::Position(store.position()?))?;
    store.metas()?.into_iter().try_for_each(|(name, value)| put(Line::Meta(name, value)))?;
    store.keys()?.into_iter().try_for_each(|key| put(Line::Key(key)))?;
    store.sums()?.into_iter().try_for_each(|(key_id, sums)| put(Line::Sums(key_id, sums)))?;
    for dimension in Dimension::ALL {
        store.rollups(dimension, 0..u32::MAX, &mut |(key, rollup)| put(Line::Rollup(key, rollup)))?;
    }
    store.each_record(&mut |record| put(Line::Record(record)))?;
    write_line(out, &Line::End(counts))
}

fn write_line(out: &mut dyn Write, line: &Line) -> Result<(), Error> {
    let mut text = serde_json::to_vec(line).expect("every line is plain data with text keys");
    text.push(b'\n');
    out.write_all(&text).map_err(Error::Stream)
}

/// Fills an empty store from a whole dump, and flushes it. After an error the store holds a part and must be thrown
/// away.
pub(super) fn fill(store: &dyn Store, input: &mut dyn BufRead) -> Result<Loaded, Error> {
    check_empty(store)?;
    let (mut counts, mut end, mut last) = (Counts::default(), None, 0);
    let mut batch = Batch { from: store.position()?, to: store.position()?, ..Batch::default() };
    for (number, text) in (1..).zip(input.lines()) {
        last = number;
        let text = text.map_err(Error::Stream)?;
        let broken = |reason: String| Error::Dump { line: number, reason };
        if end.is_some() {
            return Err(broken("the dump ended before it".to_owned()));
        }
        let line = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        counts.count(&line);
        match line {
            Line::Schema(VERSION) if number == 1 => continue,
            Line::Schema(found) if number == 1 => {
                return Err(Error::Schema { what: "the dump", found, known: VERSION });
            }
            _ if number == 1 => return Err(broken("the first line of a dump names its schema".to_owned())),
            Line::Schema(_) => return Err(broken("a second dump begins here".to_owned())),
            Line::Meta(name, value) => batch.metas.push((name, value)),
            Line::Position(position) => batch.to = position,
            Line::Key(key) => batch.keys.push(KeyChange::Put(key)),
            Line::Sums(key_id, sums) => batch.sums.push((key_id, sums)),
            Line::Rollup(key, rollup) => batch.rollups.push((key, rollup)),
            Line::Record(record) => batch.rows.push(record),
            Line::End(written) if written == counts => end = Some(written),
            Line::End(_) => return Err(broken("the dump has other lines than it was written with".to_owned())),
        }
        if batch.rows.len() + batch.rollups.len() + batch.sums.len() + batch.keys.len() >= LOAD_ROWS {
            store.append(&batch)?;
            batch = Batch { from: batch.to, to: batch.to, ..Batch::default() };
        }
    }
    let cut_off =
        || Error::Dump { line: last + 1, reason: "the dump was cut off: its last line is missing".to_owned() };
    let Counts { keys, records, rollups, .. } = end.ok_or_else(cut_off)?;
    store.append(&batch)?;
    store.flush()?;
    Ok(Loaded { keys, records, rollups })
}

/// # Errors
/// [`Error::NotEmpty`] where the store has anything that a dump would have. Named values alone are nothing: opening
/// a store leaves some.
pub(super) fn check_empty(store: &dyn Store) -> Result<(), Error> {
    let nothing =
        store.keys()?.is_empty() && store.sums()?.is_empty() && store.records(0, u64::MAX, 1, None)?.records.is_empty();
    if !nothing {
        return Err(Error::NotEmpty);
    }
    Dimension::ALL
        .into_iter()
        .try_for_each(|dimension| store.rollups(dimension, 0..u32::MAX, &mut |_| Err(Error::NotEmpty)))
}
