//! The bodies of all requests of a listener together: what each holds is counted while it arrives and until its request
//! has been answered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bound on the bodies that are held at one time.
pub(super) struct Bodies {
    held_bytes: AtomicUsize,
    bytes_max: usize,
}

/// What one request holds. Given back when dropped.
pub(super) struct Held {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Bodies { held_bytes: AtomicUsize::new(0), bytes_max })
    }

    /// A request that holds nothing so far.
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        Held { bodies: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Holds `bytes` more. False, and nothing changes, where there is no room for them.
    #[must_use]
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let all = self.bodies.held_bytes.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        let fits = all <= self.bodies.bytes_max;
        if fits {
            self.bytes += bytes;
        } else {
            self.bodies.held_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
        fits
    }

    /// Holds `bytes` and no more. False, and nothing changes, where there is no room for what is added.
    #[must_use]
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            return self.add(bytes - self.bytes);
        }
        self.bodies.held_bytes.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.bodies.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_room_together_and_give_it_back() {
        let bodies = Bodies::new(100);
        let (mut one, mut other) = (bodies.hold(), bodies.hold());
        assert!(one.add(60) && other.add(40));
        assert!(!one.add(1));
        assert!(one.set(20), "what became smaller always fits");
        assert!(!other.set(81) && other.set(80));
        drop(one);
        assert!(other.add(20) && !other.add(1));
        drop(other);
        assert_eq!(bodies.held_bytes.load(Ordering::Relaxed), 0);
    }
}
