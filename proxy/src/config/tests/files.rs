//! Every file in `config/` means what it says.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::*;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The reference with every key set: lines that begin with `#` and no space are keys.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    read("reference.toml").lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_file_loads() {
    let mut names: Vec<String> = std::fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert_eq!(names, ["prices.toml", "reference.toml", "tollgate.toml"], "say below how a new file is read");
    config(&read("reference.toml"));
    let mut config = config(&read("tollgate.toml"));
    config.add_prices(&read("prices.toml")).unwrap_or_else(|faults| panic!("{faults}"));
}

#[test]
fn the_short_file_says_what_the_readme_shows() {
    let config = config(&read("tollgate.toml"));
    assert_eq!(config.lacking_keys().map(|(name, _)| name).collect::<Vec<_>>(), ["claude", "openai"]);
    assert_eq!(config.models["claude-sonnet"].targets[0].model, "claude-sonnet-4");
    let price = config.models["gpt-4o"].targets[0].price.as_ref().unwrap();
    assert_eq!(price.cached_per_million_nanos, Some(1_250_000_000));
    let key = &config.keys["example"];
    assert_eq!(key.key, ClientKey::Generate);
    assert_eq!(
        (key.caps.tokens_per_day, key.caps.requests_per_minute, key.caps.concurrent),
        (Some(100_000), Some(60), Some(8))
    );
}

#[test]
fn the_price_file_prices_what_the_short_file_leaves_open() {
    let mut config = config(&read("tollgate.toml"));
    assert_eq!(config.models["claude-sonnet"].targets[0].price, None);
    config.add_prices(&read("prices.toml")).unwrap();
    assert!(config.models["claude-sonnet"].targets[0].price.is_some());
}

#[test]
fn every_key_of_the_reference_is_one() {
    let set = |name: &str| Some(format!("{name}-0123456789abcdef"));
    build(&uncommented(), set).unwrap_or_else(|faults| panic!("{faults}"));
}

#[test]
fn the_reference_shows_the_defaults() {
    let set = |name: &str| Some(format!("{name}-0123456789abcdef"));
    let shown = build(&uncommented(), set).unwrap();
    let default = config("");

    let Server { tls, threads, connections_max, .. } = shown.server.clone();
    let server = Server { tls, threads, connections_max, ..default.server };
    assert_eq!(shown.server, server);
    assert_eq!(shown.log, default.log);
    let mut limits = default.limits;
    limits.bodies_bytes_max = shown.limits.bodies_bytes_max;
    limits.answers_bytes_max = shown.limits.answers_bytes_max;
    assert_eq!(format!("{:?}", shown.limits), format!("{limits:?}"));
    let mut sandbox = default.plugins.sandbox;
    // What is left out depends on the machine.
    sandbox.memory_total_bytes_max = shown.plugins.sandbox.memory_total_bytes_max;
    sandbox.long_work_max = shown.plugins.sandbox.long_work_max;
    assert_eq!(format!("{:?}", shown.plugins.sandbox), format!("{sandbox:?}"));
    assert_eq!(format!("{:?}", shown.store), format!("{:?}", default.store));
    let mut ledger = default.ledger;
    ledger.retention_days = shown.ledger.retention_days;
    assert_eq!(format!("{:?}", shown.ledger), format!("{ledger:?}"));

    let mut shown_provider = shown.providers["openai"].clone();
    let default = provider("");
    assert_eq!(shown_provider.retry, default.retry);
    shown_provider.adapter.clone_from(&default.adapter);
    shown_provider.base_url.clone_from(&default.base_url);
    shown_provider.keys.clone_from(&default.keys);
    shown_provider.config_json.clone_from(&default.config_json);
    assert_eq!(format!("{shown_provider:?}"), format!("{default:?}"));

    assert_eq!(shown.models["gpt-4o"].output_tokens_max, shown.limits.output_tokens_max);
    assert_eq!(shown.templates["greeting"].role, Role::System);
}

#[test]
fn every_key_that_is_read_is_explained() {
    let set = |name: &str| Some(format!("{name}-0123456789abcdef"));
    let text = uncommented();
    let (reading, table) = Reading::new(&text, &set);
    super::super::read(reading.root(&table));
    let written = {
        let mut written = BTreeSet::new();
        paths(&toml::from_str::<toml::Table>(&text).unwrap(), "", &mut written);
        written
    };
    // A price may stand at a target too, where the reference says so in a sentence.
    let asked = reading.asked.borrow();
    let unexplained: Vec<&String> =
        asked.iter().filter(|path| !written.contains(*path) && !path.contains(".targets[0].price")).collect();
    assert!(unexplained.is_empty(), "not in reference.toml: {unexplained:?}");
}

/// The path of every key, as faults write it.
fn paths(table: &toml::Table, above: &str, paths: &mut BTreeSet<String>) {
    for (name, value) in table {
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let quoted = if bare { name.clone() } else { format!("{name:?}") };
        let path = if above.is_empty() { quoted } else { format!("{above}.{quoted}") };
        match value {
            toml::Value::Table(table) => self::paths(table, &path, paths),
            toml::Value::Array(list) => {
                for (at, table) in list.iter().enumerate().filter_map(|(at, value)| Some((at, value.as_table()?))) {
                    self::paths(table, &format!("{path}[{at}]"), paths);
                }
            }
            _ => {}
        }
        paths.insert(path);
    }
}
