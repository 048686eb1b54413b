//! Prices: beside a model or target, or in a file of their own.

use super::written::{Located, Section};
use crate::{
    principal::Pattern,
    usage::{Currency, CurrencyError, Price, parse_amount},
};

/// The price under the key `price`, if there is one.
pub(super) fn read(owner: &Section<'_, '_>) -> Option<Price> {
    let section = owner.section("price");
    let is_there = section.is_there();
    let price = read_table(&section);
    section.finish();
    price.filter(|_| is_there)
}

/// A file of prices: `[prices."model at the provider"]`.
pub(super) fn read_file(root: Section<'_, '_>) -> Vec<(String, Price)> {
    let section = root.section("prices");
    let mut prices = Vec::new();
    for (name, entry) in section.named() {
        if let Err(fault) = Pattern::parse(&name) {
            entry.reading().fault(&entry.at(), fault.to_string());
        }
        prices.extend(read_table(&entry).map(|price| (name, price)));
        entry.finish();
    }
    section.finish();
    root.finish();
    prices
}

/// The price whose name matches `model` and is the longest of those.
pub(super) fn find(prices: &[(String, Price)], model: &str) -> Option<Price> {
    let matches = |name: &str| Pattern::parse(name).is_ok_and(|pattern| pattern.matches(model));
    // Of a name and the same name with a star, the plain one is nearer.
    let weight = |name: &str| (name.trim_end_matches('*').len(), !name.ends_with('*'));
    let matching = prices.iter().filter(|(name, _)| matches(name));
    matching.max_by_key(|(name, _)| weight(name)).map(|(_, price)| price.clone())
}

fn read_table(section: &Section<'_, '_>) -> Option<Price> {
    if section.is_there() {
        for needed in ["currency", "input_per_million", "output_per_million"] {
            if !section.has(needed) {
                section.missing(needed);
            }
        }
    }
    let currency = section.text("currency").and_then(|at| currency(section, &at));
    let input = amount(section, "input_per_million");
    let output = amount(section, "output_per_million");
    let cached = amount(section, "cached_per_million");
    let cache_write = amount(section, "cache_write_per_million");
    let reasoning = amount(section, "reasoning_per_million");
    let version = section.number_or("version", 1, 1..=u64::from(u32::MAX)) as u32;
    Some(Price {
        currency: currency?,
        input_per_million_nanos: input?,
        output_per_million_nanos: output?,
        cached_per_million_nanos: cached,
        cache_write_per_million_nanos: cache_write,
        reasoning_per_million_nanos: reasoning,
        version,
    })
}

fn currency(section: &Section<'_, '_>, at: &Located<String>) -> Option<Currency> {
    at.value.parse().map_err(|fault: CurrencyError| section.reading().fault(at, fault.to_string())).ok()
}

/// Nano-units of an amount written as text: as a number, TOML would make it a binary fraction.
fn amount(section: &Section<'_, '_>, name: &str) -> Option<u64> {
    let at = section.text(name)?;
    match parse_amount(&at.value) {
        Ok(nanos) => Some(nanos),
        Err(fault) => {
            section.reading().fault(&at, fault.to_string());
            None
        }
    }
}
