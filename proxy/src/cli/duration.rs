//! When a key ends: at a date and time, or a span from now.

use anyhow::{Context as _, anyhow};
use tollgate::config::{format_rfc3339, parse_rfc3339};

const SECOND_MS: u64 = 1000;
const UNITS: &[(char, u64)] = &[
    ('s', SECOND_MS),
    ('m', 60 * SECOND_MS),
    ('h', 3600 * SECOND_MS),
    ('d', 24 * 3600 * SECOND_MS),
    ('w', 7 * 24 * 3600 * SECOND_MS),
];

/// Unix milliseconds of `2027-01-31`, `2027-01-31T12:00:00Z`, or of `30d` after `now_ms`.
pub(super) fn parse_end(text: &str, now_ms: u64) -> anyhow::Result<u64> {
    let span = UNITS.iter().find_map(|(unit, unit_ms)| {
        let count = text.strip_suffix(*unit)?.parse::<u64>().ok()?;
        Some(count.checked_mul(*unit_ms).and_then(|span_ms| now_ms.checked_add(span_ms)))
    });
    match span {
        Some(end_ms) => {
            // What cannot be written as a date cannot be shown either.
            let can_be_written =
                |end_ms: &u64| parse_rfc3339(&format_rfc3339(*end_ms)) == Some(end_ms - end_ms % SECOND_MS);
            end_ms.filter(can_be_written).with_context(|| format!("`{text}` from now is too far away"))
        }
        None => parse_rfc3339(text).ok_or_else(|| {
            anyhow!("`{text}` is neither a date and time such as 2027-01-31T12:00:00Z nor a span such as 30d")
        }),
    }
}
