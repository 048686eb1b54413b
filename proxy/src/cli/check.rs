//! `tollgate check`: whether a configuration is good.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use tollgate::config::{Config, ConfigError, Fault, ProviderKeys};

use super::{
    context::Context,
    load::{FaultyConfigError, load},
};

pub(super) fn run(context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    let file = context.config.clone().unwrap_or_default();
    let faults = ConfigError(unreadable(&config));
    if !faults.0.is_empty() {
        return Err(FaultyConfigError { file, faults }.into());
    }
    let text = format!("{} is good: {}", file.display(), summary(&config));
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// A fault for every file that the configuration names and nobody can read.
pub(super) fn unreadable(config: &Config) -> Vec<Fault> {
    let mut files = Vec::new();
    for (name, plugin) in &config.plugins.user {
        files.push((format!("plugins.{name}.file"), &plugin.file));
    }
    if let Some(tls) = &config.server.tls {
        files.push(("server.tls.cert".to_owned(), &tls.cert));
        files.push(("server.tls.key".to_owned(), &tls.key));
    }
    let fault = |(path, file): (String, &PathBuf)| {
        let error = File::open(file).err()?;
        Some(Fault { path, line: 0, message: format!("`{}` cannot be read: {error}", file.display()) })
    };
    files.into_iter().filter_map(fault).collect()
}

/// What the configuration amounts to, and what its author may have overlooked.
pub(super) fn summary(config: &Config) -> String {
    let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "{}, {}, {}, {}\n",
        count(config.providers.len(), "provider"),
        count(config.models.len(), "model"),
        count(config.keys.len(), "client key"),
        count(config.templates.len(), "template"),
    );
    for (name, provider) in config.lacking_keys() {
        if let ProviderKeys::Unset(variables) = &provider.keys {
            let _ = writeln!(text, "note: provider `{name}` has no key, because {}", unset(variables));
        }
    }
    for (name, model) in &config.models {
        if model.targets.iter().any(|target| target.price.is_none()) {
            let _ = writeln!(text, "note: model `{name}` has no price; what it uses is reported as unpriced");
        }
    }
    text
}

/// `A is not set`, `A and B are not set`.
pub(super) fn unset(variables: &[String]) -> String {
    let verb = if variables.len() == 1 { "is" } else { "are" };
    format!("{} {verb} not set", variables.join(" and "))
}
