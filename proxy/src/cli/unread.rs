//! Output that nobody reads to its end.

use std::io;

/// Whether the reader of our output has gone, as in `tollgate key list | head -1`.
pub(super) fn is_unread(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}
