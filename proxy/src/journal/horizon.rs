//! Which wall clock may be trusted to call a row old.
//!
//! A clock that steps, or that was never set, must not cost a row that is young. So the wall clock counts only once
//! it has gone for an hour as evenly as the steady clock of the machine.

/// How far the two clocks may part before it is a step.
const STEP_MS: u64 = 60_000;
/// How long a clock must go evenly.
const EVEN_MS: u64 = 3_600_000;

/// The two clocks side by side.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    /// Wall and steady clock when the wall clock was first seen, or had last stepped.
    since: Option<(u64, u64)>,
}

impl Horizon {
    /// Looks at both clocks, in milliseconds. Returns the wall clock if it can be trusted.
    pub(super) fn trusted(&mut self, wall_ms: u64, steady_ms: u64) -> Option<u64> {
        let (from_wall_ms, from_steady_ms) = *self.since.get_or_insert((wall_ms, steady_ms));
        let passed_ms = steady_ms.saturating_sub(from_steady_ms);
        if from_wall_ms.saturating_add(passed_ms).abs_diff(wall_ms) > STEP_MS {
            self.since = Some((wall_ms, steady_ms));
            return None;
        }
        (passed_ms >= EVEN_MS).then_some(wall_ms)
    }
}
