//! The keys as the journal knows them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::Arc,
};

use crate::store::{KeyChange, KeyEntry};

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is an active key `{0}` already")]
    Exists(String),
    #[error("there is no key `{0}`")]
    NotFound(String),
    #[error("the gateway takes no more than {0} keys, revoked ones among them")]
    Full(usize),
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
    /// Names of keys that are being written.
    pub(super) coming: HashSet<String>,
    /// Changes that the disk did not take.
    pub(super) waiting: Vec<KeyChange>,
    pub(super) keys_max: usize,
}

impl KeyTable {
    pub(super) fn new(entries: Vec<KeyEntry>, keys_max: usize) -> KeyTable {
        let mut table = KeyTable {
            by_id: BTreeMap::new(),
            ids_by_name: HashMap::new(),
            coming: HashSet::new(),
            waiting: Vec::new(),
            keys_max,
        };
        entries.into_iter().for_each(|entry| table.apply(&KeyChange::Put(entry)));
        table
    }

    pub(super) fn all(&self) -> Vec<Arc<KeyEntry>> {
        self.by_id.values().cloned().collect()
    }

    pub(super) fn named<'t>(&'t self, name: &str) -> impl Iterator<Item = &'t Arc<KeyEntry>> {
        let ids = self.ids_by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.by_id.get(id))
    }

    /// The key of this id; else every active key of this name; else those of it that were revoked before.
    pub(super) fn find(&self, wanted: &str) -> Vec<Arc<KeyEntry>> {
        if let Some(key) = self.by_id.get(wanted) {
            return vec![key.clone()];
        }
        let (active, revoked): (Vec<_>, Vec<_>) = self.named(wanted).cloned().partition(|key| key.revoked_ms.is_none());
        if active.is_empty() { revoked } else { active }
    }

    /// Whether a further key may be made.
    pub(super) fn is_full(&self) -> bool {
        self.by_id.len() + self.coming.len() >= self.keys_max
    }

    pub(super) fn has_room_for(&self, changes: &[KeyChange]) -> bool {
        let is_new = |change: &&KeyChange| matches!(change, KeyChange::Put(key) if !self.by_id.contains_key(&key.id));
        self.by_id.len() + self.coming.len() + changes.iter().filter(is_new).count() <= self.keys_max
    }

    pub(super) fn apply(&mut self, change: &KeyChange) {
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
