//! Who there is: client keys, who holds them, and what each may do.
//!
//! Owns the rules of names that grant models, and the directory in which a call finds its key. A change to one key
//! touches that key alone, however many there are. Never reads a header, a clock, a file or a socket.

mod directory;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use directory::Directory;
pub use pattern::{Pattern, PatternError};

use crate::limit::{self, Caps};

/// The keyed hash that stands for a client's key: the text itself is nowhere kept.
pub type KeyHash = [u8; 32];

/// A client's key.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub hash: KeyHash,
    pub name: String,
    /// Who holds it; empty if nobody said.
    pub user: String,
    pub models: Vec<Pattern>,
    /// Unix milliseconds from which on the key is refused.
    pub expires_ms: Option<u64>,
    pub revoked: bool,
    pub account: Account,
}

/// What a key is to the limiter.
#[derive(Debug)]
pub struct Account {
    pub caps: Caps,
    /// The windows and holds, so that a call need not look them up.
    pub spending: Arc<limit::Account>,
}

impl Key {
    /// Whether this key may use the model of this name.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}
