//! Changes of keys.
//!
//! The table is locked while a change is decided, and never while the disk is waited for. A key is made only once it
//! is on the disk; until then its name is taken. A key is revoked at once, also where the disk takes nothing or does
//! not answer: the change then waits, and is written when the disk takes it.

use std::{io, sync::Arc};

use super::{
    keys::{KeyError, Revoked},
    shared::{Shared, UnflushedError},
};
use crate::store::{KeyChange, KeyEntry};

/// Bytes of changes that are written at once, as near as their texts tell.
const PORTION_BYTES: usize = 64 << 10;
/// What a change takes beside its texts.
const CHANGE_BYTES_BESIDE: usize = 256;

impl Shared {
    /// `on_change` sees the key when it is on the disk, before any other change of it is decided.
    pub(super) fn create_key(
        &self,
        entry: KeyEntry,
        on_change: impl FnOnce(&Arc<KeyEntry>),
    ) -> Result<Arc<KeyEntry>, KeyError> {
        self.take_name(&entry.name)?;
        let change = KeyChange::Put(entry.clone());
        let written = self.write_whole(std::slice::from_ref(&change));
        let mut keys = self.keys.lock();
        keys.coming.remove(&entry.name);
        written?;
        keys.apply(&change);
        let entry = Arc::new(entry);
        on_change(&entry);
        Ok(entry)
    }

    fn take_name(&self, name: &str) -> Result<(), KeyError> {
        let mut keys = self.keys.lock();
        if keys.named(name).any(|key| key.revoked_ms.is_none()) || keys.coming.contains(name) {
            return Err(KeyError::Exists(name.to_owned()));
        }
        if keys.is_full() {
            return Err(KeyError::Full(keys.keys_max));
        }
        keys.coming.insert(name.to_owned());
        Ok(())
    }

    /// `on_change` sees each key as soon as it is revoked, before the disk is asked.
    pub(super) fn revoke_keys(
        &self,
        wanted: &str,
        now_ms: u64,
        on_change: impl FnMut(&Arc<KeyEntry>),
    ) -> Result<Revoked, KeyError> {
        let mut table = self.keys.lock();
        let found = table.find(wanted);
        if found.is_empty() {
            return Err(KeyError::NotFound(wanted.to_owned()));
        }
        let revoked =
            found.iter().map(|key| KeyEntry { revoked_ms: key.revoked_ms.or(Some(now_ms)), ..(**key).clone() });
        let keys: Vec<Arc<KeyEntry>> = revoked.map(Arc::new).collect();
        let changes: Vec<KeyChange> = keys.iter().map(|key| KeyChange::Put((**key).clone())).collect();
        changes.iter().for_each(|change| table.apply(change));
        keys.iter().for_each(on_change);
        drop(table);
        let mut is_durable = true;
        for portion in portions(&changes) {
            if let Err(UnflushedError { is_written, source }) = self.write_change(portion, true) {
                tracing::error!(error = %source, "a revocation holds, but is not on the disk yet");
                is_durable = false;
                if !is_written {
                    self.keys.lock().waiting.extend_from_slice(portion);
                }
            }
        }
        Ok(Revoked { keys, is_durable })
    }

    pub(super) fn change_keys(&self, changes: &[KeyChange]) -> Result<(), KeyError> {
        for portion in portions(changes) {
            let keys = self.keys.lock();
            if !keys.has_room_for(portion) {
                return Err(KeyError::Full(keys.keys_max));
            }
            drop(keys);
            self.write_whole(portion)?;
            let mut keys = self.keys.lock();
            portion.iter().for_each(|change| keys.apply(change));
        }
        Ok(())
    }

    /// Writes the changes that the disk did not take before, unless an administrator waits for the disk just now.
    pub(super) fn write_waiting_keys(&self) -> io::Result<()> {
        let Some(changing) = self.changing.try_lock() else { return Ok(()) };
        loop {
            let waiting = self.keys.lock().waiting.clone();
            let Some(portion) = portions(&waiting).next() else { return Ok(()) };
            match self.write_change_locked(&changing, portion, true) {
                Err(UnflushedError { is_written: false, source }) => return Err(source),
                // What is written and not flushed is flushed with the store. More may wait by now, behind these.
                Ok(()) | Err(_) => drop(self.keys.lock().waiting.drain(..portion.len())),
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

/// The changes in their order, as many together as one frame surely takes, and one at least.
fn portions(changes: &[KeyChange]) -> impl Iterator<Item = &[KeyChange]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |change: &&KeyChange| {
            bytes += text_bytes(change);
            bytes <= PORTION_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (portion, behind) = rest.split_at(count);
        rest = behind;
        (!portion.is_empty()).then_some(portion)
    })
}

/// About what a change takes in a frame.
fn text_bytes(change: &KeyChange) -> usize {
    let texts = match change {
        KeyChange::Put(entry) => {
            entry.id.len()
                + entry.name.len()
                + entry.user.len()
                + entry.models.iter().map(|it| it.len() + 2).sum::<usize>()
        }
        KeyChange::Remove(id) => id.len(),
    };
    CHANGE_BYTES_BESIDE + texts
}
