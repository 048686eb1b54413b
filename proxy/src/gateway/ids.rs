//! Ids of calls: unique, in the order of time, and no secret.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes ids of `req_` and 26 characters: 48 bits of milliseconds, then 80 bits that differ.
pub struct Ids {
    /// Of this process: two processes that share a millisecond differ here.
    process: u64,
    count: AtomicU64,
}

/// Crockford's base 32, which sorts as the numbers do.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Ids {
    /// `random` is fresh for each process.
    pub fn new(random: u64) -> Ids {
        Ids { process: random, count: AtomicU64::new(0) }
    }

    /// What this process calls itself in `via`: unlike every other, so that it knows a request that has been here.
    pub fn via(&self) -> String {
        format!("1.1 tollgate-{:08x}", self.process >> 32)
    }

    pub fn next(&self, now_ms: u64) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // 16 bits of the process, then the count scrambled: neighbours in one millisecond look unlike each other.
        let low = (count ^ self.process).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let high = u128::from(now_ms & 0xffff_ffff_ffff) << 80 | u128::from(self.process >> 48) << 64;
        let value = high | u128::from(low);
        let mut id = String::with_capacity(30);
        id.push_str("req_");
        id.extend((0..26).rev().map(|place| char::from(DIGITS[(value >> (place * 5)) as usize & 31])));
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_millisecond_and_between_processes() {
        let processes = [Ids::new(1), Ids::new(u64::MAX / 3)];
        let ids: HashSet<String> = (0..1000).flat_map(|_| processes.iter().map(|ids| ids.next(1_000))).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 30 && id.starts_with("req_")));
    }

    #[test]
    fn ids_sort_by_time() {
        let ids = Ids::new(7);
        let made: Vec<String> = [1, 2, 1_763_600_000_000, 1_763_600_000_001].map(|now_ms| ids.next(now_ms)).into();
        assert!(made.is_sorted(), "{made:?}");
    }
}
