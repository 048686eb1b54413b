//! What the operator meant: text → meaning.
//!
//! `written` walks the file key by key and knows spelling and types; the modules beside it give each table its
//! meaning, in that room's own settings where it has some. Every fault is reported at once, with its path.
//! Invariant: building a `Config` opens no file, no socket, no store and no component.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{journal, store};

mod fault;
mod key;
mod ledgers;
mod limits;
mod model;
mod plugins;
mod price;
mod provider;
mod rfc3339;
mod server;
mod template;
#[cfg(test)]
mod tests;
mod url;
mod variables;
mod written;

pub use fault::{ConfigError, Fault};
pub use key::{ClientKey, Key};
pub use limits::Limits;
pub use model::{Model, Target};
pub use plugins::{Plugins, UserPlugin};
pub use provider::{Backoff, Http2, Provider, ProviderKeys, Retries, Retry};
pub use rfc3339::{format_rfc3339, parse_rfc3339};
pub use server::{Log, LogFormat, Server, Tls};
pub use template::{Role, Template};
pub use url::{BaseUrl, BaseUrlError};

use written::{Located, Reading, Section};

/// Everything that the operator meant, references resolved.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub log: Log,
    pub limits: Limits,
    pub ledger: journal::Settings,
    pub store: store::Settings,
    pub plugins: Plugins,
    /// A file of prices to be read and given to [`Config::add_prices`], relative to the file that names it.
    pub prices_file: Option<PathBuf>,
    pub providers: BTreeMap<String, Provider>,
    pub models: BTreeMap<String, Model>,
    pub keys: BTreeMap<String, Key>,
    pub templates: BTreeMap<String, Template>,
    /// The line of each value that stands in the file, by its path.
    lines: BTreeMap<String, usize>,
}

/// Reads a configuration. `env` looks up the variables that `${NAME}` names.
///
/// A provider whose keys are all unset variables is no fault, it is [`ProviderKeys::Unset`]; a client key that is
/// one is [`ClientKey::Generate`]. An unset variable anywhere else is a fault.
pub fn build(text: &str, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let (config, faults) = examine(text, env);
    if faults.0.is_empty() { Ok(config) } else { Err(faults) }
}

/// As [`build`], with what could be read beside the faults, so that whoever looks further finds more of them.
pub fn examine(text: &str, env: impl Fn(&str) -> Option<String>) -> (Config, ConfigError) {
    let (reading, table) = Reading::new(text, &env);
    let mut config = read(reading.root(&table));
    let (faults, lines) = reading.finish();
    config.lines = lines;
    (config, faults)
}

fn read(root: Section<'_, '_>) -> Config {
    let plugins = plugins::read(&root);
    let limits = limits::read(&root);
    let providers = Named::read(&root, "providers", |name, section| provider::read(name, section, &plugins));
    let models = Named::read(&root, "models", |name, section| model::read(name, section, &providers.names, &limits));
    let prices = root.section("prices");
    let prices_file = prices.text("file").map(|at| PathBuf::from(at.value));
    prices.finish();
    let keys = Named::read(&root, "keys", |name, section| key::read(name, section, &models.names));
    key::check_apart(&keys.entries, &root);
    let templates = Named::read(&root, "templates", |name, section| template::read(name, section, &plugins));
    let (ledger, store) = ledgers::read(&root, &limits);
    let config = Config {
        server: server::read(&root),
        log: server::read_log(&root),
        limits,
        ledger,
        store,
        plugins,
        prices_file,
        providers: providers.entries,
        models: models.entries,
        keys: keys.entries.into_iter().map(|(name, at)| (name, at.value)).collect(),
        templates: templates.entries,
        lines: BTreeMap::new(),
    };
    root.finish();
    config
}

impl Config {
    /// Gives a price to every target that has none of its own, from the text of a price file.
    ///
    /// The file has one table per model of a provider, `[prices."gpt-4o"]`; a name may end in `*`, and of several
    /// that match, the longest counts.
    pub fn add_prices(&mut self, text: &str) -> Result<(), ConfigError> {
        let unset = |_: &str| None;
        let (reading, table) = Reading::new(text, &unset);
        let prices = price::read_file(reading.root(&table));
        let (faults, _) = reading.finish();
        if !faults.0.is_empty() {
            return Err(faults);
        }
        for target in self.models.values_mut().flat_map(|model| &mut model.targets) {
            if target.price.is_none() {
                target.price = price::find(&prices, &target.model);
            }
        }
        Ok(())
    }

    /// A fault that shows outside of the file, at the value of this path.
    pub fn fault(&self, path: impl Into<String>, message: impl Into<String>) -> Fault {
        let path = path.into();
        // Names are quoted where they need it, and may be quoted where they do not.
        let is_it = |known: &&String| known.replace('"', "") == path.replace('"', "");
        let line =
            self.lines.get(&path).or_else(|| self.lines.keys().find(is_it).and_then(|known| self.lines.get(known)));
        Fault { line: line.copied().unwrap_or(0), path, message: message.into() }
    }

    /// The providers whose keys are unset variables, in the order of their names.
    pub fn lacking_keys(&self) -> impl Iterator<Item = (&str, &Provider)> {
        self.providers.iter().filter(|(_, provider)| provider.lacks_keys()).map(|(name, it)| (name.as_str(), it))
    }
}

/// The tables under one heading, each with a name of its own.
struct Named<T> {
    /// Those that could be read.
    entries: BTreeMap<String, T>,
    /// All of them: a reference to a table with a fault in it is not a fault again.
    names: BTreeSet<String>,
}

impl<T> Named<T> {
    fn read<'r, 't>(
        root: &Section<'r, 't>,
        heading: &str,
        mut read: impl FnMut(&Located<String>, Section<'r, 't>) -> Option<T>,
    ) -> Named<T> {
        let section = root.section(heading);
        let mut named = Named { entries: BTreeMap::new(), names: BTreeSet::new() };
        for (name, entry) in section.named() {
            let at = entry.at().with(name.clone());
            if let Some(read) = read(&at, entry) {
                named.entries.insert(name.clone(), read);
            }
            named.names.insert(name);
        }
        section.finish();
        named
    }
}
