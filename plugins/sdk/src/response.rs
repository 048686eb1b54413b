//! A whole answer of the provider, and what its headers and its error body say.

mod date;
mod error;

#[cfg(test)]
mod tests;

use crate::{Header, json};

pub use tollgate_reading::ErrorBody;

/// A whole answer of the provider.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    pub status: u16,
    pub headers: &'a [Header],
    pub body: &'a str,
}

impl<'a> Response<'a> {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// How long the provider asks to be left alone: `retry-after-ms`, else `retry-after` in seconds or as a date.
    pub fn retry_after_ms(&self, now_unix_ms: u64) -> Option<u64> {
        if let Some(ms) = self.header("retry-after-ms").and_then(|text| decimal_ms(text, 1.0)) {
            return Some(ms);
        }
        let text = self.header("retry-after")?.trim();
        decimal_ms(text, 1000.0).or_else(|| {
            let at_ms = date::unix_seconds(text)?.saturating_mul(1000);
            Some(at_ms.saturating_sub(now_unix_ms))
        })
    }

    /// Whether the provider forbids, or recommends, to send the request again.
    pub fn should_retry(&self) -> Option<bool> {
        match self.header("x-should-retry")? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// What the body says went wrong, in any of the shapes that providers use.
    pub fn error(&self) -> ErrorBody {
        error::parse(self.body)
    }
}

/// A non-negative decimal in units of `unit_ms`, rounded up to whole milliseconds.
fn decimal_ms(text: &str, unit_ms: f64) -> Option<u64> {
    let number = json::approximate(text.trim())?;
    if !(0.0..1e12).contains(&number) {
        return None;
    }
    let ms = number * unit_ms;
    let whole = ms as u64;
    Some(if ms > whole as f64 { whole + 1 } else { whole })
}
