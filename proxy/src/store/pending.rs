//! What was taken over and is not on the disk yet: the journal has it.

use std::collections::HashMap;

use super::{Batch, KeyChange, Record, Rollup, RollupKey, Sums};

/// Batches, merged.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) rows: Vec<Record>,
    pub(super) rollups: HashMap<RollupKey, Rollup>,
    pub(super) sums: HashMap<String, Sums>,
    pub(super) keys: Vec<KeyChange>,
    pub(super) metas: Vec<(String, Vec<u8>)>,
    /// Whether there was any batch.
    pub(super) is_there: bool,
}

impl Pending {
    pub(super) fn add(&mut self, batch: &Batch) {
        self.rows.extend_from_slice(&batch.rows);
        for (key, more) in &batch.rollups {
            match self.rollups.get_mut(key) {
                Some(rollup) => rollup.merge(more),
                None => drop(self.rollups.insert(key.clone(), more.clone())),
            }
        }
        for (key_id, more) in &batch.sums {
            match self.sums.get_mut(key_id) {
                Some(sums) => sums.merge(more),
                None => drop(self.sums.insert(key_id.clone(), *more)),
            }
        }
        self.keys.extend_from_slice(&batch.keys);
        self.metas.extend_from_slice(&batch.metas);
        self.is_there = true;
    }
}
