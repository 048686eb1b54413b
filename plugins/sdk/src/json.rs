//! JSON as adapters need it: borrowed where it can be, in the order and with the digits it was written in.
//!
//! A translation mostly carries pieces from one document to another. So [`Value`] borrows the text of every string
//! without escapes and of every number, objects keep their order, and [`Writer`] builds the new document in one pass.
//! [`fields`] reads the top level of an object without building anything.
//!
//! Exactly as strict as the gateway: RFC 8259 to the letter, no lone surrogates, and the same depth. The texts in
//! `plugins/fixtures/json` are read by both.

mod fields;
mod parse;
mod write;

#[cfg(test)]
mod tests;

use alloc::{borrow::Cow, string::String, vec::Vec};

pub use fields::{Field, Fields, fields};
pub use write::{Writer, quoted};

/// Containers nested deeper than this are refused, by the gateway as well: of a client, of a provider and of a plugin.
/// A translation that wraps what it was given asks [`Writer::depth`] whether it still fits.
pub const DEPTH_MAX: usize = 128;

/// One JSON document, borrowing from its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As it was written: no digit is lost.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// The fields of an object, in order. Invariant: no two have the same name. Of a name given twice the last value stays,
/// as with most readers; the gateway refuses a plugin's document that names a field twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// The text is not JSON, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Byte at which reading stopped.
    pub at: usize,
}

impl<'a> Value<'a> {
    /// # Errors
    /// [`Malformed`] where `text` is anything but one JSON document, nested at most [`DEPTH_MAX`] deep.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        parse::document(text, DEPTH_MAX)
    }

    /// The same for a document that is to stand inside another, and so may nest only `depth_max` deep.
    ///
    /// # Errors
    /// As for [`Value::parse`].
    pub fn parse_within(text: &'a str, depth_max: usize) -> Result<Self, Malformed> {
        parse::document(text, depth_max.min(DEPTH_MAX))
    }

    /// The value of this field, if this is an object that has it with a value other than null.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?.get(name)
    }

    /// The string value of this field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A number without sign, fraction or exponent.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// A number as a count of tokens: its whole part. One below zero, or too large for a count, is `u64::MAX`, which the
    /// gateway sets aside as a report that no call explains.
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Value::Number(digits) => Some(tollgate_reading::count_of(digits)),
            _ => None,
        }
    }

    /// A number to within a few units of the last place: enough to compare, while [`Value::Number`] keeps its digits.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(digits) => approximate(digits),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The document as text, without spaces.
    pub fn to_json(&self) -> String {
        let mut writer = Writer::new();
        writer.value(self);
        writer.finish()
    }
}

impl<'a> Object<'a> {
    /// The last of the fields of each name, in their order.
    fn of(mut fields: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        if names_twice(&fields) {
            let keep = last_of_each_name(&fields);
            let mut keep = keep.iter();
            fields.retain(|_| keep.next() == Some(&true));
        }
        Self(fields)
    }

    /// The value of this field, if it is there and not null.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Objects with more fields than this are looked through by sorting, smaller ones by comparing.
const SMALL_OBJECT_FIELDS: usize = 24;

fn names_twice(fields: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    if fields.len() > SMALL_OBJECT_FIELDS {
        return last_of_each_name(fields).contains(&false);
    }
    fields.iter().enumerate().any(|(at, (name, _))| fields[..at].iter().any(|(other, _)| other == name))
}

/// For each field, whether none of its name follows.
fn last_of_each_name(fields: &[(Cow<'_, str>, Value<'_>)]) -> Vec<bool> {
    let mut by_name: Vec<(&str, usize)> =
        fields.iter().enumerate().map(|(at, (name, _))| (name.as_ref(), at)).collect();
    by_name.sort_unstable();
    let mut last = alloc::vec![true; fields.len()];
    for pair in by_name.windows(2) {
        if pair[0].0 == pair[1].0 {
            last[pair[0].1] = false;
        }
    }
    last
}

/// The value of a decimal such as `0.7` or `1e3`, to within a few units of the last place.
///
/// The standard library's exact reading brings tables of powers along that would be half of a small component.
pub fn approximate(digits: &str) -> Option<f64> {
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        number = number * 10.0 + f64::from((byte as char).to_digit(10)?);
    }
    // Beyond these powers a double is infinite or zero.
    let scale = exponent.saturating_sub(fraction.len().min(400) as i32).clamp(-400, 400);
    for _ in 0..scale.unsigned_abs() {
        number = if scale < 0 { number / 10.0 } else { number * 10.0 };
    }
    Some(if negative { -number } else { number })
}

/// How many bytes at the start of `bytes` may stand in a JSON string as they are: no quote, no backslash, no control.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(word) = bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes) {
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        // Each term has the high bit of a byte set where that byte is zero, or below 0x20; a borrow can set a bit too
        // many only above the first true one, and the first is all that is asked.
        let special = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if special & HIGHS != 0 {
            return at + (special & HIGHS).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len())
}
