//! The bodies of all requests of a listener together: what each holds is counted while it arrives, while it is decoded
//! and until its request has been answered; and how many are decoded at one time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bound on the bodies that are held at one time.
pub(super) struct Bodies {
    held_bytes: AtomicUsize,
    bytes_max: usize,
    decoding: Arc<Semaphore>,
}

/// What one request holds. Given back when dropped.
pub(super) struct Held {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Bodies {
    pub(super) fn new(bytes_max: usize, decoding_max: usize) -> Arc<Self> {
        let decoding = Arc::new(Semaphore::new(decoding_max));
        Arc::new(Bodies { held_bytes: AtomicUsize::new(0), bytes_max, decoding })
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

    /// Holds `bytes` less, of those that were added.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.bodies.held_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.bytes -= bytes;
    }

    /// What is held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Waits until a large body may be decoded. Those that wait are served in their order.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        self.bodies.decoding.clone().acquire_owned().await.expect("nobody closes the places")
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
        let bodies = Bodies::new(100, 1);
        let (mut one, mut other) = (bodies.hold(), bodies.hold());
        assert!(one.add(60) && other.add(40));
        assert!(!one.add(1));
        one.give_back(40);
        assert!(!other.add(41) && other.add(40));
        drop(one);
        assert!(other.add(20) && !other.add(1));
        drop(other);
        assert_eq!(bodies.held_bytes.load(Ordering::Relaxed), 0);
    }
}
