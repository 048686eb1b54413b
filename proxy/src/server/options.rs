//! What a process is given.

use std::path::PathBuf;

/// What a process is given by whoever starts it, beside its configuration.
pub struct ServeOptions {
    /// The variable `TOLLGATE_MASTER_KEY`.
    pub master_key: Option<String>,
    /// The program that compiles plugins when called with `compile-plugin`: this one.
    pub program: PathBuf,
    /// Gives back to the system the memory that the calling thread holds free, and what no thread holds.
    pub collect: fn(),
    /// Whether providers without a key are served by fakes on loopback.
    pub fakes: bool,
}
