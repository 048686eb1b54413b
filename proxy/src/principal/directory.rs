//! Every client key, found by its hash and changed one at a time.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use parking_lot::RwLock;

use super::{Key, KeyHash};

/// Locks that the keys are spread over: a change holds up no more than the calls of its own shard, and a shard of one
/// million keys grows by moving four thousand.
const SHARDS: usize = 256;

type Shard = RwLock<HashMap<KeyHash, Arc<Key>, BuildHasherDefault<Spread>>>;

/// Every client key, by the keyed hash of its text.
pub struct Directory {
    shards: Box<[Shard]>,
}

impl Directory {
    /// The key of this hash, as it is now.
    pub fn get(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        self.shard(hash).read().get(hash).cloned()
    }

    /// Adds a key, or replaces the one of the same hash. The next look-up sees it. A revoked key stays: one text may
    /// stand under two ids, and none of them opens what the other shut.
    pub fn put(&self, key: Key) {
        let key = Arc::new(key);
        let mut shard = self.shard(&key.hash).write();
        let before = match shard.get(&key.hash) {
            Some(known) if known.revoked && !key.revoked => return,
            _ => shard.insert(key.hash, key),
        };
        drop(shard);
        // Freed once the lock is gone.
        drop(before);
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.read().is_empty())
    }

    /// By the last byte: the first eight place a key within its shard.
    fn shard(&self, hash: &KeyHash) -> &Shard {
        &self.shards[usize::from(hash[hash.len() - 1]) % SHARDS]
    }
}

impl Default for Directory {
    fn default() -> Self {
        Directory { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.len())
    }
}

/// As [`Directory::put`], one after the other.
impl FromIterator<Key> for Directory {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let directory = Directory::default();
        keys.into_iter().for_each(|key| directory.put(key));
        directory
    }
}

/// Takes eight bytes of the hash as they are: a keyed hash is spread evenly, and no client can choose it.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // An array hashes its length first, which is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
