//! Rows as the two parts of a block.
//!
//! The first part has what rows are looked for by: the block's different texts once, and for each row when it began
//! and which texts it has. The second has the rest, and behind it the overruns of the few rows that have one. A search unpacks the second only where the first has a hit.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{
    Error, Record,
    blocks::{Blocks, Head},
    record::TEXTS,
};

/// Rows in a block.
pub(super) const BLOCK_ROWS: usize = 1024;

/// What rows of a block are looked for by.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Front {
    /// Each different text of the block once.
    texts: Vec<String>,
    rows: Vec<FrontRow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FrontRow {
    started_ms: u64,
    admitted: bool,
    /// Into the block's texts, in the order of [`Record::texts_mut`]; the request's id lies in the second part.
    texts: [u32; TEXTS],
}

/// The place of `request_id` among a row's texts, and that of `key_id`.
const REQUEST_ID: usize = 0;
const KEY_ID: usize = 1;

/// What the head of a block of these rows says; who writes it knows the number and the mark.
pub(super) fn head(rows: &[Record]) -> Head {
    Head {
        count: u32::try_from(rows.len()).expect("a block has few rows"),
        from: rows.iter().map(|row| row.started_ms).min().unwrap_or_default(),
        to: rows.iter().map(|row| row.started_ms).max().unwrap_or_default(),
        ..Head::default()
    }
}

/// The two parts of a block.
pub(super) fn encode(rows: &[Record]) -> [Vec<u8>; 2] {
    let mut front = Front::default();
    let mut known = HashMap::<String, u32>::new();
    let mut rest = Vec::with_capacity(rows.len() * 64);
    let mut overruns: Vec<(u32, u64)> = Vec::new();
    for (at, row) in (0..).zip(rows) {
        if row.overrun_tokens > 0 {
            overruns.push((at, row.overrun_tokens));
        }
        let mut row = row.clone();
        let mut texts = [0; TEXTS];
        for (at, (place, text)) in texts.iter_mut().zip(row.texts_mut()).enumerate() {
            if at != REQUEST_ID {
                let text = std::mem::take(text);
                let next = u32::try_from(known.len()).expect("a block has few texts");
                *place = *known.entry(text).or_insert(next);
            }
        }
        front.rows.push(FrontRow { started_ms: std::mem::take(&mut row.started_ms), admitted: row.admitted, texts });
        rest = postcard::to_extend(&row, rest).expect(CANNOT_FAIL);
    }
    if !overruns.is_empty() {
        rest = postcard::to_extend(&overruns, rest).expect(CANNOT_FAIL);
    }
    front.texts = vec![String::new(); known.len()];
    known.into_iter().for_each(|(text, at)| front.texts[at as usize] = text);
    [postcard::to_extend(&front, Vec::new()).expect(CANNOT_FAIL), rest]
}

const CANNOT_FAIL: &str = "growing a vector cannot fail, and a row never refuses to serialize";

/// The rows of a block, oldest first.
pub(super) fn read(file: &Blocks, offset: u64, head: &Head) -> Result<Vec<Record>, Error> {
    let [front, rest] = file.parts(offset, head)?;
    let Front { texts, rows: fronts } = parse(&front)?;
    let mut rest = rest.as_slice();
    let mut rows = Vec::with_capacity(fronts.len());
    for front in fronts {
        let (mut row, behind): (Record, _) = postcard::take_from_bytes(rest).map_err(|_| broken())?;
        rest = behind;
        row.started_ms = front.started_ms;
        for (at, (text, place)) in row.texts_mut().into_iter().zip(front.texts).enumerate() {
            if at != REQUEST_ID {
                text.clone_from(texts.get(place as usize).ok_or_else(broken)?);
            }
        }
        rows.push(row);
    }
    if !rest.is_empty() {
        let overruns: Vec<(u32, u64)> = postcard::from_bytes(rest).map_err(|_| broken())?;
        for (at, tokens) in overruns {
            rows.get_mut(at as usize).ok_or_else(broken)?.overrun_tokens = tokens;
        }
    }
    Ok(rows)
}

/// Visits the key and the beginning of each admitted call of a block.
pub(super) fn admitted(file: &Blocks, offset: u64, head: &Head, visit: &mut dyn FnMut(&str, u64)) -> Result<(), Error> {
    let front = parse(&file.front(offset, head)?)?;
    for row in front.rows.iter().filter(|row| row.admitted) {
        visit(front.texts.get(row.texts[KEY_ID] as usize).ok_or_else(broken)?, row.started_ms);
    }
    Ok(())
}

fn parse(front: &[u8]) -> Result<Front, Error> {
    postcard::from_bytes(front).map_err(|_| broken())
}

fn broken() -> Error {
    Error::Broken { what: "a block of rows" }
}
