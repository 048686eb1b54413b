//! `[keys.X]`: client keys that the operator writes down.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use super::{
    rfc3339::parse_rfc3339,
    variables::Expanded,
    written::{Located, Section},
};
use crate::{limit::Caps, principal::Pattern, secret::Secret};

const KEY_BYTES_MIN: usize = 16;
const KEY_BYTES_MAX: usize = 512;
const USER_BYTES_MAX: usize = 200;

/// One client key of the configuration.
#[derive(Debug, Clone)]
pub struct Key {
    pub key: ClientKey,
    pub models: Vec<Pattern>,
    pub caps: Caps,
    /// Unix milliseconds from which on the key is refused.
    pub expires_ms: Option<u64>,
    /// The user that its calls are written down for; empty for none.
    pub user: String,
}

/// The text of a client key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKey {
    Given(Secret),
    /// None was written, or its variable is not set: one is to be drawn at the first start.
    Generate,
}

pub(super) fn read(
    name: &Located<String>,
    section: Section<'_, '_>,
    models: &BTreeSet<String>,
) -> Option<Located<Key>> {
    section.check_name(name);
    // An id would hide the key of that name.
    if name.value.starts_with("key_") {
        section.reading().fault(name, "a name does not begin with `key_`, as ids do");
    }
    let key = section.expandable("key");
    if let Some(at @ Located { value: Expanded::Text(text), .. }) = &key {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&text.len()) {
            let message =
                format!("must have {KEY_BYTES_MIN} to {KEY_BYTES_MAX} visible ASCII characters, without spaces");
            section.reading().fault(at, message);
        }
    }
    let user = section.text("user").map_or_else(String::new, |at| {
        if at.value.len() > USER_BYTES_MAX {
            section.reading().fault(&at, format!("must have at most {USER_BYTES_MAX} bytes"));
        }
        at.value
    });
    let read = Key {
        key: match key.map(|at| at.value) {
            Some(Expanded::Text(text)) => ClientKey::Given(Secret::new(text)),
            Some(Expanded::Unset(_)) | None => ClientKey::Generate,
        },
        models: read_models(&section, models),
        caps: read_caps(&section),
        expires_ms: section.rfc3339("expires").and_then(|at| {
            let expires_ms = parse_rfc3339(&at.value);
            if expires_ms.is_none() {
                section
                    .reading()
                    .fault(&at, format!("`{}` is not a date and time such as `2027-01-31T00:00:00Z`", at.value));
            }
            expires_ms
        }),
        user,
    };
    section.finish();
    Some(name.with(read))
}

/// Complains about keys that are the same: a call could not tell whose it is.
pub(super) fn check_apart(keys: &BTreeMap<String, Located<Key>>, root: &Section<'_, '_>) {
    let mut seen = HashMap::new();
    for (name, at) in keys {
        let ClientKey::Given(key) = &at.value.key else { continue };
        match seen.entry(key.expose()) {
            Entry::Occupied(other) => {
                root.reading().fault(at, format!("has the same `key` as `keys.{}`", other.get()));
            }
            Entry::Vacant(place) => drop(place.insert(name)),
        }
    }
}

fn read_models(section: &Section<'_, '_>, models: &BTreeSet<String>) -> Vec<Pattern> {
    let Some(texts) = section.texts("models") else {
        return Pattern::parse("*").into_iter().collect();
    };
    let mut patterns = Vec::new();
    for text in texts {
        match Pattern::parse(&text.value) {
            Ok(pattern) => {
                if text.value != "*" && !models.iter().any(|model| pattern.matches(model)) {
                    let guess = super::fault::guess(&text.value, models.iter().map(String::as_str));
                    section.reading().absent(&text, format!("`{}` matches no model{guess}", text.value));
                }
                patterns.push(pattern);
            }
            Err(fault) => section.reading().fault(&text, fault.to_string()),
        }
    }
    patterns
}

fn read_caps(key: &Section<'_, '_>) -> Caps {
    let section = key.section("limits");
    let tokens = |name: &str| section.number(name, 0..=u64::MAX);
    let count = |name: &str| section.number(name, 0..=u64::from(u32::MAX)).map(|count| count as u32);
    let caps = Caps {
        tokens_per_day: tokens("tokens_per_day"),
        tokens_per_month: tokens("tokens_per_month"),
        tokens_total: tokens("tokens_total"),
        requests_per_minute: count("requests_per_minute"),
        concurrent: count("concurrent"),
        money: None,
    };
    section.finish();
    caps
}
