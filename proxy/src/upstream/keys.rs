//! A provider's keys: which one serves the next attempt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::scrub::Needle;
use crate::secret::Secret;

/// The keys of one provider, used in turn. A key that the provider refused rests for a while.
pub struct KeyPool {
    keys: Vec<PooledKey>,
    /// What rests are counted from: on a clock that never steps.
    made: Instant,
    next: AtomicUsize,
}

struct PooledKey {
    secret: Secret,
    needle: Option<Arc<Needle>>,
    /// In milliseconds since the pool was made.
    rests_until_ms: AtomicU64,
}

/// The key of one attempt.
pub struct Picked<'a> {
    pub index: usize,
    pub secret: &'a Secret,
    pub(super) needle: Option<&'a Arc<Needle>>,
}

impl KeyPool {
    pub fn new(keys: Vec<Secret>) -> Self {
        let pooled = |secret: Secret| PooledKey {
            needle: Needle::new(secret.expose()).map(Arc::new),
            secret,
            rests_until_ms: AtomicU64::new(0),
        };
        KeyPool { keys: keys.into_iter().map(pooled).collect(), made: Instant::now(), next: AtomicUsize::new(0) }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The next key in turn that does not rest; if all rest, the one that is back soonest. None of an empty pool.
    pub fn pick(&self, now: Instant) -> Option<Picked<'_>> {
        let count = self.keys.len();
        if count == 0 {
            return None;
        }
        let now_ms = self.ms_at(now);
        let first = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        let turn = (0..count).map(|step| (first + step) % count);
        let rested = |index: &usize| self.keys[*index].rests_until_ms.load(Ordering::Relaxed);
        let index = turn.clone().find(|index| rested(index) <= now_ms).or_else(|| turn.min_by_key(rested))?;
        let PooledKey { secret, needle, .. } = &self.keys[index];
        Some(Picked { index, secret, needle: needle.as_ref() })
    }

    /// Whether some key does not rest `now`.
    pub fn has_rested(&self, now: Instant) -> bool {
        let now_ms = self.ms_at(now);
        self.keys.iter().any(|key| key.rests_until_ms.load(Ordering::Relaxed) <= now_ms)
    }

    /// Lets a key rest for so long.
    pub fn rest(&self, index: usize, now: Instant, rest: Duration) {
        if let Some(key) = self.keys.get(index) {
            let until_ms = self.ms_at(now).saturating_add(millis(rest));
            key.rests_until_ms.fetch_max(until_ms, Ordering::Relaxed);
        }
    }

    fn ms_at(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.made))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
