//! The table of rows: blocks in the order they were written, keyed by time.
//!
//! A block's key is the latest moment a call of it or of any block before it ended, then a number that grows. No
//! call begins after it ends, and none outlives the longest span seen; so a range of beginnings is a range of keys.

use std::ops::Range;

use super::{SPAN_MS, get, own};
use crate::store::{
    Cursor, Error, Page, Record, Visit, block,
    value::{self, Table},
};

/// Most rows in one page.
const PAGE_ROWS_MAX: usize = 1_000;
/// Most blocks read for one page.
const PAGE_BLOCKS_MAX: usize = 4_096;
/// 2020-01-01: no clock that is set shows less.
const CLOCK_MS_MIN: u64 = 1_577_836_800_000;
/// How far the time in a request id may be from the moment its call was admitted.
const ID_SLACK_MS: u64 = 60_000;

/// Where the table ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    block_ms: u64,
    sequence: u64,
    /// The longest time between the beginning of a call and the key of its block.
    pub(super) span_ms: u64,
}

impl Last {
    pub(super) fn read(tree: &sled::Db) -> Result<Last, Error> {
        let span_ms = get(tree, Table::Own, &own(SPAN_MS))?.unwrap_or_default();
        let (block_ms, sequence) = match tree.scan_prefix([Table::Rows as u8]).keys().next_back() {
            Some(key) => parse(&key?)?,
            None => (0, 0),
        };
        Ok(Last { block_ms, sequence, span_ms })
    }
}

/// Adds rows to a batch of changes; returns where the table ends once they are applied.
pub(super) fn append(changes: &mut sled::Batch, mut last: Last, rows: &[Record]) -> Last {
    let span_ms_before = last.span_ms;
    for (head, bytes) in block::encode(rows) {
        last.block_ms = last.block_ms.max(head.ended_ms_max);
        last.sequence += 1;
        last.span_ms = last.span_ms.max(last.block_ms - head.started_ms_min);
        changes.insert(path(last.block_ms, last.sequence).as_slice(), bytes);
    }
    if last.span_ms > span_ms_before {
        changes.insert(own(SPAN_MS), value::encode(Table::Own, &last.span_ms));
    }
    last
}

pub(super) fn list(
    tree: &sled::Db,
    started_ms: Range<u64>,
    span_ms: u64,
    limit: usize,
    cursor: Option<Cursor>,
) -> Result<Page, Error> {
    let mut page = Page::default();
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let newest = match cursor {
        Some(cursor) => path(cursor.block_ms, cursor.sequence),
        None => path(started_ms.end.saturating_add(span_ms), u64::MAX),
    };
    let oldest = path(started_ms.start, 0);
    if oldest > newest {
        return Ok(page);
    }
    for (read, item) in tree.range(oldest..=newest).rev().enumerate() {
        let (key, bytes) = item?;
        let (block_ms, sequence) = parse(&key)?;
        let at = |rows: usize| Some(Cursor { block_ms, sequence, rows: rows as u32 });
        if read == PAGE_BLOCKS_MAX {
            page.next = at(u32::MAX as usize);
            return Ok(page);
        }
        let head = block::head(&bytes)?;
        if head.started_ms_min >= started_ms.end || head.started_ms_max < started_ms.start {
            continue;
        }
        let mut rows = block::rows(&bytes)?;
        if let Some(cursor) = cursor.filter(|cursor| (cursor.block_ms, cursor.sequence) == (block_ms, sequence)) {
            rows.truncate(cursor.rows as usize);
        }
        while let Some(row) = rows.pop() {
            if !started_ms.contains(&row.started_ms) {
                continue;
            }
            page.records.push(row);
            if page.records.len() == limit {
                page.next = at(rows.len());
                return Ok(page);
            }
        }
    }
    Ok(page)
}

pub(super) fn each(tree: &sled::Db, visit: Visit<Record>) -> Result<(), Error> {
    for item in tree.scan_prefix([Table::Rows as u8]).values() {
        block::rows(&item?)?.into_iter().try_for_each(&mut *visit)?;
    }
    Ok(())
}

pub(super) fn find(tree: &sled::Db, span_ms: u64, request_id: &str) -> Result<Option<Record>, Error> {
    let (oldest_ms, newest_ms) = match ulid_ms(request_id) {
        Some(ms) => (ms.saturating_sub(ID_SLACK_MS), ms.saturating_add(span_ms).saturating_add(ID_SLACK_MS)),
        None => (0, u64::MAX),
    };
    for item in tree.range(path(oldest_ms, 0)..=path(newest_ms, u64::MAX)).values() {
        let bytes = item?;
        if block::head(&bytes)?.started_ms_max < oldest_ms {
            continue;
        }
        if let Some(row) = block::rows(&bytes)?.into_iter().find(|row| row.request_id == request_id) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

pub(super) fn prune(tree: &sled::Db, before_ms: u64, blocks_max: usize) -> Result<usize, Error> {
    let mut changes = sled::Batch::default();
    let mut removed = 0;
    // A block that was written while the clock stood in another age says nothing of its own: it is no younger than
    // the first block behind it that does.
    let dated = tree.range(path(CLOCK_MS_MIN, 0)..).keys().next().transpose()?;
    let Some(dated) = dated else { return Ok(0) };
    if parse(&dated)?.0 >= before_ms {
        return Ok(0);
    }
    for key in tree.range(path(0, 0)..path(before_ms, 0)).keys().take(blocks_max) {
        changes.remove(key?);
        removed += 1;
    }
    tree.apply_batch(changes)?;
    Ok(removed)
}

fn path(block_ms: u64, sequence: u64) -> [u8; 17] {
    let mut path = [Table::Rows as u8; 17];
    path[1..9].copy_from_slice(&block_ms.to_be_bytes());
    path[9..].copy_from_slice(&sequence.to_be_bytes());
    path
}

fn parse(key: &[u8]) -> Result<(u64, u64), Error> {
    let broken = Error::Broken { what: "the key of a block" };
    let Some((block_ms, rest)) = key.get(1..).and_then(|key| key.split_first_chunk()) else { return Err(broken) };
    let Ok(sequence) = rest.try_into() else { return Err(broken) };
    Ok((u64::from_be_bytes(*block_ms), u64::from_be_bytes(sequence)))
}

/// The time in a ULID behind `req_`: ten digits of Crockford's base 32, in milliseconds.
fn ulid_ms(request_id: &str) -> Option<u64> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let ulid = request_id.strip_prefix("req_").filter(|ulid| ulid.len() == 26)?;
    ulid.bytes().take(10).try_fold(0_u64, |ms, byte| {
        let digit = DIGITS.iter().position(|&digit| digit == byte.to_ascii_uppercase())?;
        Some(ms << 5 | digit as u64)
    })
}
