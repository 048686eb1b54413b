//! The way that a request has come, so that a provider that is this gateway itself is found out at the first turn.

use std::borrow::Cow;

/// The longest way that is followed, in bytes.
const BYTES_MAX: usize = 1024;

/// Whether a request that came this way, which its head may tell in several lines, has passed through this gateway, whose
/// entry is `own`; or through too many.
pub(super) fn is_loop<'a>(mut before: impl Iterator<Item = &'a [u8]>, own: &str) -> bool {
    let mut bytes = 0;
    before.any(|line| {
        bytes += line.len();
        bytes > BYTES_MAX || memchr::memmem::find(line, own.as_bytes()).is_some()
    })
}

/// The way of a request that goes on from here, in one line.
pub(super) fn onward<'a, 'b>(before: impl Iterator<Item = &'b [u8]>, own: &'a str) -> Cow<'a, str> {
    let mut way = String::new();
    for line in before.filter_map(|line| std::str::from_utf8(line).ok()) {
        way.push_str(line);
        way.push_str(", ");
    }
    if way.is_empty() { Cow::Borrowed(own) } else { Cow::Owned(way + own) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
        lines.iter().map(|line| line.as_bytes())
    }

    #[test]
    fn a_way_that_leads_back_is_found_however_long_it_is() {
        let (own, other) = ("1.1 tollgate-a", "1.1 tollgate-b");
        let once = onward(lines(&[]), own);
        assert_eq!(once, own);
        let twice = onward(lines(&[&once]), other);
        assert_eq!(twice, "1.1 tollgate-a, 1.1 tollgate-b");
        assert!(is_loop(lines(&[&twice]), own) && is_loop(lines(&[&twice]), other));
        assert!(!is_loop(lines(&[]), own) && !is_loop(lines(&["1.1 nginx"]), own) && !is_loop(lines(&[own]), other));
        assert!(is_loop(lines(&[&"x".repeat(BYTES_MAX + 1)]), own));
    }

    #[test]
    fn a_way_may_be_told_in_several_lines() {
        let (own, other) = ("1.1 tollgate-a", "1.1 tollgate-b");
        assert!(is_loop(lines(&["1.1 nginx", own]), own) && !is_loop(lines(&["1.1 nginx", own]), other));
        assert_eq!(onward(lines(&["1.1 nginx", other]), own), "1.1 nginx, 1.1 tollgate-b, 1.1 tollgate-a");
        let half = "x".repeat(BYTES_MAX / 2);
        assert!(is_loop(lines(&[&half, &half, "x"]), own));
    }
}
