//! `tollgate check`: whether a configuration is good.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::Path,
};

use tollgate::{
    config::{Config, Fault, ProviderKeys},
    server,
};

use super::{
    context::Context,
    load::{Examined, examine},
    sandbox::Sandbox,
};

pub(super) fn run(context: &Context) -> anyhow::Result<()> {
    let mut examined = examine(context)?;
    for fault in outside(&examined.config) {
        examined.push(fault);
    }
    add_plugins(&mut examined)?;
    let file = examined.file.clone();
    let text = format!("{} is good: {}", file.display(), summary(&examined.finish()?));
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// A fault for everything that the configuration names and that `serve` would refuse.
pub(super) fn outside(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    let dir = &config.server.data_dir;
    if dir.exists() && !dir.is_dir() {
        faults.push(config.fault("server.data_dir", format!("`{}` is not a directory", dir.display())));
    }
    let unreadable = |path: String, file: &Path| {
        let error = fs::read(file).err()?;
        Some(config.fault(path, format!("`{}` cannot be read: {error}", file.display())))
    };
    for (name, plugin) in &config.plugins.user {
        faults.extend(unreadable(format!("plugins.{name}.file"), &plugin.file));
    }
    if let Some(tls) = &config.server.tls {
        let (cert, key) = ("server.tls.cert".to_owned(), "server.tls.key".to_owned());
        let unread: Vec<Fault> = unreadable(cert, &tls.cert).into_iter().chain(unreadable(key, &tls.key)).collect();
        let unusable = if unread.is_empty() { server::check_tls(tls).err() } else { None };
        faults.extend(unread);
        faults.extend(unusable.map(|error| config.fault("server.tls.cert", error.to_string())));
    }
    faults
}

/// Loads what the configuration brings along for the sandbox, as `serve` would.
fn add_plugins(examined: &mut Examined) -> anyhow::Result<()> {
    let config = &examined.config;
    // Those that cannot be read are told of already, and the built-in ones alone are known to be good.
    let mut config = config.clone();
    config.plugins.user.retain(|_, plugin| fs::read(&plugin.file).is_ok());
    if config.plugins.user.is_empty() && config.templates.is_empty() {
        return Ok(());
    }
    for (path, message) in Sandbox::open(&config)?.faults() {
        examined.push(examined.config.fault(path, message));
    }
    Ok(())
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
