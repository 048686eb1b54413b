//! What must not be seen.
//!
//! Owns the master key and all that stands under it: envelopes for secrets at rest, the keyed hash of client keys,
//! freshly drawn keys, and the removal of keys from text that somebody will read.
//! Invariant: nothing here prints, logs or serialises a secret; `Debug` of each shows only that there is one.

use std::fmt;

use zeroize::Zeroizing;

#[cfg_attr(not(test), expect(dead_code, reason = "for the provider keys that an administrator will add at run time"))]
mod envelope;
mod equal;
mod generate;
mod hash;
mod master;
mod redact;
mod secret_file;
#[cfg(test)]
mod tests;

pub use equal::equal;
pub use generate::{admin_token, fill_from_system, key_id, shown_prefix, virtual_key};
pub use hash::{KeyHash, KeyHasher};
pub use master::{MasterKey, MasterKeyError, Origin};
pub use redact::Redactor;
pub use secret_file::{Kept, SecretFileError, keep, make_private_dir, read_kept};

/// Text that must not be seen: wiped from memory when dropped, absent from `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. The name is meant to stand out in review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
