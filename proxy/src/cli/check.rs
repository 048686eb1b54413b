//! `tollgate check`: whether a configuration is good.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::anyhow;
use tollgate::config::{Config, ProviderKeys};

use super::Context;
use super::load::load;

pub(super) fn run(context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    files(&config)?;
    let file = context.config.as_deref().unwrap_or(Path::new("")).display();
    let text = format!("{file} is good: {}", summary(&config));
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Complains about every file that the configuration names and nobody can read.
fn files(config: &Config) -> anyhow::Result<()> {
    let plugins = config.plugins.user.values().map(|plugin| &plugin.file);
    let authorities = config.providers.values().filter_map(|provider| provider.ca_file.as_ref());
    let tls = config.server.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]);
    let unreadable: Vec<String> = plugins
        .chain(authorities)
        .chain(tls)
        .filter_map(|file| Some(format!("`{}`: {}", file.display(), File::open(file).err()?)))
        .collect();
    if unreadable.is_empty() { Ok(()) } else { Err(anyhow!("files cannot be read:\n{}", unreadable.join("\n"))) }
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
    for (name, provider) in config.keyless() {
        if let ProviderKeys::Unset(variables) = &provider.keys {
            let variables = variables.join(" and ");
            let _ = writeln!(text, "note: provider `{name}` has no key, because {variables} is not set");
        }
    }
    for (name, model) in &config.models {
        if model.targets.iter().any(|target| target.price.is_none()) {
            let _ = writeln!(text, "note: model `{name}` has no price; what it uses is reported as unpriced");
        }
    }
    text
}
