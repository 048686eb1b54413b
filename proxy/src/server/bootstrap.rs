//! What the first start leaves behind: the data directory, the admin token, client keys that nobody chose.

use std::path::Path;

use super::ClientKey;
use crate::{
    config::{ClientKey as Meant, Config},
    journal::Journal,
    secret::{
        Kept, KeyHasher, MasterKey, Secret, SecretFileError, admin_token, fill_from_system, keep, make_private_dir,
        virtual_key,
    },
    store::{KeyChange, KeyEntry, Origin, Store},
};

/// In the data directory: the token of the admin listener.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// In the data directory: the client keys that the gateway drew, by their names in the configuration.
pub const CLIENT_KEYS_DIR: &str = "client-keys";

/// In the store's named values: what tells whether a master key is the one that the store was made with.
const MASTER_KEY_CHECK: &str = "master_key.check";

/// The master key of a store: the one given, else the one kept in the data directory, else, for a store that has none
/// yet, a new one.
///
/// # Errors
/// Where the key is missing or another one, and where the store fails.
pub fn master_key(store: &dyn Store, given: Option<MasterKey>, data_dir: &Path) -> Result<MasterKey, super::Error> {
    let check = store.meta(MASTER_KEY_CHECK)?;
    let key = MasterKey::open_checked(check.as_deref(), given, data_dir, &mut fill_from_system)?;
    if check.is_none() {
        store.put_meta(MASTER_KEY_CHECK, &key.check())?;
        store.flush()?;
    }
    Ok(key)
}

/// The admin token, drawn on the first start.
pub(super) fn kept_admin_token(data_dir: &Path) -> Result<Secret, SecretFileError> {
    Ok(keep(&data_dir.join(ADMIN_TOKEN_FILE), &mut fill_from_system, |fill| admin_token(fill))?.secret)
}

/// Brings the keys of the configuration among the stored ones. Returns one that the gateway drew, if there is one.
pub(super) fn config_keys(
    config: &Config,
    data_dir: &Path,
    journal: &Journal,
    hasher: &KeyHasher,
    now_ms: u64,
) -> Result<Option<ClientKey>, super::Error> {
    let stored: Vec<_> = journal.keys().into_iter().filter(|entry| entry.origin == Origin::Config).collect();
    let known = |id: &str| stored.iter().find(|known| known.id == id).map(|known| known.as_ref());
    let mut changes = Vec::new();
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
        let entry = entry(name, key, &secret, hasher, now_ms);
        changes.extend(changed(known(&entry.id), entry).map(KeyChange::Put));
    }
    // A revoked key is kept when it leaves the configuration, so that it is still revoked when it comes back.
    let gone = stored.iter().filter(|entry| entry.revoked_ms.is_none() && !config.keys.contains_key(&entry.name));
    changes.extend(gone.map(|entry| KeyChange::Remove(entry.id.clone())));
    journal.change_keys(&changes)?;
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

/// The key as it is to be stored, if that is another than the known one. A key that was revoked stays so until its
/// text changes.
fn changed(known: Option<&KeyEntry>, mut entry: KeyEntry) -> Option<KeyEntry> {
    if let Some(known) = known {
        entry.created_ms = known.created_ms;
        entry.revoked_ms = known.revoked_ms.filter(|_| known.hash == entry.hash);
    }
    (known != Some(&entry)).then_some(entry)
}

fn drawn(file: &Path) -> Result<Kept, SecretFileError> {
    if let Some(dir) = file.parent() {
        make_private_dir(dir)?;
    }
    keep(file, &mut fill_from_system, |fill| virtual_key(fill))
}
