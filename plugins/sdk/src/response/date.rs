//! Dates as HTTP headers write them.

/// Unix seconds of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still sent.
pub(super) fn unix_seconds(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|&name| name == month)?;
    let year: u64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || !(1970..10_000).contains(&year) || !(1..32).contains(&day) || hour > 23 {
        return None;
    }
    if minute > 59 || second > 60 {
        return None;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before = year - 1;
    let days_of_years = before * 365 + before / 4 - before / 100 + before / 400 - DAYS_BEFORE_1970;
    let leap_day = u64::from(leap && month > 1);
    let days = days_of_years + DAYS_BEFORE_MONTH[month] + leap_day + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS_BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_BEFORE_1970: u64 = 719_162;
