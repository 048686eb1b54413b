//! Making, showing and revoking client keys.

use serde::{Deserialize, Serialize};

use super::AdminError;
use crate::{
    config::format_rfc3339,
    journal::Revoked,
    limit::Caps,
    principal::Pattern,
    secret::{Secret, key_id, shown_prefix, virtual_key},
    store::{KeyEntry, Origin},
};

const NAME_BYTES_MAX: usize = 64;
const USER_BYTES_MAX: usize = 200;
const MODELS_MAX: usize = 1000;
const PATTERN_BYTES_MAX: usize = 200;

/// A key to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    pub name: String,
    /// Names of models, or beginnings of names that end in `*`.
    #[serde(default = "all_models")]
    pub models: Vec<String>,
    #[serde(default)]
    pub limits: Caps,
    /// Unix milliseconds from which on the key is refused.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    #[serde(default)]
    pub user: String,
}

/// A key as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShown {
    pub id: String,
    pub name: String,
    /// How the key begins; empty for a short one.
    pub prefix: String,
    pub state: KeyState,
    pub models: Vec<String>,
    pub limits: Caps,
    pub user: String,
    pub origin: Origin,
    /// RFC 3339, as the following ones.
    pub created: String,
    pub expires: Option<String>,
    pub revoked: Option<String>,
}

/// Whether a key is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Active,
    Expired,
    Revoked,
}

impl KeyState {
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Expired => "expired",
            KeyState::Revoked => "revoked",
        }
    }
}

impl KeyShown {
    pub fn new(entry: &KeyEntry, now_ms: u64) -> KeyShown {
        let state = match entry {
            KeyEntry { revoked_ms: Some(_), .. } => KeyState::Revoked,
            KeyEntry { expires_ms: Some(expires_ms), .. } if *expires_ms <= now_ms => KeyState::Expired,
            _ => KeyState::Active,
        };
        KeyShown {
            id: entry.id.clone(),
            name: entry.name.clone(),
            prefix: entry.prefix.clone(),
            state,
            models: entry.models.clone(),
            limits: entry.caps.clone(),
            user: entry.user.clone(),
            origin: entry.origin,
            created: format_rfc3339(entry.created_ms),
            expires: entry.expires_ms.map(format_rfc3339),
            revoked: entry.revoked_ms.map(format_rfc3339),
        }
    }
}

/// The answer to a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedShown {
    pub keys: Vec<KeyShown>,
    /// Whether the revocation is on the disk. It holds from now on in any case; one that is not on the disk is
    /// written as soon as the disk takes it, and is forgotten if the gateway is killed before.
    pub durable: bool,
}

impl RevokedShown {
    pub fn new(revoked: &Revoked, now_ms: u64) -> RevokedShown {
        let keys = revoked.keys.iter().map(|entry| KeyShown::new(entry, now_ms)).collect();
        RevokedShown { keys, durable: revoked.is_durable }
    }
}

fn all_models() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Draws a key. The entry is to be stored, the key itself handed out once.
///
/// # Errors
/// [`AdminError::Invalid`], which names the field.
pub fn new_key(
    new: NewKey,
    now_ms: u64,
    fill: &mut dyn FnMut(&mut [u8]),
    hash: impl FnOnce(&[u8]) -> [u8; 32],
) -> Result<(KeyEntry, Secret), AdminError> {
    check(&new, now_ms)?;
    let secret = virtual_key(fill);
    let entry = KeyEntry {
        id: key_id(fill),
        name: new.name,
        hash: hash(secret.expose().as_bytes()),
        prefix: shown_prefix(&secret).to_owned(),
        models: new.models,
        caps: new.limits,
        created_ms: now_ms,
        expires_ms: new.expires_ms,
        revoked_ms: None,
        user: new.user,
        origin: Origin::Admin,
    };
    Ok((entry, secret))
}

fn check(new: &NewKey, now_ms: u64) -> Result<(), AdminError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if new.name.is_empty() || new.name.len() > NAME_BYTES_MAX || !new.name.bytes().all(plain) {
        return Err(AdminError::invalid("name", "a name must have 1 to 64 letters, digits, `_`, `-` or `.`"));
    }
    // As a step of a path it would be another one.
    if new.name.bytes().all(|byte| byte == b'.') {
        return Err(AdminError::invalid("name", "a name must not be dots alone"));
    }
    // An id would hide the key of that name.
    if new.name.starts_with("key_") {
        return Err(AdminError::invalid("name", "a name must not begin with `key_`"));
    }
    if new.user.len() > USER_BYTES_MAX || new.user.chars().any(char::is_control) {
        return Err(AdminError::invalid("user", "a user must have at most 200 bytes and no control characters"));
    }
    if new.models.is_empty() || new.models.len() > MODELS_MAX {
        return Err(AdminError::invalid("models", "name 1 to 1000 models, or `*` for all"));
    }
    if new.models.iter().any(String::is_empty) {
        return Err(AdminError::invalid("models", "one of the models has no name: name models, or `*` for all"));
    }
    for model in &new.models {
        let fault = Pattern::parse(model).err().map(|fault| fault.to_string());
        let fault = fault.or_else(|| (model.len() > PATTERN_BYTES_MAX).then(|| "has more than 200 bytes".to_owned()));
        if let Some(fault) = fault {
            return Err(AdminError::invalid("models", format!("`{}` {fault}", model.escape_debug())));
        }
    }
    if new.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(AdminError::invalid("expires", "the time has passed already: the key would never be valid"));
    }
    Ok(())
}
