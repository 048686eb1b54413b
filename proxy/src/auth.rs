//! Who asks: headers → key.
//!
//! Owns the table of client keys that one snapshot knows, and the verdict on what a client showed.
//! Invariant: never sees a stored key, only its hash; never reads a clock, a file or a socket.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

mod pattern;
#[cfg(test)]
mod tests;

pub use pattern::{Pattern, PatternError};

/// Longer credentials are refused unread.
const CREDENTIAL_BYTES_MAX: usize = 512;

/// A client key, and in `account` what the rooms below keep beside it.
#[derive(Debug)]
pub struct Key<A> {
    pub id: String,
    pub name: String,
    /// Who holds it; empty if nobody said.
    pub user: String,
    pub models: Vec<Pattern>,
    /// Unix milliseconds from which on the key is refused.
    pub expires_ms: Option<u64>,
    pub revoked: bool,
    pub account: A,
}

/// Why a client is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("no API key was given: send `Authorization: Bearer <key>` or `x-api-key: <key>`")]
    Missing,
    #[error("the API key is malformed: send `Authorization: Bearer <key>`")]
    Malformed,
    #[error("the API key is not known")]
    Unknown,
    #[error("the API key was revoked")]
    Revoked,
    #[error("the API key has expired")]
    Expired,
}

impl<A> Key<A> {
    /// Whether this key may use the model of this name.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern.matches(model))
    }
}

/// Every client key, by the keyed hash of its text.
pub struct Keys<A>(HashMap<[u8; 32], Arc<Key<A>>, BuildHasherDefault<Ready>>);

impl<A> Keys<A> {
    pub fn get(&self, hash: &[u8; 32]) -> Option<&Arc<Key<A>>> {
        self.0.get(hash)
    }

    /// Every key, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key<A>>> {
        self.0.values()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<A> Default for Keys<A> {
    fn default() -> Self {
        Keys(HashMap::default())
    }
}

impl<A> fmt::Debug for Keys<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// Of two keys with one hash the later stays.
impl<A> FromIterator<([u8; 32], Key<A>)> for Keys<A> {
    fn from_iter<I: IntoIterator<Item = ([u8; 32], Key<A>)>>(keys: I) -> Self {
        Keys(keys.into_iter().map(|(hash, key)| (hash, Arc::new(key))).collect())
    }
}

/// The key that the client showed, if it is good at `now_ms`.
///
/// `hash` is the keyed hash under which `keys` were collected. The text of a key is only ever hashed, never
/// compared, so the time this takes says nothing about how much of a guess was right.
pub fn authenticate<A>(
    keys: &Keys<A>,
    hash: impl FnOnce(&[u8]) -> [u8; 32],
    authorization: Option<&[u8]>,
    x_api_key: Option<&[u8]>,
    now_ms: u64,
) -> Result<Arc<Key<A>>, AuthError> {
    let shown = credential(authorization, x_api_key)?;
    let key = keys.get(&hash(shown)).ok_or(AuthError::Unknown)?;
    if key.revoked {
        return Err(AuthError::Revoked);
    }
    if key.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(AuthError::Expired);
    }
    Ok(Arc::clone(key))
}

/// What the client shows. Clients of Anthropic's API send `x-api-key`, some of them beside an `authorization` that
/// is not ours to read; a bearer token wins.
fn credential<'h>(authorization: Option<&'h [u8]>, x_api_key: Option<&'h [u8]>) -> Result<&'h [u8], AuthError> {
    let authorization = authorization.map(<[u8]>::trim_ascii).filter(|header| !header.is_empty());
    let x_api_key = x_api_key.map(<[u8]>::trim_ascii).filter(|header| !header.is_empty());
    let shown = match (authorization.map(bearer), x_api_key) {
        (Some(Some(token)), _) => token,
        (_, Some(key)) => key,
        (Some(None), None) => return Err(AuthError::Malformed),
        (None, None) => return Err(AuthError::Missing),
    };
    // `Bearer ` with nothing behind it is what SDKs send when no key is set.
    if shown.is_empty() {
        return Err(AuthError::Missing);
    }
    if shown.len() > CREDENTIAL_BYTES_MAX || !shown.iter().all(u8::is_ascii_graphic) {
        return Err(AuthError::Malformed);
    }
    Ok(shown)
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("bearer".len())?;
    let separated = token.first().is_none_or(u8::is_ascii_whitespace);
    (scheme.eq_ignore_ascii_case(b"bearer") && separated).then(|| token.trim_ascii())
}

/// Takes eight bytes of the hash as they are: a keyed hash is spread evenly, and no client can choose it.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
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
