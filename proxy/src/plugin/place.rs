//! Places: how many instances of one engine there may be at one time, so that a full pool is an answer and not an
//! error. Single calls and streams have places of their own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The places of one engine.
pub(super) struct Places {
    taken: AtomicU32,
    max: u32,
}

impl Places {
    pub(super) fn new(max: u32) -> Arc<Places> {
        Arc::new(Places { taken: AtomicU32::new(0), max })
    }

    /// A place, unless all are taken. Never waits.
    pub(super) fn take(self: &Arc<Places>) -> Option<Place> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(self)))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The right to one instance. It must outlive the instance's store.
pub(super) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
