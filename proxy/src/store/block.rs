//! Rows in blocks: one value of the tree holds the rows that ended one after another.
//!
//! A row alone would cost a tree insert each. A block stays small enough that a leaf of blocks is rewritten as a
//! page, not as a file of its own.

use serde::{Deserialize, Serialize};

use super::{Error, Record, value};

/// A block is closed by the row that takes it to this size.
const BLOCK_BYTES: usize = 4096;
const WHAT: &str = "a block of rows";

/// What a block's rows have in common, to pass over it unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) rows: u32,
    pub(super) started_ms_min: u64,
    pub(super) started_ms_max: u64,
    pub(super) ended_ms_max: u64,
}

/// Cuts rows into blocks, each with its head and its bytes.
pub(super) fn encode(rows: &[Record]) -> Vec<(Head, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(Head, Vec<u8>)> = None;
    for row in rows {
        let (mut head, body) = open.take().unwrap_or((Head::EMPTY, Vec::new()));
        head.add(row);
        let body =
            postcard::to_extend(row, body).expect("growing a vector cannot fail, and a row never refuses to serialize");
        if body.len() < BLOCK_BYTES {
            open = Some((head, body));
        } else {
            blocks.push((head, body));
        }
    }
    blocks.extend(open);
    for (head, body) in &mut blocks {
        let mut whole = value::encode(&*head);
        whole.append(body);
        *body = whole;
    }
    blocks
}

/// The head of a block, without reading its rows.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Error> {
    Ok(value::decode_front(WHAT, bytes)?.0)
}

/// The rows of a block, oldest first.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Record>, Error> {
    let (head, mut rest): (Head, _) = value::decode_front(WHAT, bytes)?;
    let mut rows = Vec::new();
    for _ in 0..head.rows {
        let (row, behind) = postcard::take_from_bytes(rest).map_err(|_| Error::Broken { what: WHAT })?;
        rows.push(row);
        rest = behind;
    }
    Ok(rows)
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
