//! What every command works with.

use std::path::PathBuf;

/// Looks up a variable of the environment.
pub(super) type Env = fn(&str) -> Option<String>;

pub(super) struct Context {
    pub(super) env: Env,
    /// The file that `--config` named, or the usual one if it is there.
    pub(super) config: Option<PathBuf>,
}
