//! The master key: from the environment, else from a file that the first start makes.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use hkdf::Hkdf;
use pbkdf2::pbkdf2_hmac_array;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Secret, SecretFileError, equal, keep};

const KEY_BYTES: usize = 32;
const FILE_NAME: &str = "master-key";
const PASSPHRASE_CHARS_MIN: usize = 16;
/// What OWASP asks of PBKDF2 with SHA-256; about a tenth of a second, once, and for passphrases alone.
const PASSPHRASE_ROUNDS: u32 = 600_000;
/// One salt for all: the key must be the same on every machine that is given the passphrase.
const PASSPHRASE_SALT: &[u8] = b"tollgate master key v1";

/// The key above all others. Every use takes a subkey of its own, so none can stand in for another.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

/// Where a master key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Environment,
    /// Read from this file.
    Kept(PathBuf),
    /// Drawn now and written to this file. Without it nothing in the store can be read.
    Made(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment => f.write_str("TOLLGATE_MASTER_KEY"),
            Origin::Kept(path) | Origin::Made(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("TOLLGATE_MASTER_KEY must be 32 bytes in base64 or hex, or a passphrase of at least 16 characters")]
    Weak,
    #[error("`{0}` does not hold a master key: 32 bytes in base64")]
    Broken(PathBuf),
    #[error(
        "the store was made with a master key, and there is none: set TOLLGATE_MASTER_KEY, or put `{0}` back; \
         without it no key in the store can be recognised"
    )]
    Missing(PathBuf),
    #[error(
        "{0} is not the master key that the store was made with: no key in the store could be recognised; give the \
         former one, or another `server.data_dir`"
    )]
    Wrong(Origin),
    #[error(transparent)]
    Unkept(#[from] SecretFileError),
}

impl MasterKey {
    /// The key given in the environment, else the one kept in `dir`, else a new one put there.
    ///
    /// `dir` must exist. The file is made as [`keep`] makes it.
    pub fn open(
        given: Option<&str>,
        dir: &Path,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(MasterKey, Origin), MasterKeyError> {
        if let Some(text) = given {
            return Ok((MasterKey::parse(text)?, Origin::Environment));
        }
        let path = dir.join(FILE_NAME);
        let kept = keep(&path, fill, |fill| {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            fill(&mut *key);
            Secret::new(STANDARD.encode(*key))
        })?;
        let key = decode(kept.secret.expose()).ok_or_else(|| MasterKeyError::Broken(path.clone()))?;
        Ok((key, if kept.made { Origin::Made(path) } else { Origin::Kept(path) }))
    }

    /// As [`MasterKey::open`], for a store that may know the key already: `check` is what [`MasterKey::check`] gave when
    /// the store was made. No new key is made for such a store.
    pub fn open_checked(
        check: Option<&[u8]>,
        given: Option<MasterKey>,
        dir: &Path,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result<MasterKey, MasterKeyError> {
        let path = dir.join(FILE_NAME);
        let (key, origin) = match given {
            Some(key) => (key, Origin::Environment),
            None if check.is_some() && !path.exists() => return Err(MasterKeyError::Missing(path)),
            None => MasterKey::open(None, dir, fill)?,
        };
        match check {
            Some(check) if !equal(check, &key.check()) => Err(MasterKeyError::Wrong(origin)),
            _ => Ok(key),
        }
    }

    /// What a store keeps to know the key again: nothing of the key can be found from it.
    pub fn check(&self) -> [u8; KEY_BYTES] {
        *self.subkey("check value of this master key")
    }

    /// Reads 32 bytes in hex or base64; any other text of 16 characters or more is a passphrase.
    pub fn parse(text: &str) -> Result<MasterKey, MasterKeyError> {
        let text = text.trim();
        if let Some(key) = decode(text) {
            return Ok(key);
        }
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(MasterKeyError::Weak);
        }
        Ok(MasterKey(Zeroizing::new(pbkdf2_hmac_array::<Sha256, KEY_BYTES>(
            text.as_bytes(),
            PASSPHRASE_SALT,
            PASSPHRASE_ROUNDS,
        ))))
    }

    /// A key for one purpose, from which neither this key nor another purpose's can be found.
    pub fn subkey(&self, purpose: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let from = Hkdf::<Sha256>::from_prk(&*self.0).expect("a master key is as long as the hash");
        let mut subkey = Zeroizing::new([0; KEY_BYTES]);
        let info = [b"tollgate v1: ", purpose.as_bytes()];
        from.expand_multi_info(&info, &mut *subkey).expect("a subkey is far below 255 hashes long");
        subkey
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

fn decode(text: &str) -> Option<MasterKey> {
    let whole = |bytes: &[u8]| <[u8; KEY_BYTES]>::try_from(bytes).ok().map(|key| MasterKey(Zeroizing::new(key)));
    if let Ok(bytes) = hex::decode(text).map(Zeroizing::new) {
        return whole(&bytes);
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok().map(Zeroizing::new).and_then(|bytes| whole(&bytes)))
}
