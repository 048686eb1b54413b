//! What the first start leaves behind: the data directory, the admin token, client keys that nobody chose.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::fault::Error;
use crate::{
    config::{ClientKey as Meant, Config},
    journal::Journal,
    principal::KeyHash,
    secret::{
        Kept, KeyHasher, MasterKey, Secret, SecretFileError, admin_token, fill_from_system, keep, make_private_dir,
        shown_prefix, virtual_key,
    },
    store::{KeyChange, KeyEntry, Origin, Store},
};

/// In the data directory: the client keys that the gateway made, by their names in the configuration.
const CLIENT_KEYS_DIR: &str = "client-keys";

/// A client key that the gateway made itself.
pub struct ClientKey {
    /// Only on the start that made it.
    pub generated: Option<Secret>,
    pub file: PathBuf,
}

/// In the store's named values: what tells whether a master key is the one that the store was made with.
const MASTER_KEY_CHECK: &str = "master_key.check";

/// The master key of a store: the one given, else the one kept in the data directory, else, for a store that has none
/// yet, a new one.
///
/// # Errors
/// Where the key is missing or another one, and where the store fails.
pub fn master_key(store: &dyn Store, given: Option<MasterKey>, data_dir: &Path) -> Result<MasterKey, Error> {
    let check = store.meta(MASTER_KEY_CHECK)?;
    let key = MasterKey::open_checked(check.as_deref(), given, data_dir, &mut fill_from_system)?;
    if check.is_none() {
        store.put_meta(MASTER_KEY_CHECK, &key.check())?;
        store.flush()?;
    }
    Ok(key)
}

/// The admin token, generated on the first start.
pub(super) fn kept_admin_token(path: PathBuf) -> Result<Secret, Error> {
    let token = keep(&path, &mut fill_from_system, |fill| admin_token(fill))?.secret;
    if token.expose().len() < ADMIN_TOKEN_BYTES_MIN {
        return Err(Error::AdminToken { path, least: ADMIN_TOKEN_BYTES_MIN });
    }
    Ok(token)
}

/// An operator may write a token of their own, but not one that can be guessed.
const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// Brings the keys of the configuration among the stored ones. Returns one that the gateway made, if there is one.
pub(super) fn config_keys(
    config: &Config,
    data_dir: &Path,
    journal: &Journal,
    hasher: &KeyHasher,
    now_ms: u64,
) -> Result<Option<ClientKey>, Error> {
    let known: HashMap<String, Arc<KeyEntry>> =
        journal.keys().into_iter().map(|entry| (entry.id.clone(), entry)).collect();
    let revoked: HashMap<KeyHash, &KeyEntry> =
        known.values().filter(|entry| entry.revoked_ms.is_some()).map(|entry| (entry.hash, entry.as_ref())).collect();
    let mut changes = Vec::new();
    let mut shown = None;
    for (name, key) in &config.keys {
        let (secret, file) = match &key.key {
            Meant::Given(secret) => (secret.clone(), None),
            Meant::Generate => {
                let file = data_dir.join(CLIENT_KEYS_DIR).join(name);
                let kept = generated(&file)?;
                let generated = kept.made.then(|| kept.secret.clone());
                (kept.secret, Some(ClientKey { generated, file }))
            }
        };
        shown = shown.or(file);
        let entry = entry(name, key, &secret, hasher, now_ms);
        let before = known.get(&entry.id).map(Arc::as_ref);
        changes.extend(changed(before, revoked.get(&entry.hash).copied(), entry).map(KeyChange::Put));
    }
    // A revoked key is kept when it leaves the configuration, so that it is still revoked when it comes back.
    let gone = known.values().filter(|entry| {
        entry.origin == Origin::Config && entry.revoked_ms.is_none() && !config.keys.contains_key(&entry.name)
    });
    changes.extend(gone.map(|entry| KeyChange::Remove(entry.id.clone())));
    journal.change_keys(&changes)?;
    Ok(shown)
}

fn entry(name: &str, key: &crate::config::Key, secret: &Secret, hasher: &KeyHasher, now_ms: u64) -> KeyEntry {
    KeyEntry {
        id: format!("key_config_{name}"),
        name: name.to_owned(),
        hash: hasher.hash(secret.expose().as_bytes()).0,
        prefix: shown_prefix(secret).to_owned(),
        models: key.models.iter().map(ToString::to_string).collect(),
        caps: key.caps.clone(),
        created_ms: now_ms,
        expires_ms: key.expires_ms,
        revoked_ms: None,
        user: key.user.clone(),
        origin: Origin::Config,
    }
}

/// The key as it is to be stored, if that is another than the known one. A name that was revoked stays so for good, and
/// so does the text that it had then, under whichever name it comes: `revoked` is a stored key of the entry's text.
fn changed(known: Option<&KeyEntry>, revoked: Option<&KeyEntry>, mut entry: KeyEntry) -> Option<KeyEntry> {
    if let Some(known) = known {
        entry.created_ms = known.created_ms;
        entry.revoked_ms = known.revoked_ms;
        if known.revoked_ms.is_some() && known.hash != entry.hash {
            tracing::warn!(
                key = entry.name,
                "this key was revoked and stays so, although its text has changed: give the new one another name"
            );
            // The text that was revoked is the one to know again.
            (entry.hash, entry.prefix) = (known.hash, known.prefix.clone());
        }
    }
    if let (None, Some(revoked)) = (entry.revoked_ms, revoked) {
        tracing::warn!(
            key = entry.name,
            revoked = revoked.name,
            "this key has the text of one that was revoked, and is revoked as well: give the new one another name and text"
        );
        entry.revoked_ms = revoked.revoked_ms;
    }
    (known != Some(&entry)).then_some(entry)
}

fn generated(file: &Path) -> Result<Kept, SecretFileError> {
    if let Some(dir) = file.parent() {
        make_private_dir(dir)?;
    }
    keep(file, &mut fill_from_system, |fill| virtual_key(fill))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{ledger::Ledger, store::SledStore};

    fn hasher() -> KeyHasher {
        KeyHasher::new(&MasterKey::parse(&"ab".repeat(32)).unwrap())
    }

    #[test]
    fn a_revoked_name_stays_revoked_whatever_its_text_becomes_and_so_does_the_text() {
        let config = crate::config::build("[keys.app]\nkey = 'sk-tg-0123456789'", |_| None).unwrap();
        let entry = |text: &str| entry("app", &config.keys["app"], &Secret::new(text), &hasher(), 1);
        let revoked = KeyEntry { revoked_ms: Some(5), ..entry("sk-tg-first-text") };
        assert_eq!(changed(Some(&revoked), None, entry("sk-tg-second-text")), None, "the first text stays known");
        assert_eq!(changed(Some(&revoked), Some(&revoked), entry("sk-tg-first-text")), None);
    }

    #[test]
    fn a_revoked_text_stays_revoked_under_another_name_and_a_new_text_under_a_new_name_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SledStore::open(&dir.path().join("store"), &Default::default()).unwrap());
        let settings = crate::journal::Settings { calls_max: 1, ..Default::default() };
        let clock = crate::gateway::clock();
        let (ledger, _) = Ledger::open(&dir.path().join("journal"), store, settings, clock).unwrap();
        let journal = ledger.journal();
        let configure = |name: &str, text: &str| {
            let config = crate::config::build(&format!("[keys.{name}]\nkey = '{text}'"), |_| None).unwrap();
            config_keys(&config, dir.path(), journal, &hasher(), 1).unwrap();
            journal.keys().into_iter().find(|entry| entry.name == name).unwrap().revoked_ms
        };
        assert_eq!(configure("zeta", "sk-tg-leaked-text"), None);
        journal.revoke_keys("zeta", 7, |_| {}).unwrap();
        assert_eq!(configure("alpha", "sk-tg-leaked-text"), Some(7));
        assert_eq!(configure("zeta", "sk-tg-another-text"), Some(7));
        assert_eq!(configure("beta", "sk-tg-another-text"), None, "that text was never revoked");
        assert_eq!(configure("gamma", "sk-tg-leaked-text"), Some(7));
    }

    #[test]
    fn an_admin_token_that_can_be_guessed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert!(kept_admin_token(path.clone()).is_ok());
        for text in ["", "\n", "short\n"] {
            fs::write(&path, text).unwrap();
            let refused = kept_admin_token(path.clone());
            assert!(matches!(refused, Err(Error::AdminToken { least: 16, .. })), "{text:?}");
        }
    }
}
