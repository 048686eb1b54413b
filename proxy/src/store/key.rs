//! The entry of a virtual key, and the changes of the table of them.

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
    /// The first characters of the key, for people to tell keys apart; none of a short one.
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

/// A change of the table of keys.
#[expect(clippy::large_enum_variant, reason = "nearly every change is a put")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChange {
    /// Adds the key, or replaces the one of its id.
    Put(KeyEntry),
    /// Removes the key of this id, if it is there.
    Remove(String),
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
