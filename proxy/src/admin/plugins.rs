//! Plugins as they are shown.

use serde::{Deserialize, Serialize};

/// A plugin that is loaded, or could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginShown {
    /// The operator's name for it; the plugin's own where it is only checked.
    pub name: String,
    /// `adapter` or `renderer`.
    pub kind: String,
    /// What the plugin says of itself.
    pub version: String,
    pub built_in: bool,
    /// What an adapter can do: `chat`, `embeddings`.
    pub operations: Vec<String>,
    /// How much of a request an adapter sees: `head` or `whole`; empty for a renderer.
    pub view: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub sha256: String,
}
