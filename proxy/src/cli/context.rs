//! What every command works with.

use std::path::PathBuf;

/// Looks up a variable of the environment.
pub(super) type Env = fn(&str) -> Option<String>;

/// The variable of the master key.
pub(super) const MASTER_KEY: &str = "TOLLGATE_MASTER_KEY";

pub(super) struct Context {
    pub(super) env: Env,
    /// Gives free memory back to the system.
    pub(super) collect: fn(),
    /// The file that `--config` named, or the usual one if it is there.
    pub(super) config: Option<PathBuf>,
}

impl Context {
    /// The master key that the environment gives. Container tools pass a variable nobody gave as an empty one.
    pub(super) fn master_key(&self) -> Option<String> {
        (self.env)(MASTER_KEY).filter(|key| !key.is_empty())
    }
}
