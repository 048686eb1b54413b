//! Random steps and caps.

use proptest::prelude::*;

use super::super::*;

/// What may happen next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The accounts by their bits.
    Hold {
        accounts: u8,
        amount: Amount,
    },
    Extend {
        call: usize,
        accounts: u8,
        amount: Amount,
    },
    Sent(usize),
    /// Settles with a share of the hold, in percent; above 100 is an excess.
    Settle(usize, u64),
    Drop(usize),
    /// Time passes on both clocks.
    Pass(u64),
    /// The wall clock is set, this far ahead or back.
    Set(i64),
    /// The process ends, whatever is in flight, and another takes over from what the ledger knows.
    Restart,
}

fn amount() -> impl Strategy<Value = Amount> {
    (0..60_u64, 0..60_u64).prop_map(|(tokens, money_nanos)| Amount { tokens, money_nanos })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let day_ms = DAY_MS as i64;
    let sets = prop_oneof![
        -5_000..5_000_i64,
        Just(7_200_000),
        Just(-7_200_000),
        Just(day_ms),
        Just(-day_ms),
        (-9..=9_i64).prop_map(move |days| days * day_ms),
        Just(40 * day_ms),
        Just(-40 * day_ms),
        Just(i64::MIN),
    ];
    prop_oneof![
        8 => (1..16_u8, amount()).prop_map(|(accounts, amount)| Step::Hold { accounts, amount }),
        2 => (any::<usize>(), 1..16_u8, amount())
            .prop_map(|(call, accounts, amount)| Step::Extend { call, accounts, amount }),
        2 => any::<usize>().prop_map(Step::Sent),
        5 => (any::<usize>(), 0..=100_u64).prop_map(|(call, percent)| Step::Settle(call, percent)),
        1 => (any::<usize>(), 100..300_u64).prop_map(|(call, percent)| Step::Settle(call, percent)),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => prop_oneof![0..5_000_u64, 0..90_000_u64, 0..2 * DAY_MS, Just(31 * DAY_MS)].prop_map(Step::Pass),
        2 => sets.prop_map(Step::Set),
        1 => Just(Step::Restart),
    ]
}

pub(super) fn some_caps() -> impl Strategy<Value = Caps> {
    let sums = || proptest::option::of(0..300_u64);
    let calls = || proptest::option::of(0..8_u32);
    let money = (sums(), sums(), sums()).prop_map(|(per_day_nanos, per_month_nanos, total_nanos)| MoneyCaps {
        currency: "USD".parse().expect("a currency"),
        per_day_nanos,
        per_month_nanos,
        total_nanos,
    });
    let money = proptest::option::of(money);
    (sums(), sums(), sums(), calls(), calls(), money).prop_map(
        |(tokens_per_day, tokens_per_month, tokens_total, requests_per_minute, concurrent, money)| Caps {
            tokens_per_day,
            tokens_per_month,
            tokens_total,
            requests_per_minute,
            concurrent,
            money,
        },
    )
}
