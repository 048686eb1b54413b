//! `tollgate key`: making, listing and revoking client keys.

use std::io::{self, Write};

use anyhow::ensure;
use tollgate::{
    admin::{KeyList, KeyShown, NewKey},
    config::Config,
    limit::Caps,
};

use super::{
    administrator::Keys,
    args::{CreateArgs, KeyArgs, KeyCommand},
    backend,
    context::Context,
    duration::parse_end,
    load::load,
    offline::now_ms,
    table::{grouped, table},
};

pub(super) fn run(args: KeyArgs, context: &Context) -> anyhow::Result<()> {
    if let KeyCommand::Revoke { wanted } = &args.command {
        ensure!(!wanted.is_empty(), "name the key to revoke: its id or its name");
    }
    let config = load(context)?;
    let keys = backend::keys(&config, context)?;
    match args.command {
        KeyCommand::Create(args) => create(args, keys.as_ref(), &config),
        KeyCommand::List { json } => list(json, keys.as_ref()),
        KeyCommand::Revoke { wanted } => revoke(&wanted, keys.as_ref()),
    }
}

fn create(args: CreateArgs, keys: &dyn Keys, config: &Config) -> anyhow::Result<()> {
    let expires_ms = args.expires.map(|end| parse_end(&end, now_ms())).transpose()?;
    let new = NewKey {
        name: args.name,
        models: args.models,
        limits: Caps {
            tokens_per_day: args.tokens_per_day,
            tokens_per_month: args.tokens_per_month,
            tokens_total: args.tokens_total,
            requests_per_minute: args.requests_per_minute,
            concurrent: args.concurrent,
            money: None,
        },
        expires_ms,
        user: args.user,
    };
    let created = keys.create(new)?;
    let mut notes = io::stderr();
    for pattern in unmatched(&created.key.models, config) {
        // The key is made all the same: models may be added later.
        let _ = writeln!(notes, "note: `{pattern}` matches no model of the configuration");
    }
    let _ = writeln!(notes, "Made `{}` ({}). The key is shown once, here:", created.key.name, created.key.id);
    Ok(writeln!(io::stdout(), "{}", created.secret)?)
}

/// Patterns that match no model.
fn unmatched<'m>(patterns: &'m [String], config: &Config) -> Vec<&'m str> {
    let matches = |pattern: &str| {
        let parsed = tollgate::principal::Pattern::parse(pattern);
        pattern == "*" || parsed.is_ok_and(|parsed| config.models.keys().any(|model| parsed.matches(model)))
    };
    patterns.iter().map(String::as_str).filter(|pattern| !matches(pattern)).collect()
}

fn list(json: bool, keys: &dyn Keys) -> anyhow::Result<()> {
    let keys = keys.list()?;
    if json {
        return Ok(writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&KeyList { keys })?)?);
    }
    if keys.is_empty() {
        return Ok(writeln!(io::stdout(), "There are no keys. Make one: tollgate key create --name app")?);
    }
    Ok(io::stdout().write_all(shown(&keys).as_bytes())?)
}

fn shown(keys: &[KeyShown]) -> String {
    let mut lines = vec![["ID", "NAME", "KEY", "STATE", "EXPIRES", "MODELS", "LIMITS"].map(str::to_owned).to_vec()];
    lines.extend(keys.iter().map(|key| {
        vec![
            key.id.clone(),
            key.name.clone(),
            format!("{}...", key.prefix),
            key.state.as_str().to_owned(),
            key.expires.clone().unwrap_or_else(|| "never".to_owned()),
            key.models.join(","),
            limits(&key.limits),
        ]
    }));
    table(&lines, &[])
}

/// The caps in a few words: `100 000 tokens/day, 60 calls/min`.
pub(super) fn limits(caps: &Caps) -> String {
    let limits = [
        (caps.tokens_per_day, "tokens/day"),
        (caps.tokens_per_month, "tokens/month"),
        (caps.tokens_total, "tokens in all"),
        (caps.requests_per_minute.map(u64::from), "calls/min"),
        (caps.concurrent.map(u64::from), "at once"),
    ];
    let limits: Vec<String> =
        limits.into_iter().filter_map(|(cap, unit)| Some(format!("{} {unit}", grouped(cap?)))).collect();
    if limits.is_empty() { "none".to_owned() } else { limits.join(", ") }
}

fn revoke(wanted: &str, keys: &dyn Keys) -> anyhow::Result<()> {
    let revoked = keys.revoke(wanted)?;
    for key in &revoked.keys {
        writeln!(io::stdout(), "Revoked `{}` ({}).", key.name, key.id)?;
    }
    if !revoked.durable {
        // The key is revoked all the same, whether or not anybody reads this.
        let _ = writeln!(io::stderr(), "note: the disk did not take it yet: the gateway writes it as soon as it can");
    }
    Ok(())
}
