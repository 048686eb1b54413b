//! Usage added up: by hour for people, by key for the limits.

use serde::{Deserialize, Serialize};

/// What an hour's usage is added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Dimension {
    /// The name is the key's id.
    Key = 0,
    Model = 1,
    User = 2,
    Provider = 3,
    Config = 4,
    Group = 5,
    Agent = 6,
    /// Requests that were refused before they were anybody's call, by the code of the refusal.
    Refusal = 7,
    /// Calls whose providers reported more than was held for them, by the key's id; `output` is what was beyond.
    Overrun = 8,
}

impl Dimension {
    pub const ALL: [Dimension; 9] = [
        Dimension::Key,
        Dimension::Model,
        Dimension::User,
        Dimension::Provider,
        Dimension::Config,
        Dimension::Group,
        Dimension::Agent,
        Dimension::Refusal,
        Dimension::Overrun,
    ];

    /// The name in the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Key => "key",
            Dimension::Model => "model",
            Dimension::User => "user",
            Dimension::Provider => "provider",
            Dimension::Config => "config",
            Dimension::Group => "group",
            Dimension::Agent => "agent",
            Dimension::Refusal => "refusal",
            Dimension::Overrun => "overrun",
        }
    }
}

/// A length of time that usage is added up over. Each is a whole number of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Day,
    /// 32 days: about a month, and the same length at every time of the year.
    Long,
}

impl Period {
    pub(super) const fn hours(self) -> u32 {
        match self {
            Period::Day => 24,
            Period::Long => 24 * 32,
        }
    }
}

/// Which roll-up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RollupKey {
    pub dimension: Dimension,
    /// Hours since 1970.
    pub hour: u32,
    pub name: String,
}

/// Usage of one hour, or of several merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    pub calls: u64,
    /// Calls that ended with an error class.
    pub errors: u64,
    /// Calls that used tokens no price was known for, all of them or some.
    pub unpriced: u64,
    pub input: u64,
    pub output: u64,
    /// Part of `input`.
    pub cached: u64,
    /// Part of `input`.
    pub cache_write: u64,
    /// Part of `output`.
    pub reasoning: u64,
    /// One per currency, in the order of their names.
    pub charges: Vec<Charge>,
}

/// Money in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub currency: String,
    /// In billionths of a unit of the currency.
    pub nanos: u64,
}

impl Rollup {
    /// Adds another hour, or another part of this one.
    pub fn merge(&mut self, other: &Rollup) {
        let counts = [
            (&mut self.calls, other.calls),
            (&mut self.errors, other.errors),
            (&mut self.unpriced, other.unpriced),
            (&mut self.input, other.input),
            (&mut self.output, other.output),
            (&mut self.cached, other.cached),
            (&mut self.cache_write, other.cache_write),
            (&mut self.reasoning, other.reasoning),
        ];
        for (count, more) in counts {
            *count = count.saturating_add(more);
        }
        for charge in &other.charges {
            self.add_charge(&charge.currency, charge.nanos);
        }
    }

    /// Adds money.
    pub fn add_charge(&mut self, currency: &str, nanos: u64) {
        match self.charges.binary_search_by(|charge| charge.currency.as_str().cmp(currency)) {
            Ok(at) => self.charges[at].nanos = self.charges[at].nanos.saturating_add(nanos),
            Err(at) => self.charges.insert(at, Charge { currency: currency.to_owned(), nanos }),
        }
    }
}

/// What a key has used, as its limits count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// The latest UTC day with usage, in days since 1970.
    pub day: u32,
    pub day_tokens: u64,
    /// The latest UTC month with usage, in months since 1970-01.
    pub month: u32,
    pub month_tokens: u64,
    pub total_tokens: u64,
}

impl Sums {
    /// Adds further usage. Days and months older than the latest count in the total only.
    pub fn merge(&mut self, other: &Sums) {
        merge_period(&mut self.day, &mut self.day_tokens, other.day, other.day_tokens);
        merge_period(&mut self.month, &mut self.month_tokens, other.month, other.month_tokens);
        self.total_tokens = self.total_tokens.saturating_add(other.total_tokens);
    }
}

fn merge_period(period: &mut u32, tokens: &mut u64, other: u32, more: u64) {
    if other > *period {
        (*period, *tokens) = (other, more);
    } else if other == *period {
        *tokens = tokens.saturating_add(more);
    }
}
