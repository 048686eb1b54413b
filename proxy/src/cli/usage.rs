//! `tollgate usage`: what each key has used.

use std::io::{self, Write};

use tollgate::admin::{KeyUsage, UsageList};

use super::{
    args::UsageArgs,
    backend,
    context::Context,
    key,
    load::load,
    table::{grouped, table},
};

pub(super) fn run(args: UsageArgs, context: &Context) -> anyhow::Result<()> {
    let config = load(context)?;
    let usage = backend::keys(&config, context)?.usage()?;
    let text = if args.json {
        serde_json::to_string_pretty(&UsageList { usage })? + "\n"
    } else if usage.is_empty() {
        "There are no keys, and so no usage.\n".to_owned()
    } else {
        shown(&usage)
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

pub(super) fn shown(usage: &[KeyUsage]) -> String {
    let headings = ["NAME", "STATE", "CALLS", "ERRORS", "INPUT", "OUTPUT", "TODAY", "CHARGE", "LIMITS"];
    let mut lines = vec![headings.map(str::to_owned).to_vec()];
    lines.extend(usage.iter().map(|key| {
        vec![
            key.name.clone(),
            key.state.as_str().to_owned(),
            grouped(key.calls),
            grouped(key.errors),
            grouped(key.input_tokens),
            grouped(key.output_tokens),
            grouped(key.used.tokens_today),
            charge(key),
            key::limits(&key.limits),
        ]
    }));
    table(&lines, &[2, 3, 4, 5, 6])
}

/// What was charged, and whether that is all of it.
fn charge(key: &KeyUsage) -> String {
    let mut parts: Vec<String> =
        key.charges.iter().map(|charge| format!("{} {}", charge.amount, charge.currency)).collect();
    if key.unpriced_calls > 0 {
        parts.push(format!("{} calls unpriced", grouped(key.unpriced_calls)));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(" + ") }
}
