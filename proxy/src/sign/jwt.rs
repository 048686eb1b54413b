//! `jwt-hs256`: a short-lived token signed with the second half of a key `id.secret`, as Zhipu asks for it.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::fault::SignError;

pub(super) const NAME: &str = "jwt-hs256";
const LIFE_MS_MAX: u64 = 24 * 3600 * 1000;

/// What a plan may say about the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// How long the token is good.
    life_ms: u64,
    /// Further fields of the token's header.
    header: HashMap<String, String>,
}

impl Default for Params {
    fn default() -> Self {
        Params { life_ms: 210_000, header: HashMap::from([("sign_type".to_owned(), "SIGN".to_owned())]) }
    }
}

/// The times are in milliseconds, unlike those of every other JWT.
#[derive(Serialize)]
struct Claims<'k> {
    api_key: &'k str,
    exp: u64,
    timestamp: u64,
}

/// The token for a key of the form `id.secret`.
pub(super) fn token(key: &str, params: &str, now_ms: u64) -> Result<Zeroizing<String>, SignError> {
    let refused = |fault: String| SignError::Params { scheme: NAME, fault };
    let params = if params.trim().is_empty() { "{}" } else { params };
    let params: Params = serde_json::from_str(params).map_err(|error| refused(error.to_string()))?;
    if params.life_ms == 0 || params.life_ms > LIFE_MS_MAX {
        return Err(refused(format!("`life_ms` must be 1 to {LIFE_MS_MAX}")));
    }
    if params.header.contains_key("alg") {
        return Err(refused("`header` must not set `alg`".to_owned()));
    }
    let halves = key.split_once('.').filter(|(id, secret)| !id.is_empty() && !secret.is_empty());
    let (id, secret) = halves.ok_or(SignError::KeyForm { scheme: NAME, form: "`id.secret`" })?;
    let header = Header { typ: None, extras: params.header, ..Header::new(Algorithm::HS256) };
    let claims = Claims { api_key: id, exp: now_ms.saturating_add(params.life_ms), timestamp: now_ms };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes()))
        .map(Zeroizing::new)
        .map_err(|error| refused(error.to_string()))
}
