//! Each plugin's share of the processors: when its next work may begin.
//!
//! A plugin may always work while no other plugin wants to. While another does, it may use so many percent of one
//! processor, beyond a burst; its next work is then due when the work before it is paid for. Work that is usually short
//! never waits: it delays nobody, and a call cannot bring much of it. Reads no clock: the time comes in as nanoseconds
//! since the sandbox was made.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What a plugin may use at once before it waits, as time that its share would need for it.
const BURST: Duration = Duration::from_millis(100);
/// Work that usually takes less than this is short.
const SHORT: Duration = Duration::from_micros(100);
/// A call whose first turn would come later than this is refused, and none waits longer for one.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a plugin that asked for its turn counts as wanting the processors.
const WANTED_FOR_MS: u64 = 100;
/// One new cost moves a moving average by one part in this many.
const AVERAGE_OVER: u64 = 8;
const UNKNOWN: u64 = u64::MAX;

/// Kinds of work, each with an average cost of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Encode,
    Decode,
    Classify,
    Stream,
    Template,
}

pub(super) const KINDS: usize = 5;

/// One plugin's account of processor time.
pub(super) struct CpuShare {
    /// Of one processor.
    percent: u64,
    /// When all work so far will be paid for, in nanoseconds.
    paid_at_ns: AtomicU64,
    averages_ns: [AtomicU64; KINDS],
}

/// Work that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) wait: Duration,
    /// What was charged for it in advance, in nanoseconds: to be given back when it is done.
    pub(super) advance_ns: u64,
}

impl CpuShare {
    pub(super) fn new(percent: u32) -> CpuShare {
        let averages_ns = [(); KINDS].map(|()| AtomicU64::new(UNKNOWN));
        CpuShare { percent: u64::from(percent.max(1)), paid_at_ns: AtomicU64::new(0), averages_ns }
    }

    /// Lets work in at `now_ns`, charged in advance with what such work usually costs. None if its turn is too far and
    /// it has not begun: what has begun is paid for, and waits no longer than that.
    pub(super) fn admit(&self, kind: Kind, now_ns: u64, wanted_by_others: bool, has_begun: bool) -> Option<Admitted> {
        let average = self.average(kind);
        let advance_ns = average.map_or(0, ns);
        let is_short = average.is_none_or(|cost| cost < SHORT);
        let free_until_ns = now_ns.saturating_add(ns(BURST));
        let paid_at_ns = self.paid_at_ns.load(Ordering::Relaxed);
        // What was used while nobody else wanted to is forgotten.
        if !wanted_by_others && paid_at_ns > free_until_ns {
            self.paid_at_ns.fetch_min(free_until_ns, Ordering::Relaxed);
        }
        let owed_ns = if wanted_by_others && !is_short { paid_at_ns.saturating_sub(free_until_ns) } else { 0 };
        let owed = Duration::from_nanos(owed_ns);
        if owed > WAIT_MAX && !has_begun {
            return None;
        }
        self.add(now_ns, advance_ns);
        Some(Admitted { wait: owed.min(WAIT_MAX), advance_ns })
    }

    /// Charges what work has cost.
    pub(super) fn charge(&self, kind: Kind, now_ns: u64, cost: Duration) {
        let cost_ns = ns(cost).min(UNKNOWN - 1);
        self.add(now_ns, cost_ns);
        let average = &self.averages_ns[kind as usize];
        let before = average.load(Ordering::Relaxed);
        let after = if before == UNKNOWN { cost_ns } else { before - before / AVERAGE_OVER + cost_ns / AVERAGE_OVER };
        // Two threads may both have read `before`; an average that misses one cost is still an average.
        average.store(after, Ordering::Relaxed);
    }

    /// Gives back what was charged in advance.
    pub(super) fn give_back(&self, advance_ns: u64) {
        let less = self.scaled(advance_ns);
        let _ = self.paid_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| Some(at.saturating_sub(less)));
    }

    /// What work of this kind usually costs; none before the first.
    pub(super) fn average(&self, kind: Kind) -> Option<Duration> {
        let cost_ns = self.averages_ns[kind as usize].load(Ordering::Relaxed);
        (cost_ns != UNKNOWN).then(|| Duration::from_nanos(cost_ns))
    }

    fn add(&self, now_ns: u64, cost_ns: u64) {
        let more = self.scaled(cost_ns);
        let later = |at: u64| Some(at.max(now_ns).saturating_add(more));
        let _ = self.paid_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// How long the share needs to pay for this.
    fn scaled(&self, cost_ns: u64) -> u64 {
        cost_ns.saturating_mul(100) / self.percent
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Which plugins want the processors.
#[derive(Default)]
pub(super) struct Demand {
    /// The plugin that asked last, above the millisecond in which it did.
    last: AtomicU64,
    /// The millisecond in which a plugin other than that one asked last, and one more: 0 is never.
    other_ms: AtomicU64,
}

const MS_BITS: u32 = 44;

impl Demand {
    /// Notes that `plugin` wants to work at `now_ms`, and says whether another one has wanted to lately.
    pub(super) fn note(&self, plugin: u32, now_ms: u64) -> bool {
        let now = (u64::from(plugin) << MS_BITS) | (now_ms & ((1 << MS_BITS) - 1));
        let last = self.last.load(Ordering::Relaxed);
        if last == now {
            return self.is_recent(now_ms);
        }
        self.last.store(now, Ordering::Relaxed);
        // Nothing has asked before the first plugin did: plugins count from 1.
        if last >> MS_BITS != now >> MS_BITS && last != 0 {
            self.other_ms.store((last & ((1 << MS_BITS) - 1)) + 1, Ordering::Relaxed);
        }
        self.is_recent(now_ms)
    }

    fn is_recent(&self, now_ms: u64) -> bool {
        let other_ms = self.other_ms.load(Ordering::Relaxed);
        other_ms != 0 && now_ms < other_ms + WANTED_FOR_MS
    }
}

#[cfg(test)]
mod tests;
