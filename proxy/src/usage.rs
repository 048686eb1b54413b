//! What a call costs: tokens, and money made of them.
//!
//! Money is an integer number of nano-units of a currency. Never knows who pays, and never asks a provider.

mod answer_text;
mod count;
mod estimate;
mod family;
mod input_bound;
mod price;
mod report;
#[cfg(test)]
mod tests;

pub use answer_text::{AnswerText, UncountedText};
pub use count::Counter;
pub use estimate::{estimate, overhead};
pub use input_bound::{MediaBounds, NonTextInput, input_bound};
pub use price::{AmountError, Currency, CurrencyError, Price, charge, decimal, parse_amount};
pub use report::{ReportBounds, Slack, is_believable};

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
