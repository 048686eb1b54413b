//! What rows add up to.

use std::collections::HashMap;

use crate::{
    limit::{HOUR_MS, day_of, month_of},
    store::{Batch, Dimension, Record, Rollup, RollupKey, Sums},
};

/// The model of calls that no provider saw: clients choose those names, and may choose new ones without end.
pub const UNROUTED: &str = "(unrouted)";

/// Adds the batch's rows up into its roll-ups and sums.
pub(super) fn add_up(batch: &mut Batch) {
    let mut rollups = HashMap::<(Dimension, u32, &str), Rollup>::new();
    let mut sums = HashMap::<&str, Sums>::new();
    for row in &batch.rows {
        let usage = rollup(row);
        let hour = u32::try_from(row.started_ms / HOUR_MS).unwrap_or(u32::MAX);
        for (dimension, name) in names(row) {
            rollups.entry((dimension, hour, name)).or_default().merge(&usage);
        }
        if row.overrun_tokens > 0 && !row.key_id.is_empty() {
            let overrun = Rollup { calls: 1, output: row.overrun_tokens, ..Rollup::default() };
            rollups.entry((Dimension::Overrun, hour, &row.key_id)).or_default().merge(&overrun);
        }
        let tokens = row.tokens.total();
        if tokens > 0 && !row.key_id.is_empty() {
            let day = day_of(row.started_ms);
            let spent =
                Sums { day, day_tokens: tokens, month: month_of(day), month_tokens: tokens, total_tokens: tokens };
            sums.entry(&row.key_id).or_default().merge(&spent);
        }
    }
    let key = |(dimension, hour, name): (Dimension, u32, &str)| RollupKey { dimension, hour, name: name.to_owned() };
    batch.rollups = rollups.into_iter().map(|(at, rollup)| (key(at), rollup)).collect();
    batch.sums = sums.into_iter().map(|(key_id, sums)| (key_id.to_owned(), sums)).collect();
}

/// What a row counts under.
fn names(row: &Record) -> impl Iterator<Item = (Dimension, &str)> {
    let model = if row.provider.is_empty() { UNROUTED } else { &row.model };
    [
        (Dimension::Key, row.key_id.as_str()),
        (Dimension::Model, model),
        (Dimension::User, &row.user),
        (Dimension::Provider, &row.provider),
        (Dimension::Config, &row.config),
        (Dimension::Group, &row.group),
        (Dimension::Agent, &row.agent),
    ]
    .into_iter()
    .filter(|(_, name)| !name.is_empty())
}

fn rollup(row: &Record) -> Rollup {
    let mut rollup = Rollup {
        calls: 1,
        errors: u64::from(!row.is_ok()),
        unpriced: u64::from(!row.priced && row.tokens.total() > 0),
        input: row.tokens.input,
        output: row.tokens.output,
        cached: row.tokens.cached,
        cache_write: row.tokens.cache_write,
        reasoning: row.tokens.reasoning,
        charges: Vec::new(),
    };
    // What had no price leaves the charge of the rest as it is.
    if row.priced || row.charge_nanos > 0 {
        rollup.add_charge(&row.currency, row.charge_nanos);
    }
    rollup
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Tokens;

    #[test]
    fn an_attempt_without_a_price_takes_nothing_from_what_the_others_cost() {
        let row = Record {
            tokens: Tokens { input: 9, ..Tokens::default() },
            charge_nanos: 1_000_000_000,
            currency: "USD".to_owned(),
            priced: false,
            ..Record::default()
        };
        let rollup = rollup(&row);
        assert_eq!((rollup.unpriced, rollup.charges.len()), (1, 1));
        assert_eq!((rollup.charges[0].currency.as_str(), rollup.charges[0].nanos), ("USD", 1_000_000_000));
        let free = super::rollup(&Record { charge_nanos: 0, currency: String::new(), ..row });
        assert_eq!((free.unpriced, free.charges.len()), (1, 0));
    }
}
