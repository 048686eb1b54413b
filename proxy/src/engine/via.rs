//! The way that a request has come, so that a provider that is this gateway itself is found out at the first turn.

use std::borrow::Cow;

/// The longest way that is followed, in bytes.
const BYTES_MAX: usize = 1024;

/// Whether a request that came this way has passed through this gateway, whose entry is `own`; or through too many.
pub(super) fn is_loop(before: Option<&[u8]>, own: &str) -> bool {
    let passed = |before: &[u8]| memchr::memmem::find(before, own.as_bytes()).is_some();
    before.is_some_and(|before| before.len() > BYTES_MAX || passed(before))
}

/// The way of a request that goes on from here.
pub(super) fn onward<'a>(before: Option<&[u8]>, own: &'a str) -> Cow<'a, str> {
    match before.and_then(|before| std::str::from_utf8(before).ok()) {
        Some(before) => Cow::Owned(format!("{before}, {own}")),
        None => Cow::Borrowed(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_leads_back_is_found_however_long_it_is() {
        let (own, other) = ("1.1 tollgate-a", "1.1 tollgate-b");
        let once = onward(None, own);
        assert_eq!(once, own);
        let twice = onward(Some(once.as_bytes()), other);
        assert_eq!(twice, "1.1 tollgate-a, 1.1 tollgate-b");
        assert!(is_loop(Some(twice.as_bytes()), own) && is_loop(Some(twice.as_bytes()), other));
        assert!(!is_loop(None, own) && !is_loop(Some(b"1.1 nginx"), own) && !is_loop(Some(own.as_bytes()), other));
        assert!(is_loop(Some(&[b'x'; BYTES_MAX + 1]), own));
    }
}
