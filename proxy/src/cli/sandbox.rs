//! No gateway runs: plugins are loaded here, in a sandbox of their own.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use tollgate::{
    admin::{self, PluginShown},
    config::Config,
    metrics::{Bounds, Metrics},
    plugin::{Capabilities, Compiler, Host, Registry},
    secret::fill_from_system,
    snapshot,
};

use super::administrator::Plugins;

/// The hidden command by which this program compiles a plugin.
const COMPILE: &str = "compile-plugin";

pub(super) struct Sandbox<'c> {
    config: &'c Config,
    host: Host,
    /// Removed afterwards: without a data directory there is nowhere to keep compiled code.
    scratch: Option<PathBuf>,
}

impl<'c> Sandbox<'c> {
    pub(super) fn open(config: &'c Config) -> anyhow::Result<Sandbox<'c>> {
        let program =
            std::env::current_exe().context("cannot find the program that compiles plugins, which is this one")?;
        let compiler = Compiler::Process { program, args: vec![COMPILE.to_owned()] };
        let scratch = (!config.server.data_dir.is_dir()).then(scratch_dir);
        let cache = scratch.clone().unwrap_or_else(|| config.server.plugin_cache_dir());
        let host = Host::new(config.plugins.sandbox.clone(), &cache, compiler, Arc::new(()), Arc::new(()))?;
        Ok(Sandbox { config, host, scratch })
    }
}

impl Sandbox<'_> {
    /// What is wrong with the plugins and templates of the configuration, each with its path.
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        for name in self.config.plugins.user.keys() {
            let mut alone = self.config.clone();
            alone.plugins.user.retain(|other, _| other == name);
            if let Err(message) = self.load(&alone, |loaded| loaded == name) {
                faults.push((format!("plugins.{name}.file"), message));
            }
        }
        // Templates of a plugin that does not load are no faults of their own.
        let mut config = self.config.clone();
        config.models.clear();
        if faults.is_empty()
            && let Ok(registry) = self.load(&config, |_| true)
        {
            let metrics = Metrics::new("", Bounds::default());
            let assembled = snapshot::assemble(&config, &registry, &metrics, 0).err().unwrap_or_default();
            faults.extend(assembled.into_iter().map(|fault| (format!("{}.source", fault.path), fault.what)));
        }
        faults
    }

    /// Loads those plugins of `config` that are wanted.
    fn load(&self, config: &Config, wanted: impl Fn(&str) -> bool) -> Result<Registry, String> {
        let sources = admin::sources(config).map_err(|error| error.to_string())?;
        let sources = sources.into_iter().filter(|source| wanted(source.name)).collect::<Vec<_>>();
        Registry::empty().next(&self.host, sources).map_err(|failed| {
            let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
            failed.join(", ")
        })
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        if let Some(dir) = &self.scratch {
            // What cannot be removed now is the system's to clean up.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

impl Plugins for Sandbox<'_> {
    fn list(&self) -> anyhow::Result<Vec<PluginShown>> {
        let registry = Registry::empty().next(&self.host, admin::sources(self.config)?);
        let registry = registry.map_err(|failed| {
            let failed: Vec<String> = failed.iter().map(ToString::to_string).collect();
            anyhow!(failed.join("\n"))
        })?;
        Ok(admin::shown(&registry))
    }

    fn check(&self, wasm: &[u8], granted: Capabilities) -> anyhow::Result<PluginShown> {
        Ok(admin::check(&self.host, wasm, granted)?)
    }
}

fn scratch_dir() -> PathBuf {
    let mut random = [0; 8];
    fill_from_system(&mut random);
    std::env::temp_dir().join(format!("tollgate-{:016x}", u64::from_be_bytes(random)))
}
