//! Patience with whoever is about to leave.

use std::time::Duration;

/// The longest that a process which is just ending takes to let go of the store.
const WAIT_MS: u64 = 1_000;
/// Pause between two attempts.
const RETRY_MS: u64 = 5;

/// Tries again, for a bounded time, what may fail because somebody is about to leave.
pub(super) fn patiently<T, E>(mut attempt: impl FnMut() -> Result<T, E>, passes: impl Fn(&E) -> bool) -> Result<T, E> {
    for _ in 0..WAIT_MS / RETRY_MS {
        match attempt() {
            Err(error) if passes(&error) => std::thread::park_timeout(Duration::from_millis(RETRY_MS)),
            result => return result,
        }
    }
    attempt()
}
