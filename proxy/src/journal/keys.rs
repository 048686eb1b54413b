//! The keys as the journal knows them, and their changes.
//!
//! A change is decided and written under one lock. A key is made only once it is on the disk. A key is revoked at
//! once, also where the disk takes nothing: the change then waits, and is written when the disk takes it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use super::shared::{Shared, Unflushed};
use crate::store::{KeyChange, KeyEntry};

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is an active key `{0}` already")]
    Exists(String),
    #[error("there is no key `{0}`")]
    NotFound(String),
    #[error("the change could not be written to the disk, and was not made: {0}")]
    Unwritten(#[source] io::Error),
}

/// Keys that are revoked from now on.
#[derive(Debug)]
pub struct Revoked {
    pub keys: Vec<Arc<KeyEntry>>,
    /// Whether that is on the disk. If not, it is written as soon as the disk takes it, and a process that ends
    /// before forgets it.
    pub is_durable: bool,
}

/// Every key, by id and by name.
pub(super) struct KeyTable {
    by_id: BTreeMap<String, Arc<KeyEntry>>,
    ids_by_name: HashMap<String, Vec<String>>,
    /// Changes that the disk did not take.
    waiting: Vec<KeyChange>,
}

impl KeyTable {
    pub(super) fn new(entries: Vec<KeyEntry>) -> KeyTable {
        let mut table = KeyTable { by_id: BTreeMap::new(), ids_by_name: HashMap::new(), waiting: Vec::new() };
        entries.into_iter().for_each(|entry| table.apply(&KeyChange::Put(entry)));
        table
    }

    pub(super) fn all(&self) -> Vec<Arc<KeyEntry>> {
        self.by_id.values().cloned().collect()
    }

    fn named<'t>(&'t self, name: &str) -> impl Iterator<Item = &'t Arc<KeyEntry>> {
        let ids = self.ids_by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.by_id.get(id))
    }

    /// The key of this id; else every active key of this name; else those of it that were revoked before.
    fn find(&self, wanted: &str) -> Vec<Arc<KeyEntry>> {
        if let Some(key) = self.by_id.get(wanted) {
            return vec![key.clone()];
        }
        let (active, revoked): (Vec<_>, Vec<_>) = self.named(wanted).cloned().partition(|key| key.revoked_ms.is_none());
        if active.is_empty() { revoked } else { active }
    }

    fn apply(&mut self, change: &KeyChange) {
        let id = match change {
            KeyChange::Put(entry) => &entry.id,
            KeyChange::Remove(id) => id,
        };
        if let Some(before) = self.by_id.remove(id)
            && let Some(ids) = self.ids_by_name.get_mut(&before.name)
        {
            ids.retain(|known| known != id);
            if ids.is_empty() {
                self.ids_by_name.remove(&before.name);
            }
        }
        if let KeyChange::Put(entry) = change {
            self.ids_by_name.entry(entry.name.clone()).or_default().push(id.clone());
            self.by_id.insert(id.clone(), Arc::new(entry.clone()));
        }
    }
}

impl Shared {
    pub(super) fn create_key(&self, entry: KeyEntry) -> Result<Arc<KeyEntry>, KeyError> {
        let mut keys = self.keys.lock();
        if keys.named(&entry.name).any(|key| key.revoked_ms.is_none()) {
            return Err(KeyError::Exists(entry.name));
        }
        let change = KeyChange::Put(entry.clone());
        self.write_whole(std::slice::from_ref(&change))?;
        keys.apply(&change);
        Ok(Arc::new(entry))
    }

    pub(super) fn revoke_keys(&self, wanted: &str, now_ms: u64) -> Result<Revoked, KeyError> {
        let mut table = self.keys.lock();
        let found = table.find(wanted);
        if found.is_empty() {
            return Err(KeyError::NotFound(wanted.to_owned()));
        }
        let revoked =
            found.iter().map(|key| KeyEntry { revoked_ms: key.revoked_ms.or(Some(now_ms)), ..(**key).clone() });
        let revoked: Vec<KeyEntry> = revoked.collect();
        let changes: Vec<KeyChange> = revoked.iter().cloned().map(KeyChange::Put).collect();
        changes.iter().for_each(|change| table.apply(change));
        let mut is_durable = true;
        if let Err(Unflushed { is_written, source }) = self.write_change(&changes, true) {
            tracing::error!(error = %source, "a revocation holds, but is not on the disk yet");
            is_durable = false;
            if !is_written {
                table.waiting.extend(changes);
            }
        }
        Ok(Revoked { keys: revoked.into_iter().map(Arc::new).collect(), is_durable })
    }

    pub(super) fn change_keys(&self, changes: &[KeyChange]) -> Result<(), KeyError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut keys = self.keys.lock();
        self.write_whole(changes)?;
        changes.iter().for_each(|change| keys.apply(change));
        Ok(())
    }

    /// Writes the changes that the disk did not take before.
    pub(super) fn write_waiting_keys(&self) -> io::Result<()> {
        let mut keys = self.keys.lock();
        if keys.waiting.is_empty() {
            return Ok(());
        }
        match self.write_change(&keys.waiting, true) {
            Err(Unflushed { is_written: false, source }) => Err(source),
            // What is written and not flushed is flushed with the store.
            Ok(()) | Err(_) => {
                keys.waiting.clear();
                Ok(())
            }
        }
    }

    fn write_whole(&self, changes: &[KeyChange]) -> Result<(), KeyError> {
        self.write_change(changes, false).map_err(|unflushed| {
            tracing::error!(error = %unflushed.source, "a change of keys was refused: it could not be written");
            KeyError::Unwritten(unflushed.source)
        })
    }
}
