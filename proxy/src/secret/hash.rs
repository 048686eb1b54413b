//! The keyed hash under which client keys are stored and looked up.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::MasterKey;

/// HMAC-SHA256 of a client key. Without the master key it cannot be guessed back, however weak the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

/// Hashes client keys. The two key blocks of the HMAC are absorbed once, here, and not once a call.
#[derive(Clone)]
pub struct KeyHasher(Hmac<Sha256>);

impl KeyHasher {
    pub fn new(master: &MasterKey) -> KeyHasher {
        let key = master.subkey("client keys");
        KeyHasher(<Hmac<Sha256> as Mac>::new_from_slice(&*key).expect("HMAC takes keys of every length"))
    }

    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut state = self.0.clone();
        state.update(key);
        KeyHash(state.finalize().into_bytes().into())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher")
    }
}
