//! Reading of large bodies, beside the threads that serve calls.

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::gateway::Gateway;

/// What is more than this is large, in bytes.
const LARGE_BYTES: usize = 256 << 10;

/// Does `scan`, which reads so many bytes: where they are many, so many scans at one time, while the worker's other calls
/// move on.
pub(super) async fn scan<R>(gateway: &Gateway, bytes: usize, scan: impl FnOnce() -> R) -> R {
    if bytes <= LARGE_BYTES {
        return scan();
    }
    let _place = gateway.large_scans.acquire().await;
    // A runtime of one thread has nowhere to move its other tasks to.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(scan),
        _ => scan(),
    }
}
