//! What the first start leaves behind: the data directory, the admin token, client keys that nobody chose.

use std::path::Path;

use super::ClientKey;
use crate::{
    config::{ClientKey as Meant, Config},
    secret::{
        Kept, KeyHasher, Secret, SecretFileError, admin_token, fill_from_system, keep, make_private_dir, virtual_key,
    },
    store::{self, KeyEntry, Origin, Store},
};

/// In the data directory: the token of the admin listener.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// In the data directory: the client keys that the gateway drew, by their names in the configuration.
pub const CLIENT_KEYS_DIR: &str = "client-keys";

/// The admin token, drawn on the first start.
pub(super) fn kept_admin_token(data_dir: &Path) -> Result<Secret, SecretFileError> {
    Ok(keep(&data_dir.join(ADMIN_TOKEN_FILE), &mut fill_from_system, |fill| admin_token(fill))?.secret)
}

/// Brings the keys of the configuration into the store. Returns one that the gateway drew, if there is one.
pub(super) fn config_keys(
    config: &Config,
    data_dir: &Path,
    store: &dyn Store,
    hasher: &KeyHasher,
    now_ms: u64,
) -> Result<Option<ClientKey>, super::Error> {
    let stored = store.keys()?;
    let mut shown = None;
    for (name, key) in &config.keys {
        let (secret, file) = match &key.key {
            Meant::Given(secret) => (secret.clone(), None),
            Meant::Generate => {
                let file = data_dir.join(CLIENT_KEYS_DIR).join(name);
                let kept = drawn(&file)?;
                let drawn = kept.made.then(|| kept.secret.clone());
                (kept.secret, Some(ClientKey { drawn, file }))
            }
        };
        shown = shown.or(file);
        put(store, &stored, entry(name, key, &secret, hasher, now_ms))?;
    }
    for gone in stored.iter().filter(|entry| entry.origin == Origin::Config && !config.keys.contains_key(&entry.name)) {
        store.remove_key(&gone.id)?;
    }
    Ok(shown)
}

fn entry(name: &str, key: &crate::config::Key, secret: &Secret, hasher: &KeyHasher, now_ms: u64) -> KeyEntry {
    KeyEntry {
        id: format!("key_config_{name}"),
        name: name.to_owned(),
        hash: hasher.hash(secret.expose().as_bytes()).0,
        prefix: secret.expose().chars().take(PREFIX_CHARS).collect(),
        models: key.models.iter().map(ToString::to_string).collect(),
        caps: key.caps.clone(),
        created_ms: now_ms,
        expires_ms: key.expires_ms,
        revoked_ms: None,
        user: key.user.clone(),
        origin: Origin::Config,
    }
}

/// How much of a key is kept for people to tell keys apart.
const PREFIX_CHARS: usize = 10;

/// A key that was revoked stays so until its text changes.
fn put(store: &dyn Store, stored: &[KeyEntry], mut entry: KeyEntry) -> Result<(), store::Error> {
    if let Some(known) = stored.iter().find(|known| known.id == entry.id) {
        entry.created_ms = known.created_ms;
        entry.revoked_ms = known.revoked_ms.filter(|_| known.hash == entry.hash);
        if known.hash == entry.hash && *known == entry {
            return Ok(());
        }
    }
    store.put_key(&entry).map(|_| ())
}

fn drawn(file: &Path) -> Result<Kept, SecretFileError> {
    if let Some(dir) = file.parent() {
        make_private_dir(dir)?;
    }
    keep(file, &mut fill_from_system, |fill| virtual_key(fill))
}
