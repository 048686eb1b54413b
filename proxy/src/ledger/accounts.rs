//! What the limiter must know after a restart.

use std::collections::HashMap;

use crate::{
    limit::Past,
    store::{self, Store},
};

/// How far back a limiter counts requests, with a second to spare.
const REQUESTS_MS: u64 = 62_000;
const PAGE_ROWS: usize = 1_000;

/// What each key has used, by key id: the sums, and the requests of the last minute.
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
    Ok(accounts.into_iter().collect())
}
