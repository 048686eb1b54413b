//! `[providers.X]`: who serves models, and how patient we are with it.

use toml::de::{DeTable, DeValue};

use super::{
    plugins::Plugins,
    url::BaseUrl,
    variables::Expanded,
    written::{Located, Section},
};
use crate::{
    limit::HOUR_MS,
    plugin::Kind,
    secret::{Redactor, Secret},
};

const KEYS_MAX: usize = 1000;

/// One provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The plugin that speaks its dialect.
    pub adapter: String,
    pub base_url: BaseUrl,
    pub keys: ProviderKeys,
    pub connect_timeout_ms: u64,
    /// From the request's last byte to the answer's first.
    pub first_byte_timeout_ms: u64,
    /// Between two reads of the answer.
    pub idle_timeout_ms: u64,
    /// From the beginning of the attempt to the answer's last byte.
    pub total_timeout_ms: u64,
    pub http2: Http2,
    pub retry: Retry,
    /// How long a key that the provider refused is left alone.
    pub key_cooldown_ms: u64,
    /// What the adapter is told: a JSON object. Holds no secret, as variables are not replaced in it.
    pub config_json: String,
}

/// What the provider knows us by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderKeys {
    /// None were configured: it needs none.
    Unneeded,
    /// One or more, in order.
    Given(Vec<Secret>),
    /// All of them are in these variables, and none is set.
    Unset(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// Where the provider offers it.
    Auto,
    /// Always; without TLS, with prior knowledge.
    On,
    Off,
}

/// When to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The connection failed, or ended before the first byte.
    pub network: Retries,
    /// 429; the provider's `retry-after` counts if it is longer.
    pub rate_limit: Retries,
    /// 5xx.
    pub server: Retries,
    /// Attempts at one target, of all classes together and with the first.
    pub attempts_max: u32,
    /// A longer wait is not waited: the next target is tried.
    pub wait_max_ms: u64,
}

/// How often, and with what pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub retries: u32,
    pub backoff: Backoff,
    pub wait_ms: u64,
}

/// How the pause grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    Fixed,
    /// By `wait_ms` each time.
    Linear,
    /// Doubles each time.
    Exponential,
}

impl Provider {
    /// Whether the provider's keys are variables that are not set.
    pub fn lacks_keys(&self) -> bool {
        matches!(self.keys, ProviderKeys::Unset(_))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            network: Retries { retries: 3, backoff: Backoff::Exponential, wait_ms: 100 },
            rate_limit: Retries { retries: 5, backoff: Backoff::Linear, wait_ms: 500 },
            server: Retries { retries: 2, backoff: Backoff::Fixed, wait_ms: 250 },
            attempts_max: 8,
            wait_max_ms: 10_000,
        }
    }
}

pub(super) fn read(name: &Located<String>, section: Section<'_, '_>, plugins: &Plugins) -> Option<Provider> {
    section.check_name(name);
    for needed in ["adapter", "base_url"].into_iter().filter(|needed| !section.has(needed)) {
        section.missing(needed);
    }
    let adapter = section.text("adapter");
    if let Some(adapter) = &adapter {
        plugins.check(&section, adapter, Kind::Adapter);
    }
    let base_url = section.text("base_url").and_then(|at| match at.value.parse::<BaseUrl>() {
        Ok(url) => Some(url),
        Err(fault) => {
            section.reading().fault(&at, fault.to_string());
            None
        }
    });
    let http2 = [("auto", Http2::Auto), ("on", Http2::On), ("off", Http2::Off)];
    let clock = |name: &str, default| section.number_or(name, default, 1..=24 * HOUR_MS);
    let provider = Provider {
        keys: read_keys(&section),
        connect_timeout_ms: clock("connect_timeout_ms", 5_000),
        first_byte_timeout_ms: clock("first_byte_timeout_ms", 300_000),
        idle_timeout_ms: clock("idle_timeout_ms", 120_000),
        total_timeout_ms: clock("total_timeout_ms", 900_000),
        http2: section.choice("http2", &http2, Http2::Auto),
        retry: read_retry(&section),
        key_cooldown_ms: section.number_or("key_cooldown_ms", 60_000, 0..=24 * HOUR_MS),
        config_json: read_config(&section),
        adapter: adapter.map_or_else(String::new, |at| at.value),
        base_url: base_url.unwrap_or_default(),
    };
    section.finish();
    Some(provider)
}

fn read_keys(section: &Section<'_, '_>) -> ProviderKeys {
    let texts = section.texts("keys").unwrap_or_default();
    if texts.len() > KEYS_MAX {
        section.reading().fault(&texts[0], format!("a provider takes at most {KEYS_MAX} keys"));
    }
    let (mut given, mut unset) = (Vec::new(), Vec::new());
    for expanded in texts.iter().filter_map(|text| section.expanded(text)) {
        match expanded.value.clone() {
            Expanded::Unset(names) => unset.push(expanded.with(names)),
            Expanded::Text(key) => {
                if key.len() < Redactor::KNOWN_BYTES_MIN || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                    let message = format!(
                        "is not a key: a key must have {} or more visible ASCII characters, without spaces",
                        Redactor::KNOWN_BYTES_MIN
                    );
                    section.reading().fault(&expanded, message);
                }
                given.push(Secret::new(key));
            }
        }
    }
    match (given.is_empty(), unset.is_empty()) {
        (false, _) => {
            // A part of the keys is as a rule a mistake, and would show only when those that are left are exhausted.
            for at in unset {
                let names: Vec<String> = at.value.iter().map(|name| format!("`{name}`")).collect();
                let verb = if names.len() == 1 { "is" } else { "are" };
                let message = format!(
                    "{} {verb} not set in the environment, and other keys of the provider are: set it, or remove this key",
                    names.join(" and ")
                );
                section.reading().fault(&at, message);
            }
            ProviderKeys::Given(given)
        }
        (true, false) => ProviderKeys::Unset(unset.into_iter().flat_map(|at| at.value).collect()),
        (true, true) => ProviderKeys::Unneeded,
    }
}

fn read_retry(provider: &Section<'_, '_>) -> Retry {
    let section = provider.section("retry");
    let default = Retry::default();
    let retry = Retry {
        network: read_retries(&section, "network", default.network),
        rate_limit: read_retries(&section, "rate_limit", default.rate_limit),
        server: read_retries(&section, "server", default.server),
        attempts_max: section.number_or("attempts_max", u64::from(default.attempts_max), 1..=100) as u32,
        wait_max_ms: section.number_or("wait_max_ms", default.wait_max_ms, 0..=HOUR_MS),
    };
    section.finish();
    retry
}

fn read_retries(retry: &Section<'_, '_>, name: &str, default: Retries) -> Retries {
    let section = retry.section(name);
    let backoffs = [("fixed", Backoff::Fixed), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
    let retries = Retries {
        retries: section.number_or("retries", u64::from(default.retries), 0..=100) as u32,
        backoff: section.choice("backoff", &backoffs, default.backoff),
        wait_ms: section.number_or("wait_ms", default.wait_ms, 0..=HOUR_MS),
    };
    section.finish();
    retries
}

/// The adapter's own settings as JSON.
fn read_config(section: &Section<'_, '_>) -> String {
    let Some(config) = section.foreign("config") else { return "{}".to_owned() };
    match json_object(config.value) {
        Ok(json) => json.to_string(),
        Err(fault) => {
            section.reading().fault(&config, fault);
            "{}".to_owned()
        }
    }
}

fn json_object(table: &DeTable<'_>) -> Result<serde_json::Value, String> {
    let entries = table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), json(value.get_ref())?)));
    Ok(serde_json::Value::Object(entries.collect::<Result<_, String>>()?))
}

fn json(value: &DeValue<'_>) -> Result<serde_json::Value, String> {
    Ok(match value {
        // A variable may hold a secret, and no secret goes to a plugin.
        DeValue::String(text) if text.contains("${") => {
            return Err("an adapter's settings take no environment variables".to_owned());
        }
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_err(|_| "holds a number beyond 64 bits".to_owned())?.into()
        }
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().unwrap_or(f64::NAN);
            if !number.is_finite() {
                return Err("holds a number that JSON cannot write".to_owned());
            }
            number.into()
        }
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(rfc3339) => rfc3339.to_string().into(),
        DeValue::Array(list) => list.iter().map(|value| json(value.get_ref())).collect::<Result<Vec<_>, _>>()?.into(),
        DeValue::Table(table) => json_object(table)?,
    })
}
