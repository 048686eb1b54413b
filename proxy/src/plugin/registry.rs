//! The plugins of one generation, by name. Made whole and swapped whole; calls keep the generation they began with.

use std::{borrow::Cow, collections::BTreeMap};

use sha2::{Digest, Sha256};

use super::{Adapter, Capabilities, Host, LoadError, Renderer, settings::PLUGINS_MAX};

/// What a component is to be loaded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Adapter,
    Renderer,
}

/// A plugin to load.
pub struct Source<'a> {
    /// The operator's name for it, unique among its kind.
    pub name: &'a str,
    pub kind: Kind,
    pub wasm: Cow<'a, [u8]>,
    pub granted: Capabilities,
}

/// A plugin that was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{name}` {reason}")]
pub struct NotLoadedError {
    pub name: String,
    pub reason: LoadError,
}

/// One generation of plugins.
pub struct Registry {
    generation: u64,
    adapters: BTreeMap<String, Entry<Adapter>>,
    renderers: BTreeMap<String, Entry<Renderer>>,
}

struct Entry<P> {
    plugin: P,
    origin: Origin,
}

/// What makes two loads the same: the bytes and the grants.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Origin {
    wasm_sha256: [u8; 32],
    granted: Capabilities,
}

impl Registry {
    /// No plugins: generation 0.
    pub fn empty() -> Registry {
        Registry { generation: 0, adapters: BTreeMap::new(), renderers: BTreeMap::new() }
    }

    /// The generation after `self`, holding `sources` and nothing else. What did not change is kept, warm slots and
    /// all. Slow: compiles what is new.
    ///
    /// # Errors
    /// Every plugin that cannot be loaded; then there is no new generation.
    pub fn next<'a>(
        &self,
        host: &Host,
        sources: impl IntoIterator<Item = Source<'a>>,
    ) -> Result<Registry, Vec<NotLoadedError>> {
        let mut next = Registry { generation: self.generation + 1, ..Registry::empty() };
        let mut failed = Vec::new();
        for source in sources {
            let name = source.name.to_owned();
            if let Err(reason) = next.add(host, source, self) {
                failed.push(NotLoadedError { name, reason });
            }
        }
        if failed.is_empty() { Ok(next) } else { Err(failed) }
    }

    fn add(&mut self, host: &Host, source: Source<'_>, before: &Registry) -> Result<(), LoadError> {
        let Source { name, kind, wasm, granted } = source;
        if self.adapters.len() + self.renderers.len() >= PLUGINS_MAX {
            return Err(LoadError::Refused(format!("is one too many; there may be {PLUGINS_MAX}")));
        }
        let origin = Origin { wasm_sha256: Sha256::digest(&wasm).into(), granted };
        match kind {
            Kind::Adapter => {
                let load = || host.load_adapter(name, &wasm, granted);
                insert(&mut self.adapters, &before.adapters, name, origin, load)
            }
            Kind::Renderer => {
                let load = || host.load_renderer(name, &wasm, granted);
                insert(&mut self.renderers, &before.renderers, name, origin, load)
            }
        }
    }

    /// Counts generations from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn adapter(&self, name: &str) -> Option<&Adapter> {
        self.adapters.get(name).map(|entry| &entry.plugin)
    }

    pub fn renderer(&self, name: &str) -> Option<&Renderer> {
        self.renderers.get(name).map(|entry| &entry.plugin)
    }

    /// All adapters, by name.
    pub fn adapters(&self) -> impl Iterator<Item = (&str, &Adapter)> {
        self.adapters.iter().map(|(name, entry)| (name.as_str(), &entry.plugin))
    }

    /// All renderers, by name.
    pub fn renderers(&self) -> impl Iterator<Item = (&str, &Renderer)> {
        self.renderers.iter().map(|(name, entry)| (name.as_str(), &entry.plugin))
    }
}

fn insert<P: Clone>(
    plugins: &mut BTreeMap<String, Entry<P>>,
    before: &BTreeMap<String, Entry<P>>,
    name: &str,
    origin: Origin,
    load: impl FnOnce() -> Result<P, LoadError>,
) -> Result<(), LoadError> {
    if plugins.contains_key(name) {
        return Err(LoadError::Refused("is configured twice".to_owned()));
    }
    let plugin = match before.get(name).filter(|entry| entry.origin == origin) {
        Some(entry) => entry.plugin.clone(),
        None => load()?,
    };
    plugins.insert(name.to_owned(), Entry { plugin, origin });
    Ok(())
}
