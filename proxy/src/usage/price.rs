//! Prices and charges.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::call::Tokens;

/// One unit of a currency, in nano-units.
const UNIT_NANOS: u64 = 1_000_000_000;
/// Prices are per this many tokens.
const PRICED_TOKENS: u128 = 1_000_000;

/// A currency by its three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only capital letters get in")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not three capital letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency: expected three capital letters, such as `USD`")]
pub struct CurrencyError(String);

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Currency, CurrencyError> {
        match *text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z', c @ b'A'..=b'Z'] => Ok(Currency([a, b, c])),
            _ => Err(CurrencyError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Currency, CurrencyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.as_str().to_owned()
    }
}

/// What a model costs, in nano-units per million tokens. A kind without a price of its own costs what the kind that
/// includes it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub currency: Currency,
    pub input_per_million_nanos: u64,
    pub output_per_million_nanos: u64,
    pub cached_per_million_nanos: Option<u64>,
    pub cache_write_per_million_nanos: Option<u64>,
    pub reasoning_per_million_nanos: Option<u64>,
    /// Counts the changes of this price.
    pub version: u32,
}

/// Why an amount of money cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("expected an amount such as `2.50`")]
    NotDecimal,
    #[error("expected at most nine decimal places")]
    TooFine,
    #[error("expected an amount of less than 18 thousand million")]
    TooLarge,
}

/// Reads a decimal amount, such as `2.50`, as nano-units, exactly.
pub fn parse_amount(text: &str) -> Result<u64, AmountError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(AmountError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err(AmountError::TooFine);
    }
    let nanos = format!("{fraction:0<9}").parse::<u64>().map_err(|_| AmountError::NotDecimal)?;
    let units = whole.parse::<u64>().map_err(|_| AmountError::TooLarge)?;
    units.checked_mul(UNIT_NANOS).and_then(|units| units.checked_add(nanos)).ok_or(AmountError::TooLarge)
}

/// Nano-units as an exact decimal text with two places or more: `1.25`, `0.000001`.
pub fn decimal(nanos: u64) -> String {
    let fraction = format!("{:09}", nanos % UNIT_NANOS);
    let fraction = fraction.trim_end_matches('0');
    format!("{}.{fraction:0<2}", nanos / UNIT_NANOS)
}

/// What `tokens` cost in nano-units: summed exactly, rounded once, half up.
pub fn charge(tokens: &Tokens, price: &Price) -> u64 {
    // A provider may report parts larger than their whole; no token is charged twice for it.
    let cached = tokens.cached.min(tokens.input);
    let cache_write = tokens.cache_write.min(tokens.input - cached);
    let reasoning = tokens.reasoning.min(tokens.output);
    let (input, output) = (price.input_per_million_nanos, price.output_per_million_nanos);
    let parts = [
        (tokens.input - cached - cache_write, input),
        (cached, price.cached_per_million_nanos.unwrap_or(input)),
        (cache_write, price.cache_write_per_million_nanos.unwrap_or(input)),
        (tokens.output - reasoning, output),
        (reasoning, price.reasoning_per_million_nanos.unwrap_or(output)),
    ];
    let sum =
        parts.into_iter().fold(0u128, |sum, (count, nanos)| sum.saturating_add(u128::from(count) * u128::from(nanos)));
    let rounded = sum.saturating_add(PRICED_TOKENS / 2) / PRICED_TOKENS;
    u64::try_from(rounded).unwrap_or(u64::MAX)
}
