//! UTC days and months of the civil calendar. Pure arithmetic, without leap seconds, as Unix time has none.

/// Milliseconds in an hour.
pub const HOUR_MS: u64 = 3_600_000;
/// Milliseconds in a UTC day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// The UTC day of a Unix time in milliseconds: days since 1970-01-01.
pub fn day_of(now_ms: u64) -> u32 {
    u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// The UTC month of a day: months since 1970-01.
pub fn month_of(day: u32) -> u32 {
    let (year, month) = civil(day);
    (year - 1970) * 12 + month - 1
}

/// The first moment of the month after the given one, in Unix milliseconds.
pub(super) fn month_end_ms(month: u32) -> u64 {
    let next = month + 1;
    first_day(1970 + next / 12, next % 12 + 1) * DAY_MS
}

/// Year and month (1 to 12) of a day. The year is counted from March, so that the leap day is its last.
fn civil(day: u32) -> (u32, u32) {
    let day = u64::from(day) + 719_468;
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year as u32, month as u32)
}

/// Days from 1970-01-01 to the first day of a month, of 1970 or later.
fn first_day(year: u32, month: u32) -> u64 {
    let (year, march_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (u64::from(year / 400), u64::from(year % 400));
    let day_of_year = (153 * u64::from(march_month) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
