//! Requests of the last minute, on a clock that never steps.
//!
//! One bucket per second, and one bucket more than the minute has seconds: the oldest second counts in full, so no
//! window of 60 seconds, wherever it starts, holds more than was admitted by this count.

const BUCKETS: u64 = 61;

#[derive(Debug)]
pub(super) struct Minute {
    counts: [u32; BUCKETS as usize],
    /// The latest second seen. A minute ahead of the clock, so that what was before the clock's origin has a second.
    second: u64,
    sum: u32,
}

impl Default for Minute {
    fn default() -> Minute {
        Minute { counts: [0; BUCKETS as usize], second: 0, sum: 0 }
    }
}

/// The second of a moment.
fn second_of(monotonic_ms: u64) -> u64 {
    monotonic_ms / 1000 + BUCKETS
}

impl Minute {
    /// Forgets what is older than the window that ends in this second.
    pub(super) fn advance(&mut self, monotonic_ms: u64) {
        let second = second_of(monotonic_ms);
        if second <= self.second {
            return;
        }
        if self.sum > 0 {
            for passed in self.second + 1..=second.min(self.second + BUCKETS) {
                let count = &mut self.counts[(passed % BUCKETS) as usize];
                self.sum -= std::mem::take(count);
            }
        }
        self.second = second;
    }

    /// Counts a request in the latest second.
    pub(super) fn add(&mut self) {
        self.count(self.second);
    }

    /// Counts a request of `age_ms` before the latest moment; one that is out of the window counts nowhere.
    pub(super) fn add_aged(&mut self, age_ms: u64, monotonic_ms: u64) {
        let age_s = (age_ms + 999).saturating_sub(monotonic_ms % 1000) / 1000;
        if age_s < BUCKETS && self.second >= age_s {
            self.count(self.second - age_s);
        }
    }

    fn count(&mut self, second: u64) {
        // A bucket that is full stays full: refusing is the safe side of four billion requests a minute.
        if self.sum < u32::MAX {
            self.counts[(second % BUCKETS) as usize] += 1;
            self.sum += 1;
        }
    }

    /// The latest second.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    /// Takes back a request of this second, if it still counts.
    pub(super) fn remove(&mut self, second: u64) {
        let count = &mut self.counts[(second % BUCKETS) as usize];
        if self.second - second < BUCKETS && *count > 0 {
            *count -= 1;
            self.sum -= 1;
        }
    }

    pub(super) fn sum(&self) -> u32 {
        self.sum
    }

    /// Milliseconds until at most `count` of the requests in the window are left in it.
    pub(super) fn wait_ms(&self, count: u32, monotonic_ms: u64) -> u64 {
        let mut left = self.sum;
        let mut free_at_second = second_of(monotonic_ms);
        let oldest = (self.second + 1).saturating_sub(BUCKETS);
        for second in oldest..=self.second {
            if left <= count {
                break;
            }
            left -= self.counts[(second % BUCKETS) as usize];
            free_at_second = second + BUCKETS;
        }
        (free_at_second.saturating_sub(BUCKETS) * 1000).saturating_sub(monotonic_ms)
    }
}
