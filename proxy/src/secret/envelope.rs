//! Secrets at rest: AES-256-GCM under a key derived from the master key.
//!
//! Format, version 1: one byte version, four bytes naming the master key, twelve bytes nonce, ciphertext, sixteen
//! bytes tag. What the secret is for is authenticated with it, so that an envelope moved to another row won't open.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::Zeroizing;

use super::MasterKey;

const VERSION: u8 = 1;
const NAME_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + NAME_BYTES;

/// Why an envelope stays shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvelopeError {
    #[error("sealed by a newer Tollgate, in format {0}")]
    Version(u8),
    #[error("sealed under another master key")]
    OtherKey,
    #[error("damaged, or meant for another place")]
    Damaged,
}

/// Seals and opens envelopes.
#[derive(Clone)]
pub(super) struct Envelopes {
    cipher: Aes256Gcm,
    name: [u8; NAME_BYTES],
}

impl Envelopes {
    pub(super) fn new(master: &MasterKey) -> Envelopes {
        let cipher = Aes256Gcm::new_from_slice(&*master.subkey("envelopes")).expect("a subkey has 32 bytes");
        let named = master.subkey("name of this master key");
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&named[..NAME_BYTES]);
        Envelopes { cipher, name }
    }

    /// Seals `secret` for one place: `purpose` is the kind of secret, `id` the row that will hold it.
    pub(super) fn seal(&self, purpose: &str, id: &str, secret: &[u8], fill: &mut dyn FnMut(&mut [u8])) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        fill(&mut nonce);
        let mut envelope = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + secret.len() + TAG_BYTES);
        envelope.push(VERSION);
        envelope.extend_from_slice(&self.name);
        let aad = place(&envelope, purpose, id);
        let sealed = self
            .cipher
            .encrypt(Nonce::from_slice(&nonce), Payload { msg: secret, aad: &aad })
            .expect("a secret is far below the 64 GiB that AES-GCM takes");
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(&sealed);
        envelope
    }

    /// Opens what [`Envelopes::seal`] made for the same `purpose` and `id`.
    pub(super) fn open(&self, purpose: &str, id: &str, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        let version = *envelope.first().ok_or(EnvelopeError::Damaged)?;
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let (head, rest) = envelope.split_at_checked(HEAD_BYTES).ok_or(EnvelopeError::Damaged)?;
        if head[1..] != self.name {
            return Err(EnvelopeError::OtherKey);
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(EnvelopeError::Damaged)?;
        let aad = place(head, purpose, id);
        let opened = self.cipher.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: &aad });
        opened.map(Zeroizing::new).map_err(|_| EnvelopeError::Damaged)
    }
}

/// What is authenticated beside the secret. The length keeps (`ab`, `c`) apart from (`a`, `bc`).
fn place(head: &[u8], purpose: &str, id: &str) -> Vec<u8> {
    let mut place = head.to_vec();
    place.extend_from_slice(&(purpose.len() as u64).to_be_bytes());
    place.extend_from_slice(purpose.as_bytes());
    place.extend_from_slice(id.as_bytes());
    place
}
