//! What a call costs: tokens, and money made of them.
//!
//! Money is an integer number of nano-units of a currency. Never knows who pays, and never asks a provider.

mod count;
mod estimate;
mod family;
mod price;
#[cfg(test)]
mod tests;

pub use count::Counter;
pub use estimate::{estimate, overhead};
pub use price::{AmountError, Currency, CurrencyError, Price, charge, parse_amount};

use serde::{Deserialize, Serialize};

/// Where a call's token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The provider reported them.
    Provider,
    /// Counted here with a tokenizer.
    Counted,
    /// Estimated from the size of the text.
    Estimated,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Provider => "provider",
            Source::Counted => "counted",
            Source::Estimated => "estimated",
        }
    }
}
