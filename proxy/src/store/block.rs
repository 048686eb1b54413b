//! Rows in blocks: one value of the tree holds the rows that ended one after another.
//!
//! A row alone would cost a tree insert each, and most of its texts are those of the row before it: within a block
//! a text that repeats is left out.

use serde::{Deserialize, Serialize};

use super::{
    Error, Record,
    record::TEXTS,
    value::{self, Table},
};

/// A block is closed by the row that takes it to this size. sled keeps some thousand leaves of sixteen values in
/// memory whatever its cache is set to, so this is the measure of the store's memory under load.
const BLOCK_BYTES: usize = 1024;

/// What a block's rows have in common, to pass over it unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) rows: u32,
    pub(super) started_ms_min: u64,
    pub(super) started_ms_max: u64,
    pub(super) ended_ms_max: u64,
}

/// Which texts of a row are those of the row before it, by bit in the order of [`Record::texts`].
type Repeats = u16;
const _: () = assert!(TEXTS <= Repeats::BITS as usize);

/// Cuts rows into blocks, each with its head and its bytes.
pub(super) fn encode(rows: &[Record]) -> Vec<(Head, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut rest = rows.iter();
    let mut before: Option<&Record> = None;
    let (mut head, mut body) = (Head::EMPTY, Vec::new());
    while let Some(row) = rest.next() {
        head.add(row);
        body = postcard::to_extend(&without_repeats(row, before), body)
            .expect("growing a vector cannot fail, and a row never refuses to serialize");
        before = Some(row);
        if body.len() >= BLOCK_BYTES || rest.as_slice().is_empty() {
            let mut bytes = value::encode(Table::Rows, &head);
            bytes.append(&mut body);
            blocks.push((head, bytes));
            (head, before) = (Head::EMPTY, None);
        }
    }
    blocks
}

/// The head of a block, without reading its rows.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Error> {
    Ok(value::decode_front(Table::Rows, bytes)?.0)
}

/// The rows of a block, oldest first.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Record>, Error> {
    let (head, mut rest): (Head, _) = value::decode_front(Table::Rows, bytes)?;
    let mut rows: Vec<Record> = Vec::new();
    for _ in 0..head.rows {
        let ((repeats, mut row), behind): ((Repeats, Record), _) =
            postcard::take_from_bytes(rest).map_err(|_| Error::Broken { what: Table::Rows.entry() })?;
        if let Some(before) = rows.last() {
            for (at, (text, before)) in row.texts_mut().into_iter().zip(before.texts()).enumerate() {
                if repeats & 1 << at != 0 {
                    text.clone_from(before);
                }
            }
        }
        rows.push(row);
        rest = behind;
    }
    Ok(rows)
}

fn without_repeats(row: &Record, before: Option<&Record>) -> (Repeats, Record) {
    let (mut row, mut repeats) = (row.clone(), 0);
    if let Some(before) = before {
        for (at, (text, before)) in row.texts_mut().into_iter().zip(before.texts()).enumerate() {
            if text == before {
                text.clear();
                repeats |= 1 << at;
            }
        }
    }
    (repeats, row)
}

impl Head {
    const EMPTY: Head = Head { rows: 0, started_ms_min: u64::MAX, started_ms_max: 0, ended_ms_max: 0 };

    fn add(&mut self, row: &Record) {
        self.rows += 1;
        self.started_ms_min = self.started_ms_min.min(row.started_ms);
        self.started_ms_max = self.started_ms_max.max(row.started_ms);
        self.ended_ms_max = self.ended_ms_max.max(row.ended_ms());
    }
}
