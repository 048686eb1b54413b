//! What each key has used.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AdminError, KeyShown, KeyState};
use crate::{
    limit::{Caps, Spent},
    store::{Dimension, KeyEntry, Rollup, Store},
    usage::decimal,
};

/// What one key has used since it was made, and what its limits count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage {
    pub id: String,
    pub name: String,
    pub user: String,
    pub state: KeyState,
    pub calls: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Calls that used tokens no price was known for: `charges` lacks them.
    pub unpriced_calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Part of the input.
    pub cached_tokens: u64,
    /// Part of the input.
    pub cache_write_tokens: u64,
    /// Part of the output.
    pub reasoning_tokens: u64,
    /// What providers reported beyond what was held: part of input and output.
    pub overrun_tokens: u64,
    /// One per currency.
    pub charges: Vec<ChargeShown>,
    pub limits: Caps,
    pub used: Used,
}

/// Money, as an exact decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeShown {
    pub currency: String,
    pub amount: String,
}

/// What counts against the limits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Settled in the current UTC day.
    pub tokens_today: u64,
    /// Settled in the current UTC month.
    pub tokens_this_month: u64,
    pub tokens_total: u64,
    /// Set aside for calls in flight.
    pub tokens_held: u64,
    pub requests_last_minute: u32,
    pub concurrent: u32,
}

impl From<Spent> for Used {
    fn from(spent: Spent) -> Used {
        Used {
            tokens_today: spent.day.tokens,
            tokens_this_month: spent.month.tokens,
            tokens_total: spent.total.tokens,
            tokens_held: spent.held.tokens,
            requests_last_minute: spent.requests_last_minute,
            concurrent: spent.concurrent,
        }
    }
}

/// What each key has used, in the order of their names. `spent` says what the limiter counts for a key.
///
/// The totals are those of the store: let the ledger catch up before.
pub fn usage_of(
    store: &dyn Store,
    keys: &[Arc<KeyEntry>],
    now_ms: u64,
    spent: impl Fn(&KeyEntry) -> Spent,
) -> Result<Vec<KeyUsage>, AdminError> {
    let mut totals = store.totals(Dimension::Key, 0..u32::MAX)?;
    let overruns = store.totals(Dimension::Overrun, 0..u32::MAX)?;
    let of_key = |key: &Arc<KeyEntry>| {
        let overrun_tokens = overruns.get(&key.id).map_or(0, |overrun| overrun.output);
        let usage = of_key(key, totals.remove(&key.id).unwrap_or_default(), spent(key), now_ms);
        KeyUsage { overrun_tokens, ..usage }
    };
    let mut usage: Vec<KeyUsage> = keys.iter().map(of_key).collect();
    usage.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(usage)
}

fn of_key(key: &KeyEntry, total: Rollup, spent: Spent, now_ms: u64) -> KeyUsage {
    KeyUsage {
        id: key.id.clone(),
        name: key.name.clone(),
        user: key.user.clone(),
        state: KeyShown::new(key, now_ms).state,
        calls: total.calls,
        errors: total.errors,
        unpriced_calls: total.unpriced,
        input_tokens: total.input,
        output_tokens: total.output,
        cached_tokens: total.cached,
        cache_write_tokens: total.cache_write,
        reasoning_tokens: total.reasoning,
        overrun_tokens: 0,
        charges: total
            .charges
            .into_iter()
            .map(|charge| ChargeShown { amount: decimal(charge.nanos), currency: charge.currency })
            .collect(),
        limits: key.caps.clone(),
        used: spent.into(),
    }
}
