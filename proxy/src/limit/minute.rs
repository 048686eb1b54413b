//! Requests of the last minute.
//!
//! One bucket per second, and one bucket more than the minute has seconds: the oldest second counts in full, so no
//! window of 60 seconds, wherever it starts, holds more than was admitted by this count.

const BUCKETS: u64 = 61;

#[derive(Debug)]
pub(super) struct Minute {
    counts: [u32; BUCKETS as usize],
    /// The latest second seen.
    second: u64,
    sum: u32,
}

impl Default for Minute {
    fn default() -> Minute {
        Minute { counts: [0; BUCKETS as usize], second: 0, sum: 0 }
    }
}

impl Minute {
    /// Forgets what is older than the window that ends in this second.
    pub(super) fn advance(&mut self, now_ms: u64) {
        let second = now_ms / 1000;
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
        // A bucket that is full stays full: refusing is the safe side of four billion requests a second.
        if self.sum < u32::MAX {
            self.counts[(self.second % BUCKETS) as usize] += 1;
            self.sum += 1;
        }
    }

    /// Counts a request of the past; one that is out of the window counts nowhere.
    pub(super) fn add_at(&mut self, request_ms: u64) {
        let second = request_ms / 1000;
        self.advance(request_ms);
        if self.second - second < BUCKETS && self.sum < u32::MAX {
            self.counts[(second % BUCKETS) as usize] += 1;
            self.sum += 1;
        }
    }

    pub(super) fn sum(&self) -> u32 {
        self.sum
    }

    /// Milliseconds until at most `count` of the requests in the window are left in it.
    pub(super) fn wait_ms(&self, count: u32, now_ms: u64) -> u64 {
        let mut left = self.sum;
        let mut free_at_second = now_ms / 1000;
        let oldest = (self.second + 1).saturating_sub(BUCKETS);
        for second in oldest..=self.second {
            if left <= count {
                break;
            }
            left -= self.counts[(second % BUCKETS) as usize];
            free_at_second = second + BUCKETS;
        }
        (free_at_second * 1000).saturating_sub(now_ms)
    }
}
