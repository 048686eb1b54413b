//! Points in time, as people write them: RFC 3339.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const LATEST_S: u64 = 253_402_300_799;

/// Unix milliseconds of `2026-12-31T23:59:59Z`, `2026-12-31T23:59:59+08:00` or `2026-12-31` (its midnight in UTC).
///
/// None if the text is no such time, or one before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let midnight;
    let text = if text.len() == "2026-12-31".len() {
        midnight = format!("{text}T00:00:00Z");
        &midnight
    } else {
        text
    };
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The time as RFC 3339 in UTC, to the second: `2026-12-31T23:59:59Z`. What is later than year 9999 is its end.
pub fn format_rfc3339(unix_ms: u64) -> String {
    let second = (unix_ms / 1000).min(LATEST_S);
    let at = i64::try_from(second).ok().and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
    at.and_then(|at| at.format(&Rfc3339).ok()).expect("every second of the years 1970 to 9999 can be written")
}
