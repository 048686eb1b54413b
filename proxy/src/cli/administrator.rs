//! What an administrator may do, whoever does it: the running gateway, or this process with its store.

use tollgate::{
    admin::{Created, KeyShown, KeyUsage, NewKey, PluginShown, RevokedShown},
    plugin::Capabilities,
};

/// What an administrator may do with keys.
pub(super) trait Keys {
    fn list(&self) -> anyhow::Result<Vec<KeyShown>>;
    fn create(&self, new: NewKey) -> anyhow::Result<Created>;
    /// The key of this id, or every active key of this name.
    fn revoke(&self, wanted: &str) -> anyhow::Result<RevokedShown>;
    fn usage(&self) -> anyhow::Result<Vec<KeyUsage>>;
}

/// What an administrator may do with plugins.
pub(super) trait Plugins {
    fn list(&self) -> anyhow::Result<Vec<PluginShown>>;
    fn check(&self, wasm: &[u8], granted: Capabilities) -> anyhow::Result<PluginShown>;
}
