//! Changing the gateway while it runs: keys, usage and plugins over REST.
//!
//! Owns the paths, the bodies and the rules of what an administrator may ask; the gateway behind `Control` does it.
//! The same rules serve the command line, with and without a running gateway.
//! Invariant: no answer shows a secret, but for the one that answers the creation of a key.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{journal::Revoked, plugin::Capabilities, secret::Secret, store::KeyEntry};

mod keys;
mod live;
mod plugins;
mod refused;
mod routes;
#[cfg(test)]
mod tests;
mod usage;

pub use keys::{KeyShown, KeyState, NewKey, RevokedShown, new_key};
pub use live::LiveControl;
pub use plugins::{PluginShown, check, shown, sources};
pub use refused::{AdminError, Refusal};
pub use routes::{Created, KeyList, PluginList, UsageList, router};
pub use usage::{ChargeShown, KeyUsage, Used, usage_of};

/// What an administrator may do. Each call may wait for the disk: not for an async thread.
pub trait Control: Send + Sync {
    fn list_keys(&self) -> Vec<Arc<KeyEntry>>;
    /// Makes a key that the next call may use. The secret is not kept and cannot be had again.
    fn create_key(&self, new: NewKey) -> Result<(KeyEntry, Secret), AdminError>;
    /// Revokes the key of this id, or every active key of this name, before the next call.
    fn revoke_keys(&self, wanted: &str) -> Result<Revoked, AdminError>;
    /// What each key has used, in the order of their names.
    fn usage(&self) -> Result<Vec<KeyUsage>, AdminError>;
    /// The plugins of the running generation.
    fn plugins(&self) -> Result<Vec<PluginShown>, AdminError>;
    /// Loads a component as it would be loaded with these grants, and drops it again.
    fn check_plugin(&self, wasm: Bytes, granted: Capabilities) -> Result<PluginShown, AdminError>;
    fn health(&self) -> Health;
    fn now_ms(&self) -> u64;
}

/// How the gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or why no calls are taken, or what else is wrong.
    pub status: String,
    pub version: String,
    pub calls_in_flight: u64,
    /// Rows that are not yet in the store.
    pub ledger_lag_rows: u64,
    /// Rows of refused calls lost since the start, because the disk took none.
    pub ledger_lost_rows: u64,
}

/// What the admin API needs.
#[derive(Clone)]
struct AdminState {
    control: Arc<dyn Control>,
    token: Arc<Secret>,
}
