//! Who asks: headers → principal.
//!
//! Owns the verdict on what a client showed. Invariant: never sees a stored key, only its hash; never reads a clock, a
//! file or a socket.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::principal::{Directory, Key, KeyHash};

/// Longer credentials are refused unread.
const CREDENTIAL_BYTES_MAX: usize = 512;

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

/// The key that the client showed, if it is good at `now_ms`.
///
/// `hash` is the keyed hash under which the directory knows keys. The text of a key is only ever hashed, never
/// compared, so the time this takes says nothing about how much of a guess was right.
///
/// # Errors
/// [`AuthError`], whatever of it comes first.
pub fn authenticate(
    directory: &Directory,
    hash: impl FnOnce(&[u8]) -> KeyHash,
    authorization: Option<&[u8]>,
    x_api_key: Option<&[u8]>,
    now_ms: u64,
) -> Result<Arc<Key>, AuthError> {
    let shown = credential(authorization, x_api_key)?;
    valid(directory, &hash(shown), now_ms)
}

/// The same key as it is at `now_ms`: it may have changed since the client showed it.
///
/// # Errors
/// [`AuthError`] where the key is good no longer.
pub fn recheck(directory: &Directory, key: &Key, now_ms: u64) -> Result<Arc<Key>, AuthError> {
    valid(directory, &key.hash, now_ms)
}

fn valid(directory: &Directory, hash: &KeyHash, now_ms: u64) -> Result<Arc<Key>, AuthError> {
    let key = directory.get(hash).ok_or(AuthError::Unknown)?;
    if key.revoked {
        return Err(AuthError::Revoked);
    }
    if key.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(AuthError::Expired);
    }
    Ok(key)
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
