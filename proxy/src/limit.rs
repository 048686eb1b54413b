//! Whether a call may be made: caps, windows and holds.
//!
//! A call reserves all it may use before anything is sent, and settles what it used when it ends. Owns the only
//! mutable state on a call's path. Knows nothing of prices, stores or HTTP, and never reads a clock.
//!
//! - Invariant: no hold is granted that would take settled plus held past a cap.
//! - Invariant: every hold ends, since dropping one ends it.
//! - Invariant: time does not run backwards for an account; an earlier `now_ms` counts as the latest one seen.

mod account;
mod calendar;
mod minute;
#[cfg(test)]
mod tests;

pub use account::{Account, Headroom, Hold, Room, Spent};
pub use calendar::{DAY_MS, day_of, month_of};

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

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
}

/// Which cap refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    TokensPerDay,
    TokensPerMonth,
    TokensTotal,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{limit}` of {cap} has {remaining} left, the call needs {wanted}")]
pub struct LimitError {
    pub limit: Limit,
    pub cap: u64,
    /// What is neither settled nor held, in the unit of the cap.
    pub remaining: u64,
    /// What the call asked for, in the unit of the cap.
    pub wanted: u64,
    /// When the same call may fit: exact for a window that must roll, one second where only calls in flight are in
    /// the way. `None` where waiting does not help.
    pub retry_after_ms: Option<u64>,
}

/// What an account had used before the process started, as its ledger remembers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The latest UTC day with usage, as [`day_of`] counts days.
    pub day: u32,
    pub day_tokens: u64,
    /// The latest UTC month with usage, as [`month_of`] counts months.
    pub month: u32,
    pub month_tokens: u64,
    pub total_tokens: u64,
    /// When the calls of the last minute were admitted, in any order.
    pub requests_ms: Vec<u64>,
}

/// Every account's windows and holds.
///
/// An account is made at its first use and lives until [`Limiter::forget`]: the table is as large as the table of
/// keys, because only authenticated calls reach it.
#[derive(Debug, Default)]
pub struct Limiter {
    accounts: RwLock<HashMap<Box<str>, Arc<Account>>>,
}

impl Limiter {
    pub fn new() -> Limiter {
        Limiter::default()
    }

    /// Sets aside `tokens`, one request and one place among the calls in flight: all of them, or none.
    pub fn reserve(&self, account: &str, caps: &Caps, tokens: u64, now_ms: u64) -> Result<Hold, LimitError> {
        self.account(account).reserve(caps, tokens, now_ms)
    }

    /// The account of this id. A snapshot may keep it, which saves the look-up per call.
    pub fn account(&self, id: &str) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(id) {
            return account.clone();
        }
        self.accounts.write().entry(id.into()).or_default().clone()
    }

    /// Takes over what an account had used before a restart. Calls in flight keep their holds.
    pub fn restore(&self, account: &str, past: &Past) {
        self.account(account).restore(past);
    }

    /// What an account has used; nothing for one that was never seen.
    pub fn spent(&self, account: &str, now_ms: u64) -> Spent {
        let account = self.accounts.read().get(account).cloned();
        account.map(|account| account.spent(now_ms)).unwrap_or_default()
    }

    /// Drops the account of a key that is gone. Its calls in flight settle into nothing.
    pub fn forget(&self, account: &str) {
        self.accounts.write().remove(account);
    }
}
