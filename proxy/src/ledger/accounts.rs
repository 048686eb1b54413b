//! What the limiter must know after a restart.

use std::{collections::HashMap, ops::Range};

use crate::{
    limit::{Past, day_of, month_of},
    store::{self, Dimension, Store},
};

/// How far back a limiter counts requests, with a second to spare.
const REQUESTS_MS: u64 = 62_000;
const PAGE_ROWS: usize = 1_000;
const HOURS_OF_DAY: u32 = 24;

/// What each key has used, by key id: the sums, and the requests of the last minute.
///
/// Sums are of the latest day and month that had usage. Where a clock that had stepped forward made those, the key
/// comes a second time, with what it used in the day and month of `now_ms`.
pub(super) fn past(store: &dyn Store, now_ms: u64) -> Result<Vec<(String, Past)>, store::Error> {
    let mut accounts = HashMap::<String, Past>::new();
    for (key_id, sums) in store.sums()? {
        let past = Past {
            day: sums.day,
            day_tokens: sums.day_tokens,
            month: sums.month,
            month_tokens: sums.month_tokens,
            total_tokens: sums.total_tokens,
            ..Past::default()
        };
        accounts.insert(key_id, past);
    }
    let from_ms = now_ms.saturating_sub(REQUESTS_MS);
    let mut page = store.records(from_ms, u64::MAX, PAGE_ROWS, None)?;
    loop {
        for row in page.records.into_iter().filter(|row| row.admitted && !row.key_id.is_empty()) {
            accounts.entry(row.key_id).or_default().requests_ms.push(row.started_ms);
        }
        let Some(cursor) = page.next else { break };
        page = store.records(from_ms, u64::MAX, PAGE_ROWS, Some(cursor))?;
    }
    let current = current(store, &accounts, now_ms)?;
    Ok(accounts.into_iter().chain(current).collect())
}

/// What the keys whose latest day lies behind today have used in the day and month of `now_ms`.
fn current(
    store: &dyn Store,
    accounts: &HashMap<String, Past>,
    now_ms: u64,
) -> Result<Vec<(String, Past)>, store::Error> {
    let day = day_of(now_ms);
    let ahead: Vec<_> = accounts.iter().filter(|(_, past)| past.day > day).collect();
    if ahead.is_empty() {
        return Ok(Vec::new());
    }
    let month = month_of(day);
    let first = (0..=day).rev().take_while(|day| month_of(*day) == month).last().unwrap_or(day);
    let (of_day, of_month) = (used(store, day..day + 1)?, used(store, first..day + 1)?);
    let tokens = |used: &HashMap<String, u64>, key_id: &str| used.get(key_id).copied().unwrap_or_default();
    Ok(ahead
        .into_iter()
        .map(|(key_id, past)| {
            let (day_tokens, month_tokens) = (tokens(&of_day, key_id), tokens(&of_month, key_id));
            // The sums of a month that is the same for both days hold all of it.
            let month_tokens = if past.month == month { past.month_tokens } else { month_tokens };
            let past =
                Past { day, day_tokens, month, month_tokens, total_tokens: past.total_tokens, ..Past::default() };
            (key_id.clone(), past)
        })
        .collect())
}

/// The tokens of each key in a range of UTC days.
fn used(store: &dyn Store, days: Range<u32>) -> Result<HashMap<String, u64>, store::Error> {
    let totals = store.totals(Dimension::Key, days.start * HOURS_OF_DAY..days.end * HOURS_OF_DAY)?;
    Ok(totals.into_iter().map(|(key_id, sum)| (key_id, sum.input.saturating_add(sum.output))).collect())
}
