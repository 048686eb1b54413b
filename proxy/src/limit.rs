//! Whether a call may be made: caps, windows and holds.
//!
//! A call holds all it may use in every account that it touches before anything is sent, and settles what it used
//! when it ends. Owns the only mutable state on a call's path. Knows nothing of prices, stores or HTTP, and never
//! reads a clock.
//!
//! - Invariant: no hold is granted that would take settled plus held past a cap, in any of its accounts.
//! - Invariant: a hold is granted in all of its accounts or in none.
//! - Invariant: every hold ends, since dropping one ends it.
//! - Invariant: a step of the wall clock moves no window. Windows of a minute follow a clock that never steps; days and
//!   months are those that the wall clock reads, and each keeps its own sums.

mod account;
mod calendar;
mod claim;
mod limiter;
mod minute;
#[cfg(test)]
mod tests;
mod window;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::{
    account::{Account, Headroom, RateLimits, Spent},
    calendar::{DAY_MS, HOUR_MS, day_of, month_of},
    claim::{Claim, Hold, Place, hold},
    limiter::Limiter,
};
use crate::usage::{Currency, decimal};

/// What an account may use. `None` is without limit, 0 is never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Tokens in a UTC day.
    pub tokens_per_day: Option<u64>,
    /// Tokens in a UTC calendar month.
    pub tokens_per_month: Option<u64>,
    /// Tokens for as long as the account exists.
    pub tokens_total: Option<u64>,
    /// Calls admitted in any 60 seconds.
    pub requests_per_minute: Option<u32>,
    /// Calls in flight.
    pub concurrent: Option<u32>,
    /// Money; not part of what is written down of a key.
    #[serde(skip)]
    pub money: Option<MoneyCaps>,
}

impl Caps {
    /// Whether tokens or money are capped, so that a call must not answer more than its hold is for.
    pub fn bound_output(&self) -> bool {
        self.money.is_some()
            || self.tokens_per_day.is_some()
            || self.tokens_per_month.is_some()
            || self.tokens_total.is_some()
    }
}

/// What an account may cost, in nano-units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyCaps {
    pub currency: Currency,
    /// In a UTC day.
    pub per_day_nanos: Option<u64>,
    /// In a UTC calendar month.
    pub per_month_nanos: Option<u64>,
    /// For as long as the account exists.
    pub total_nanos: Option<u64>,
}

/// What a call uses, or may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub tokens: u64,
    /// In nano-units of the currency that the account counts in: whoever claims has converted it.
    pub money_nanos: u64,
}

impl Amount {
    /// Tokens that cost nothing.
    pub fn tokens(tokens: u64) -> Amount {
        Amount { tokens, money_nanos: 0 }
    }
}

/// A moment, read from two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Unix milliseconds of the wall clock, which may step: it says which day and month it is.
    pub unix_ms: u64,
    /// Milliseconds of a clock that never steps, from any origin: it says how much time has passed.
    pub monotonic_ms: u64,
}

/// Which cap refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    TokensPerDay,
    TokensPerMonth,
    TokensTotal,
    MoneyPerDay,
    MoneyPerMonth,
    MoneyTotal,
    RequestsPerMinute,
    Concurrent,
}

impl Limit {
    /// The name of the cap in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::TokensPerDay => "tokens_per_day",
            Limit::TokensPerMonth => "tokens_per_month",
            Limit::TokensTotal => "tokens_total",
            Limit::MoneyPerDay => "money_per_day",
            Limit::MoneyPerMonth => "money_per_month",
            Limit::MoneyTotal => "money_total",
            Limit::RequestsPerMinute => "requests_per_minute",
            Limit::Concurrent => "concurrent",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call does not fit. Of several caps in the way, the one that is in the way for longest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LimitError {
    pub limit: Limit,
    /// The account whose cap it is.
    pub account: Arc<str>,
    pub cap: u64,
    /// What is neither settled nor held, in the unit of the cap.
    pub remaining: u64,
    /// What the call asked for, in the unit of the cap.
    pub wanted: u64,
    /// Of a cap of money, whose unit is a nano-unit of it.
    pub currency: Option<Currency>,
    /// When the same call may fit: exact for a window that must roll, one second where only calls in flight are in
    /// the way. `None` where waiting does not help.
    pub retry_after_ms: Option<u64>,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitError { limit, account, cap, remaining, wanted, currency, .. } = self;
        match currency {
            None => {
                write!(f, "the limit `{limit}` of `{account}` is {cap}: {remaining} are left, the call needs {wanted}")
            }
            Some(currency) => {
                let [cap, remaining, wanted] = [cap, remaining, wanted].map(|&nanos| decimal(nanos));
                write!(
                    f,
                    "the limit `{limit}` of `{account}` is {cap} {currency}: {remaining} {currency} are left, the call \
                     may cost {wanted} {currency}"
                )
            }
        }
    }
}

/// What an account had used before the process started, as its ledger remembers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// UTC days, as [`day_of`] counts them: the latest with usage, and the current one where the clock was ahead
    /// meanwhile. The current one comes last.
    pub days: Vec<PastPeriod>,
    /// UTC months, as [`month_of`] counts them, in the same order.
    pub months: Vec<PastPeriod>,
    pub total: Amount,
    /// When the latest calls were admitted, in Unix milliseconds, in any order.
    pub requests_ms: Vec<u64>,
}

/// What was used in a day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastPeriod {
    pub number: u32,
    pub used: Amount,
}
