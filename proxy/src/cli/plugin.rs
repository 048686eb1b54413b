//! `tollgate plugin`: what is loaded, and what could be.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context as _;
use tollgate::{
    admin::{PluginList, PluginShown},
    config::{self, Config},
    plugin::Capabilities,
};

use super::{
    administrator::Plugins,
    args::{PluginArgs, PluginCommand},
    backend,
    context::Context,
    load::load,
    table::table,
};

pub(super) fn run(args: PluginArgs, context: &Context) -> anyhow::Result<()> {
    let config = configured(context)?;
    let plugins = backend::plugins(&config)?;
    match args.command {
        PluginCommand::List { json } => list(json, plugins.as_ref()),
        PluginCommand::Check { file, capabilities } => check(&file, &capabilities, plugins.as_ref(), &config),
    }
}

/// Whoever writes a plugin need not have a configuration.
fn configured(context: &Context) -> anyhow::Result<Config> {
    match context.config {
        Some(_) => load(context),
        None => config::build("", context.env).context("an empty configuration means the defaults"),
    }
}

fn list(json: bool, plugins: &dyn Plugins) -> anyhow::Result<()> {
    let plugins = plugins.list()?;
    if json {
        return Ok(writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&PluginList { plugins })?)?);
    }
    let mut lines = vec![["NAME", "KIND", "VERSION", "FROM", "DOES", "SEES"].map(str::to_owned).to_vec()];
    lines.extend(plugins.iter().map(line));
    Ok(io::stdout().write_all(table(&lines, &[]).as_bytes())?)
}

fn line(plugin: &PluginShown) -> Vec<String> {
    let sees = match plugin.view.as_str() {
        "" => "a template",
        "head" => "requests without their messages",
        _ => "whole requests",
    };
    vec![
        plugin.name.clone(),
        plugin.kind.clone(),
        plugin.version.clone(),
        if plugin.built_in { "built in" } else { "a file" }.to_owned(),
        if plugin.operations.is_empty() { "render".to_owned() } else { plugin.operations.join(", ") },
        sees.to_owned(),
    ]
}

fn check(file: &Path, capabilities: &[String], plugins: &dyn Plugins, config: &Config) -> anyhow::Result<()> {
    let has = |name: &str| capabilities.iter().any(|given| given == name);
    let granted = Capabilities { log: has("log"), sign: has("sign"), tokenize: has("tokenize") };
    let cannot = || format!("cannot read `{}`", file.display());
    let bytes = fs::metadata(file).with_context(cannot)?.len();
    let bytes_max = config.plugins.sandbox.component_bytes_max;
    anyhow::ensure!(
        bytes <= bytes_max as u64,
        "`{}` has {bytes} bytes; a component may have {bytes_max}",
        file.display()
    );
    let wasm = fs::read(file).with_context(cannot)?;
    let plugin = plugins.check(&wasm, granted).with_context(|| format!("`{}` is refused", file.display()))?;
    let article = if plugin.kind.starts_with('a') { "an" } else { "a" };
    Ok(writeln!(
        io::stdout(),
        "`{}` is {article} {}: {} {}, {}.",
        file.display(),
        plugin.kind,
        plugin.name,
        plugin.version,
        if plugin.operations.is_empty() {
            "for templates".to_owned()
        } else {
            format!("for {}, sees {}", plugin.operations.join(" and "), line(&plugin)[5])
        }
    )?)
}
