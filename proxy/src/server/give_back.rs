//! Memory given back to the system when the load has fallen.
//!
//! An allocator keeps what was freed for whatever comes next, each thread for itself, and gives it back only while it is
//! used. A gateway whose load is over would keep the memory of its busiest moment.

use std::{sync::Arc, time::Duration};

use crate::gateway::Gateway;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many quiet looks memory is given back: soon; when idle threads have ended and tables were forgotten; and twice
/// more what late work has left.
const QUIET_LOOKS: [u32; 4] = [3, 13, 25, 65];
/// Tasks that give back for each thread: a thread may take more than one of them.
const TASKS_PER_THREAD: usize = 4;

/// Gives memory back when calls become few.
pub(super) struct GiveBack {
    pub(super) gateway: Arc<Gateway>,
    /// Threads of the runtime that [`GiveBack::run`] is called on.
    pub(super) threads: usize,
    /// Gives back what the calling thread holds free, and what no thread holds.
    pub(super) collect: fn(),
}

impl GiveBack {
    /// Looks at the load, and never ends.
    pub(super) async fn run(&self) {
        // The start is a load as well.
        let mut load = Load { peak: 1, quiet_looks: 0 };
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if load.has_fallen(self.gateway.in_flight()) {
                let collect = self.collect;
                for _ in 0..self.threads * TASKS_PER_THREAD {
                    tokio::spawn(async move { collect() });
                }
                // Also on a thread that serves no call, which holds what was freed beside the workers.
                tokio::task::spawn_blocking(collect);
            }
        }
    }
}

/// The calls in flight, as far as they tell when memory is to be given back.
#[derive(Debug, Default)]
struct Load {
    /// The most that were seen since the load last fell.
    peak: u64,
    /// Looks that have found few calls, one after another.
    quiet_looks: u32,
}

impl Load {
    /// Takes the calls that are in flight now. Whether memory is to be given back.
    fn has_fallen(&mut self, in_flight: u64) -> bool {
        if in_flight > self.peak / 4 {
            *self = Load { peak: self.peak.max(in_flight), quiet_looks: 0 };
            return false;
        }
        self.quiet_looks = self.quiet_looks.saturating_add(1);
        let is_due = self.peak > 0 && QUIET_LOOKS.contains(&self.quiet_looks);
        if is_due && Some(&self.quiet_looks) == QUIET_LOOKS.last() {
            self.peak = in_flight;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The looks at which memory is given back, of a load second by second.
    fn looks(load: impl IntoIterator<Item = u64>) -> Vec<usize> {
        let mut seen = Load::default();
        load.into_iter().enumerate().filter(|(_, in_flight)| seen.has_fallen(*in_flight)).map(|(at, _)| at).collect()
    }

    #[test]
    fn memory_is_given_back_when_the_load_is_over_and_not_again_and_again() {
        let over = [0, 5, 9].into_iter().chain(std::iter::repeat_n(0, 200));
        assert_eq!(looks(over), [5, 15, 27, 67]);
    }

    #[test]
    fn a_load_that_goes_on_keeps_its_memory() {
        assert_eq!(looks([30, 10, 30, 7, 7, 30, 8, 8, 8, 8]), [0usize; 0]);
        assert_eq!(looks(std::iter::repeat_n(0, 100)), [0usize; 0], "nothing was used, nothing is given back");
    }

    #[test]
    fn a_load_that_falls_to_a_quarter_gives_back_as_well() {
        assert_eq!(looks([100, 25, 25, 25, 25]), [3]);
    }
}
