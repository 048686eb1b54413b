//! Who may have an instance now: a count that never passes the pool's size, so that a full pool is an answer and
//! not an error.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The permits of one engine.
pub(super) struct Permits {
    taken: AtomicU32,
    max: u32,
}

impl Permits {
    pub(super) fn new(max: u32) -> Arc<Permits> {
        Arc::new(Permits { taken: AtomicU32::new(0), max })
    }

    /// A permit, unless all are taken. Never waits.
    pub(super) fn take(self: &Arc<Permits>) -> Option<Permit> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok()?;
        Some(Permit(Arc::clone(self)))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The right to one instance; must outlive the instance's store.
pub(super) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
