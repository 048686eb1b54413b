//! Plugins as they are shown, and the question whether one could be loaded.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::AdminError;
use crate::{
    call::Operation,
    config::Config,
    plugin::{self, Adapter, Capabilities, Host, Kind, Registry, Renderer, Source, View},
};

const ADAPTER: &str = "adapter";
const RENDERER: &str = "renderer";

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
    /// How much of a request an adapter sees: `head` or `whole`. Empty for a renderer.
    pub view: String,
    /// The JSON Schema of an adapter's settings.
    pub config_schema: Option<Value>,
}

/// The plugins of a generation, adapters first.
pub fn shown(registry: &Registry) -> Vec<PluginShown> {
    let built_in = |name: &str, kind| plugin::builtins().any(|builtin| builtin.name == name && builtin.kind == kind);
    let adapters = registry
        .adapters()
        .map(|(name, adapter)| PluginShown { built_in: built_in(name, Kind::Adapter), ..of_adapter(name, adapter) });
    let renderers = registry.renderers().map(|(name, renderer)| PluginShown {
        built_in: built_in(name, Kind::Renderer),
        ..of_renderer(name, renderer)
    });
    adapters.chain(renderers).collect()
}

/// Every plugin that a gateway of this configuration loads: the built-in ones and the operator's.
///
/// Reads the operator's files, and refuses those that are not what the configuration says.
pub fn sources(config: &Config) -> Result<Vec<Source<'_>>, AdminError> {
    let mut sources: Vec<Source<'_>> = plugin::builtins().collect();
    for (name, user) in &config.plugins.user {
        let refused = |why: &str| AdminError::Plugin(format!("the plugin file `{}` {why}", user.file.display()));
        let bytes_max = config.plugins.sandbox.component_bytes_max;
        let wasm = read_bounded(&user.file, bytes_max).map_err(|error| refused(&format!("cannot be read: {error}")))?;
        if wasm.len() > bytes_max {
            return Err(refused(&format!("has more than {bytes_max} bytes")));
        }
        let hash = <[u8; 32]>::from(Sha256::digest(&wasm));
        if user.sha256.is_some_and(|expected| expected != hash) {
            return Err(refused("does not have the configured SHA-256"));
        }
        sources.push(Source { name, kind: user.kind, wasm: Cow::Owned(wasm), granted: user.capabilities });
    }
    Ok(sources)
}

/// A file's bytes, and one more than so many at most.
fn read_bounded(file: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Loads a component as what it turns out to be, and drops it again.
pub fn check(host: &Host, wasm: &[u8], granted: Capabilities) -> Result<PluginShown, AdminError> {
    let as_adapter = match host.load_adapter("checked", wasm, granted) {
        Ok(adapter) => return Ok(of_adapter(&adapter.description().name, &adapter)),
        Err(error) => error.to_string(),
    };
    match host.load_renderer("checked", wasm, granted) {
        Ok(renderer) => Ok(of_renderer(renderer.name(), &renderer)),
        // What is wrong with the file is wrong with it as either.
        Err(as_renderer) if as_renderer.to_string() == as_adapter => {
            Err(AdminError::Plugin(format!("it {as_adapter}")))
        }
        Err(as_renderer) => {
            Err(AdminError::Plugin(format!("as an adapter, it {as_adapter}; as a renderer, it {as_renderer}")))
        }
    }
}

fn of_adapter(name: &str, adapter: &Adapter) -> PluginShown {
    let description = adapter.description();
    let operation = |operation: &Operation| match operation {
        Operation::Chat => "chat".to_owned(),
        Operation::Embeddings => "embeddings".to_owned(),
    };
    let view = match description.view {
        View::Head => "head",
        View::Whole => "whole",
    };
    PluginShown {
        name: name.to_owned(),
        kind: ADAPTER.to_owned(),
        version: description.version.clone(),
        built_in: false,
        operations: description.operations.iter().map(operation).collect(),
        view: view.to_owned(),
        config_schema: serde_json::from_str(&description.config_schema).ok(),
    }
}

fn of_renderer(name: &str, renderer: &Renderer) -> PluginShown {
    PluginShown {
        name: name.to_owned(),
        kind: RENDERER.to_owned(),
        version: renderer.version().to_owned(),
        built_in: false,
        operations: Vec::new(),
        view: String::new(),
        config_schema: None,
    }
}
