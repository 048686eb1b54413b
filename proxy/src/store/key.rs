//! The entry of a virtual key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limit::Caps;

/// A virtual key as it is stored: never the key itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// `key_…`; the account that limits and sums are kept under.
    pub id: String,
    pub name: String,
    /// Keyed hash of the key.
    pub hash: [u8; 32],
    /// The first characters of the key, for people to tell keys apart.
    pub prefix: String,
    /// Models the key may use; `*` is all of them.
    pub models: Vec<String>,
    pub caps: Caps,
    pub created_ms: u64,
    pub expires_ms: Option<u64>,
    pub revoked_ms: Option<u64>,
    /// The user that calls with this key are written down for; empty for none.
    pub user: String,
    pub origin: Origin,
}

/// Where a key was defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Config,
    Admin,
}

impl fmt::Debug for KeyEntry {
    /// Leaves the hash out: nothing derived from a key belongs in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
