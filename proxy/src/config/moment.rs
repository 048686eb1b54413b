//! Points in time, as people write them: RFC 3339.

/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LATEST_MS: i64 = 253_402_300_799_999;
const DAY_MS: i64 = 86_400_000;

/// Unix milliseconds of `2026-12-31T23:59:59Z`, `2026-12-31T23:59:59+08:00` or `2026-12-31` (its midnight in UTC).
///
/// None if the text is no such moment, or one before 1970.
pub fn parse_moment(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (digits(date, 0..4)?, digits(date, 5..7)?, digits(date, 8..10)?);
    let separated = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !separated || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let midnight_ms = days_from_civil(year, month, day) * DAY_MS;
    let within_ms = if rest.is_empty() { 0 } else { parse_time(rest)? };
    u64::try_from(midnight_ms + within_ms).ok()
}

/// The moment as RFC 3339 in UTC, to the second: `2026-12-31T23:59:59Z`.
pub fn format_moment(unix_ms: u64) -> String {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(LATEST_MS).min(LATEST_MS);
    let (year, month, day) = civil_from_days(unix_ms / DAY_MS);
    let second = unix_ms % DAY_MS / 1000;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Milliseconds after midnight UTC of `T23:59:59.5+08:00`.
fn parse_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let marked = bytes.len() > 9 && b"Tt ".contains(&bytes[0]) && bytes[3] == b':' && bytes[6] == b':';
    if !marked || !text.is_ascii() {
        return None;
    }
    let (hour, minute, second) = (digits(text, 1..3)?, digits(text, 4..6)?, digits(text, 7..9)?);
    // A leap second counts as the second after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ms, zone) = fraction(&text[9..])?;
    let zone_ms = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('+') { 1 } else { -1 };
            let marked = zone.len() == 6 && zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':';
            let (hours, minutes) = marked.then(|| Some((digits(zone, 1..3)?, digits(zone, 4..6)?)))??;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 60 + minutes) * 60_000
        }
    };
    Some(((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms - zone_ms)
}

/// The milliseconds of a leading `.123456`, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(after) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = after.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = after.split_at(length);
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    if fraction.is_empty() { None } else { Some((millis.parse().ok()?, zone)) }
}

fn digits(text: &str, range: std::ops::Range<usize>) -> Option<i64> {
    let part = text.get(range)?;
    part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Undoes [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
