//! What the limiter must know after a restart.

use std::{collections::HashMap, ops::Range};

use crate::{
    limit::{Amount, Past, PastPeriod, day_of, month_of},
    store::{self, Dimension, Store},
};

/// How far back a limiter counts requests, with a second to spare.
const REQUESTS_MS: u64 = 62_000;
const HOURS_OF_DAY: u32 = 24;

/// What each key has used, by key id: the sums, and the requests of the last minute.
///
/// Sums are of the latest day and month that had usage. Where a clock that had stepped forward made those, the day and
/// month of `now_ms` come behind them.
pub(super) fn past(store: &dyn Store, now_ms: u64) -> Result<HashMap<String, Past>, store::Error> {
    let mut accounts = HashMap::<String, Past>::new();
    for (key_id, sums) in store.sums()? {
        let past = Past {
            days: vec![period(sums.day, sums.day_tokens)],
            months: vec![period(sums.month, sums.month_tokens)],
            total: Amount::tokens(sums.total_tokens),
            requests_ms: Vec::new(),
        };
        accounts.insert(key_id, past);
    }
    for (key_id, requests_ms) in store.admitted_since(now_ms.saturating_sub(REQUESTS_MS))? {
        accounts.entry(key_id).or_default().requests_ms = requests_ms;
    }
    add_current(store, &mut accounts, now_ms)?;
    Ok(accounts)
}

/// Adds what the keys whose latest day lies behind today have used in the day and month of `now_ms`.
fn add_current(store: &dyn Store, accounts: &mut HashMap<String, Past>, now_ms: u64) -> Result<(), store::Error> {
    let day = day_of(now_ms);
    let is_ahead = |past: &Past| past.days.iter().any(|latest| latest.number > day);
    if !accounts.values().any(is_ahead) {
        return Ok(());
    }
    let month = month_of(day);
    let first = (0..=day).rev().take_while(|day| month_of(*day) == month).last().unwrap_or(day);
    let (of_day, of_month) = (used(store, day..day + 1)?, used(store, first..day + 1)?);
    let tokens = |used: &HashMap<String, u64>, key_id: &str| used.get(key_id).copied().unwrap_or_default();
    for (key_id, past) in accounts.iter_mut().filter(|(_, past)| is_ahead(past)) {
        past.days.push(period(day, tokens(&of_day, key_id)));
        // The sums of a month that is the same for both days hold all of it.
        if past.months.iter().all(|latest| latest.number != month) {
            past.months.push(period(month, tokens(&of_month, key_id)));
        }
    }
    Ok(())
}

fn period(number: u32, tokens: u64) -> PastPeriod {
    PastPeriod { number, used: Amount::tokens(tokens) }
}

/// The tokens of each key in a range of UTC days.
fn used(store: &dyn Store, days: Range<u32>) -> Result<HashMap<String, u64>, store::Error> {
    let totals = store.totals(Dimension::Key, days.start * HOURS_OF_DAY..days.end * HOURS_OF_DAY)?;
    Ok(totals.into_iter().map(|(key_id, sum)| (key_id, sum.input.saturating_add(sum.output))).collect())
}
